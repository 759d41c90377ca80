"""The namespace of the trials: labels, pod security, secrets, service account, priority class. Called by `examine`."""

import base64
from collections.abc import Iterator

from katib.backend.cluster.doctor.katib import restricts
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import INJECTION_LABEL, PRIORITY_CLASS, SECRET, SERVICE_ACCOUNT

SECURITY_LABEL = "pod-security.kubernetes.io/enforce"
BASE = "kubectl apply -k k8s/base"
SECRET_KEY = "api-key"  # noqa: S105  (the name of a key, not a secret)


def namespace(context: DoctorContext) -> Iterator[Result]:
    """It exists, Katib looks after its pods, and its pod security lets Katib's own pods in."""
    name = context.site.namespace
    found = context.namespace
    if found is None:
        yield error("namespace", f"'{name}' does not exist", "there is no place for experiments", BASE)
        return
    if found.get("status", {}).get("phase") == "Terminating":
        yield error(
            "namespace",
            f"'{name}' is being deleted",
            "nothing can be created in it",
            f"kubectl get namespace {name}",
        )
        return
    labels = found["metadata"].get("labels") or {}
    if labels.get(INJECTION_LABEL) != "enabled":
        yield error(
            "namespace label",
            f"'{name}' lacks {INJECTION_LABEL}=enabled",
            "Katib refuses experiments in it, and would put no collector into trial pods",
            f"kubectl label --overwrite namespace {name} {INJECTION_LABEL}=enabled",
        )
    else:
        yield ok("namespace label", f"'{name}' {INJECTION_LABEL}=enabled")
    level = labels.get(SECURITY_LABEL, "")
    relabel = f"kubectl label --overwrite namespace {name} {SECURITY_LABEL}=baseline"
    stops = any(manifest["spec"].get("earlyStopping") for manifest in context.manifests)
    if level == "restricted" and stops:
        yield error(
            "pod security",
            "restricted",
            "Katib's early-stopping container takes no security context: the suggestion pod is never created",
            relabel,
        )
    elif level == "restricted" and not restricts(context):
        fix = "make install-katib (it sets init.controller.injectSecurityContext)"
        yield error(
            "pod security",
            "restricted",
            "Katib's collector has no security context: no trial pod is created",
            fix,
        )
    elif level in ("", "privileged"):
        yield warning("pod security", level or "not set", "nothing keeps a pod of this namespace off the node", relabel)
    else:
        yield ok("pod security", level)


def wandb(context: DoctorContext) -> Iterator[Result]:
    """Yields the secret of Weights & Biases is there and has its key."""
    wanted = context.site.wandb
    if wanted is None:
        yield ok("W&B secret", "the site asks for no tracking")
        return
    found = context.cluster.get(SECRET, wanted.secret)
    place = context.site.namespace
    fix = f"kubectl -n {place} create secret generic {wanted.secret} --from-file={SECRET_KEY}=FILE"
    effect = "trials run with W&B offline; their runs stay on the runs claim until wandb sync"
    if found is None:
        yield warning("W&B secret", f"no Secret '{wanted.secret}'", effect, fix)
    elif SECRET_KEY not in (found.get("data") or {}):
        keys = ", ".join(sorted(found.get("data") or {})) or "none"
        yield warning("W&B secret", f"'{wanted.secret}' has no key {SECRET_KEY} (keys: {keys})", effect, fix)
    elif not base64.b64decode(found["data"][SECRET_KEY]).strip():
        yield error("W&B secret", f"'{wanted.secret}': {SECRET_KEY} is empty", "W&B refuses to log in", fix)
    else:
        yield ok("W&B secret", f"'{wanted.secret}' has {SECRET_KEY}")


def accounts(context: DoctorContext) -> Iterator[Result]:
    """Yields the trials' service account, and the pull secrets that the account and the pods name."""
    place, pod = context.site.namespace, context.pod["spec"]
    if context.homeless:
        return
    name = pod.get("serviceAccountName", "default")
    account = context.cluster.get(SERVICE_ACCOUNT, name)
    if account is None:
        yield error(
            "service account",
            f"'{name}' does not exist",
            "no trial pod can be created",
            f"kubectl -n {place} create serviceaccount {name}",
        )
        return
    named = [*(account.get("imagePullSecrets") or []), *(pod.get("imagePullSecrets") or [])]
    missing = []
    for reference in named:
        secret = context.cluster.get(SECRET, reference["name"])
        if secret is None or secret.get("type") not in (
            "kubernetes.io/dockerconfigjson",
            "kubernetes.io/dockercfg",
        ):
            missing.append(reference["name"])
    if missing:
        yield error(
            "pull secrets",
            f"not there, or of another type: {', '.join(missing)}",
            "images of a private registry cannot be pulled; trials wait with ErrImagePull",
            f"kubectl -n {place} create secret docker-registry {missing[0]} --from-file=.dockerconfigjson=FILE",
        )
    else:
        yield ok(
            "pull secrets",
            ", ".join(item["name"] for item in named) or "none named; the registry must be open to the nodes",
        )


def priority(context: DoctorContext) -> Iterator[Result]:
    """Yields the priority class that the trials name."""
    name = context.pod["spec"].get("priorityClassName")
    if name is None:
        return
    if context.cluster.get(PRIORITY_CLASS, name) is None:
        yield error(
            "priority class",
            f"'{name}' does not exist",
            "no trial pod can be created",
            f"kubectl create priorityclass {name} --value=1000, or drop priority_class from k8s/site.yaml",
        )
    else:
        yield ok("priority class", name)
