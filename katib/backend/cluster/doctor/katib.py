"""Checks the API server, and Katib on it: its resource types, deployments and webhooks."""

import re
from collections.abc import Iterator

from katib.backend.cluster.answers import ForbiddenError, NoKindError
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import (
    DEFINITION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EXPERIMENT,
    INJECTION_LABEL,
    KATIB,
    MUTATING,
    NAMESPACE,
    SUGGESTION,
    TRIAL,
    VALIDATING,
    Kind,
    labels_of,
)
from katib.tree import at, items_at, text_at

OLDEST = (1, 30)
"""Since this version of Kubernetes matchConditions of admission webhooks, which Katib v0.19 uses, are stable."""
VERSION = "v0.19.0"
INSTALL = "make install-katib"
DEPLOYMENTS = {
    "katib-controller": "no trial starts, and no pod can be created in labelled namespaces",
    "katib-db-manager": "a trial that ends cannot report its metrics, and fails after its whole training",
}
"""By deployment, the effect of its absence."""


def server(context: DoctorContext) -> Iterator[Result]:
    """Checks that the API server answers, accepts the caller, and is not too old."""
    version = context.cluster.raw("/version")
    # Anybody may read /version; this call shows whether the server knows the caller.
    context.cluster.allowed("get", EXPERIMENT)
    problem = f"Kubernetes {version['gitVersion']} at {context.cluster.server}"
    number = tuple(int(re.sub(r"\D", "", version[part]) or 0) for part in ("major", "minor"))
    if number < OLDEST:
        yield error("API server", problem, "Katib v0.19 needs 1.30 or later", "upgrade the cluster")
    else:
        yield ok("API server", problem)


def definitions(context: DoctorContext) -> Iterator[Result]:
    """Checks that the server has Katib's three resource types in version v1beta1."""
    missing = []
    for kind in (EXPERIMENT, TRIAL, SUGGESTION):
        name = f"{kind.plural}.{KATIB}"
        versions = items_at(context.cluster.get(DEFINITION, name), "spec", "versions")
        if not any(text_at(version, "name") == kind.version and version.get("served") for version in versions):
            missing.append(name)
    if missing:
        problem = f"missing: {', '.join(missing)}"
        yield error("Katib's types", problem, "Katib is not installed, or only in part", INSTALL)
    else:
        yield ok("Katib's types", "experiments, trials, suggestions")


def deployments(context: DoctorContext) -> Iterator[Result]:
    """Checks that Katib's deployments are available, and of the right version."""
    place = context.site.katib_namespace
    for name, effect in DEPLOYMENTS.items():
        deployment = context.cluster.get(DEPLOYMENT, name, place)
        if deployment is None:
            yield _absent(context, name, effect)
            continue
        image = text_at(items_at(deployment, "spec", "template", "spec", "containers")[0], "image")
        if not at(deployment, "status").get("availableReplicas"):
            fix = f"kubectl -n {place} describe deployment {name}"
            yield error(name, f"not available ({image})", effect, fix)
        elif not image.endswith(f":{VERSION}") and "@sha256:" not in image:
            yield warning(name, f"is {image}", f"Sepsweep is written for and tested with Katib {VERSION}", INSTALL)
        else:
            yield ok(name, image)


def _absent(context: DoctorContext, name: str, effect: str) -> Result:
    """Returns the result for a missing deployment; where its namesake is elsewhere, that is the fix."""
    place = context.site.katib_namespace
    elsewhere = [service_namespace(context, kind) for kind in (VALIDATING, MUTATING)]
    other = next((found for found in elsewhere if found and found != place), "")
    if other:
        problem = f"is not in namespace '{place}'; Katib's webhooks are in '{other}'"
        return error(name, problem, effect, f"katib_namespace: {other} in k8s/site.yaml")
    return error(name, "is not installed", effect, INSTALL)


def service_namespace(context: DoctorContext, kind: Kind) -> str:
    """Returns the namespace of the service that Katib's webhooks call; empty where none is known."""
    try:
        hooks = items_at(context.cluster.get(kind, "katib.kubeflow.org"), "webhooks")
    except (ForbiddenError, NoKindError):
        return ""
    return next((name for hook in hooks if (name := text_at(hook, "clientConfig", "service", "namespace"))), "")


def katib_namespace(context: DoctorContext) -> Iterator[Result]:
    """Checks that Katib's own webhook does not keep Katib's pods from being created."""
    name = context.site.katib_namespace
    namespace = context.cluster.get(NAMESPACE, name)
    if namespace is not None and INJECTION_LABEL in labels_of(namespace):
        yield warning(
            "Katib's namespace",
            f"{name} carries {INJECTION_LABEL}",
            "once the controller's pod is gone, its own webhook keeps the next one from being created",
            f"kubectl label namespace {name} {INJECTION_LABEL}-",
        )


def validating_webhook(context: DoctorContext) -> Iterator[Result]:
    """Checks the webhook that validates experiments."""
    hooks = {"validator.experiment.katib.kubeflow.org"}
    return _webhook(context, VALIDATING, hooks, "experiments are not checked")


def mutating_webhook(context: DoctorContext) -> Iterator[Result]:
    """Checks the webhooks that complete experiments and trial pods."""
    hooks = {"defaulter.experiment.katib.kubeflow.org", "mutator.pod.katib.kubeflow.org"}
    return _webhook(context, MUTATING, hooks, "trial pods get no metrics collector")


def _webhook(context: DoctorContext, kind: Kind, wanted: set[str], effect: str) -> Iterator[Result]:
    """Checks that webhooks are registered, with a certificate, and that a pod answers them."""
    registered = {
        text_at(hook, "name"): at(hook, "clientConfig")
        for hook in items_at(context.cluster.get(kind, "katib.kubeflow.org"), "webhooks")
    }
    if missing := sorted(wanted - set(registered)):
        yield error(kind.name, f"missing: {', '.join(missing)}", effect, INSTALL)
        return
    bare = sorted(name for name in wanted if not registered[name].get("caBundle"))
    if bare:
        fix = f"kubectl -n {context.site.katib_namespace} rollout restart deployment katib-controller"
        yield error(kind.name, f"no certificate: {', '.join(bare)}", "the API server cannot call it", fix)
        return
    service = at(registered[min(wanted)], "service")
    name, namespace = text_at(service, "name"), text_at(service, "namespace")
    if service and not _has_endpoints(context, name, namespace):
        effect = "no experiment and no pod can be created in labelled namespaces"
        fix = f"kubectl -n {namespace} get pods,endpointslices"
        yield error(kind.name, f"no pod answers for service {namespace}/{name}", effect, fix)
    else:
        yield ok(kind.name, f"{len(wanted)} registered, answered")


def _has_endpoints(context: DoctorContext, service: str, namespace: str) -> bool:
    """Returns whether a pod of the service is ready; True where the caller has no right to look."""
    try:
        slices = context.cluster.list(ENDPOINT_SLICE, f"kubernetes.io/service-name={service}", namespace)
    except (NoKindError, ForbiddenError):
        return True  # the dry run of an experiment shows whether one is
    endpoints = (endpoint for each in slices for endpoint in items_at(each, "endpoints"))
    return any(at(endpoint, "conditions").get("ready", True) for endpoint in endpoints)
