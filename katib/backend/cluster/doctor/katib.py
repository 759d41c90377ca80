"""The API server, and Katib on it: its types, deployments, webhooks and services. Called by `examine`."""

import re
from collections.abc import Iterator
from typing import Any

from katib.backend.cluster.answers import ForbiddenError, NoKindError
from katib.backend.cluster.doctor.result import CONTROL_NAMESPACE, DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import (
    CONFIG_MAP,
    DEFINITION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EXPERIMENT,
    INJECTION_LABEL,
    KATIB,
    MUTATING,
    NAMESPACE,
    SERVICE_ACCOUNT,
    SUGGESTION,
    TRIAL,
    VALIDATING,
    Kind,
    Object,
)
from katib.errors import nearest
from katib.yaml_reader import YamlError, read_yaml

OLDEST = (1, 30)  # matchConditions of admission webhooks, which Katib v0.19 uses, are stable since then
VERSION = "v0.19.0"
INSTALL = "make install-katib"
STOCK = "ghcr.io/kubeflow/katib/"
LOSSES = {
    "suggestion": "draws every double log-uniformly, knows nothing of running or failed trials, stalls on a NaN",
    "early stopping": "compares once, with a mean that one diverged trial disarms",
    "collector": "reports only when a pod has ended; what a lost pod measured is gone until it is replayed",
}
DEPLOYMENTS = {
    "katib-controller": "no trial is begun, and no pod can be created in labelled namespaces",
    "katib-db-manager": "a trial that ends cannot report its metrics, and fails after its whole training",
}


def server(context: DoctorContext) -> Iterator[Result]:
    """It answers, knows the caller, and is not too old."""
    found = context.cluster.raw("/version")
    # /version answers anybody; who calls is asked by the first check that lists something.
    context.cluster.allowed("get", EXPERIMENT)
    text = f"Kubernetes {found['gitVersion']} at {context.cluster.server}"
    number = tuple(int(re.sub(r"\D", "", found[part]) or 0) for part in ("major", "minor"))
    if number < OLDEST:
        yield error("API server", text, "Katib v0.19 needs 1.30 or later", "upgrade the cluster")
    else:
        yield ok("API server", text)


def definitions(context: DoctorContext) -> Iterator[Result]:
    """Yields the three resource types are there in v1beta1."""
    missing = []
    for kind in (EXPERIMENT, TRIAL, SUGGESTION):
        name = f"{kind.plural}.{KATIB}"
        found = context.cluster.get(DEFINITION, name)
        served = [item["name"] for item in found["spec"]["versions"] if item["served"]] if found else []
        if kind.version not in served:
            missing.append(name)
    if missing:
        yield error(
            "Katib's types",
            f"missing: {', '.join(missing)}",
            "Katib is not installed, or only in part",
            INSTALL,
        )
    else:
        yield ok("Katib's types", "experiments, trials, suggestions")


def deployments(context: DoctorContext) -> Iterator[Result]:
    """Katib's deployments are up, and of the right version."""
    for name, effect in DEPLOYMENTS.items():
        found = context.cluster.get(DEPLOYMENT, name, CONTROL_NAMESPACE)
        if found is None:
            yield error(name, "is not installed", effect, INSTALL)
            continue
        status = found.get("status") or {}
        image = found["spec"]["template"]["spec"]["containers"][0]["image"]
        if not status.get("availableReplicas"):
            fix = f"kubectl -n {CONTROL_NAMESPACE} describe deployment {name}"
            yield error(name, f"not available ({image})", effect, fix)
        elif not image.endswith((f":{VERSION}",)) and "@sha256:" not in image:
            yield warning(name, f"is {image}", f"Sepsweep is written and tried against Katib {VERSION}", INSTALL)
        else:
            yield ok(name, image)


def katibs_namespace(context: DoctorContext) -> Iterator[Result]:
    """Katib's own namespace does not lock it out."""
    place = context.cluster.get(NAMESPACE, CONTROL_NAMESPACE)
    if place is not None and INJECTION_LABEL in (place["metadata"].get("labels") or {}):
        yield warning(
            "Katib's namespace",
            f"{CONTROL_NAMESPACE} carries {INJECTION_LABEL}",
            "once the controller's pod is gone its own webhook keeps the next one from being created",
            f"kubectl label namespace {CONTROL_NAMESPACE} {INJECTION_LABEL}-",
        )


def validating_webhook(context: DoctorContext) -> Iterator[Result]:
    """Returns the webhook that checks experiments is registered and answered."""
    wanted = {"validator.experiment.katib.kubeflow.org"}
    return _webhook(context, VALIDATING, wanted, "experiments are not checked")


def mutating_webhook(context: DoctorContext) -> Iterator[Result]:
    """Returns the webhooks that complete experiments and trial pods are registered and answered."""
    wanted = {"defaulter.experiment.katib.kubeflow.org", "mutator.pod.katib.kubeflow.org"}
    return _webhook(context, MUTATING, wanted, "trial pods get no metrics collector")


def _webhook(context: DoctorContext, kind: Kind, wanted: set[str], effect: str) -> Iterator[Result]:
    """Registered, with a certificate, and answered by a pod."""
    found = context.cluster.get(kind, "katib.kubeflow.org")
    hooks = {hook["name"]: hook for hook in (found or {}).get("webhooks") or []}
    if missing := sorted(wanted - set(hooks)):
        yield error(kind.name, f"missing: {', '.join(missing)}", effect, INSTALL)
        return
    bare = sorted(name for name in wanted if not hooks[name]["clientConfig"].get("caBundle"))
    if bare:
        fix = f"kubectl -n {CONTROL_NAMESPACE} rollout restart deployment katib-controller"
        yield error(kind.name, f"no certificate: {', '.join(bare)}", "the API server cannot call it", fix)
        return
    service = hooks[min(wanted)]["clientConfig"].get("service")
    if service and not _endpoints(context, service):
        yield error(
            kind.name,
            f"no pod answers for service {service['namespace']}/{service['name']}",
            "no experiment and no pod can be created in labelled namespaces",
            f"kubectl -n {service['namespace']} get pods,endpointslices",
        )
    else:
        yield ok(kind.name, f"{len(wanted)} registered, answered")


def services(context: DoctorContext) -> Iterator[Result]:
    """katib-config has the services that the searches name; ours rather than stock ones."""
    config = _config(context)
    if config is None:
        effect = "Katib knows no algorithm and refuses each experiment"
        yield error("katib-config", f"not in namespace {CONTROL_NAMESPACE}, or not readable", effect, INSTALL)
        return
    runtime = config.get("runtime") or {}
    specs = [manifest["spec"] for manifest in context.manifests]
    yield from _service(
        "suggestion",
        runtime.get("suggestions"),
        "algorithmName",
        {spec["algorithm"]["algorithmName"] for spec in specs},
    )
    yield from _first_suggestions(runtime.get("suggestions"), specs)
    stoppers = {spec["earlyStopping"]["algorithmName"] for spec in specs if spec.get("earlyStopping")}
    yield from _service("early stopping", runtime.get("earlyStoppings"), "algorithmName", stoppers)
    kinds = {spec["metricsCollectorSpec"]["collector"]["kind"] for spec in specs if spec.get("metricsCollectorSpec")}
    yield from _service("collector", runtime.get("metricsCollectors"), "kind", kinds)


def _service(what: str, entries: object, key: str, wanted: set[str]) -> Iterator[Result]:
    there = {item.get(key): item for item in entries if isinstance(item, dict)} if isinstance(entries, list) else {}
    for name in sorted(wanted):
        if name not in there:
            hint = nearest(name, [str(known) for known in there]) if there else "it has none"
            yield error(
                f"{what} service",
                f"katib-config has no '{name}': {hint}",
                "Katib refuses the experiment",
                INSTALL,
            )
            continue
        image = str(there[name].get("image", ""))
        if image.startswith(STOCK):
            yield warning(f"{what} service", f"{name} is Katib's own ({image})", LOSSES[what], INSTALL)
        else:
            yield ok(f"{what} service", f"{name}: {image}")


def _first_suggestions(entries: object, specs: list[Object]) -> Iterator[Result]:
    """Katib's own services refuse a setting that they do not know, and the experiment fails."""
    images = _images(entries)
    for spec in specs:
        name = spec["algorithm"]["algorithmName"]
        settings = {item["name"] for item in spec["algorithm"].get("algorithmSettings") or []}
        if "first_suggestions" in settings and images.get(name, "").startswith(STOCK):
            yield error(
                "suggestion service",
                f"{name} is Katib's own, and the search has first_suggestions, which that refuses",
                "the experiment fails before its first trial",
                f"{INSTALL}; or, of a search that ended, NAME= starts another",
            )


def _images(entries: object) -> dict[str, str]:
    """Returns the image of each suggestion service in katib-config, by algorithm."""
    items = entries if isinstance(entries, list) else []
    return {str(item.get("algorithmName")): str(item.get("image", "")) for item in items if isinstance(item, dict)}


def leaves_namesakes_out(context: DoctorContext, algorithm: str) -> bool:
    """Returns whether the suggestion service of `algorithm` is not Katib's own, which takes trials of namesakes for the
    search's.

    False where katib-config cannot be read.
    """
    try:
        runtime = (_config(context) or {}).get("runtime") or {}
    except ForbiddenError:
        return False
    image = _images(runtime.get("suggestions")).get(algorithm, STOCK)
    return not image.startswith(STOCK)


def service_account(context: DoctorContext) -> Iterator[Result]:
    """Yields the account that the suggestion service runs under, where katib-config names one: Katib does not make
    that.
    """
    if context.homeless:
        return  # `namespace` says so, and what makes it
    entries = ((_config(context) or {}).get("runtime") or {}).get("suggestions")
    specs = [manifest["spec"] for manifest in context.manifests]
    wanted = {spec["algorithm"]["algorithmName"] for spec in specs}
    items = entries if isinstance(entries, list) else []
    names = {item.get("serviceAccountName") for item in items if item.get("algorithmName") in wanted} - {None}
    for name in sorted(names):
        if context.cluster.get(SERVICE_ACCOUNT, name) is None:
            yield error(
                "service account",
                f"'{name}' does not exist in namespace '{context.site.namespace}'",
                "the pod of the suggestion service is never created, and no trial begins",
                f"kubectl -n {context.site.namespace} apply -f k8s/base/services-rbac.yaml",
            )
        else:
            yield ok("service account", f"'{name}' of the suggestion service")


def restricts(context: DoctorContext) -> bool:
    """Returns whether Katib gives its collector the security context of the trainer (injectSecurityContext)."""
    try:
        config = _config(context) or {}
    except ForbiddenError:
        return True  # the dry run of a trial's pod tells
    controller = (config.get("init") or {}).get("controller") or {}
    return bool(controller.get("injectSecurityContext"))


def _config(context: DoctorContext) -> dict[str, Any] | None:
    found: Object | None = context.cluster.get(CONFIG_MAP, "katib-config", CONTROL_NAMESPACE)
    try:
        config = read_yaml((found or {}).get("data", {}).get("katib-config.yaml", ""))
    except YamlError:
        return None
    return config if isinstance(config, dict) else None


def _endpoints(context: DoctorContext, service: Object) -> bool:
    try:
        slices = context.cluster.list(
            ENDPOINT_SLICE, f"kubernetes.io/service-name={service['name']}", service["namespace"]
        )
    except (NoKindError, ForbiddenError):
        return True  # the dry run of an experiment tells
    return any(
        point.get("conditions", {}).get("ready", True) for found in slices for point in found.get("endpoints") or []
    )
