"""Checks the namespace of the trials: labels, pod security, secrets, service account and priority class."""

import base64
from collections.abc import Iterator

from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.doctor.services import restricts
from katib.backend.cluster.kinds import INJECTION_LABEL, PRIORITY_CLASS, SECRET, SERVICE_ACCOUNT, labels_of
from katib.tree import items_at, labels_at, text_at

SECURITY_LABEL = "pod-security.kubernetes.io/enforce"
BASE = "kubectl apply -k k8s/base"
SECRET_KEY = "api-key"  # noqa: S105  (the name of a key, not a secret)
PULL_SECRETS = ("kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg")


def namespace(context: DoctorContext) -> Iterator[Result]:
    """Checks that the namespace exists, that Katib manages its pods, and that pod security admits Katib's own pods."""
    name = context.site.namespace
    if context.namespace is None:
        yield error("namespace", f"'{name}' does not exist", "experiments need it", BASE)
        return
    if text_at(context.namespace, "status", "phase") == "Terminating":
        fix = f"kubectl get namespace {name}"
        yield error("namespace", f"'{name}' is being deleted", "nothing can be created in it", fix)
        return
    labels = labels_of(context.namespace)
    if labels.get(INJECTION_LABEL) == "enabled":
        yield ok("namespace label", f"'{name}' {INJECTION_LABEL}=enabled")
    else:
        yield error(
            "namespace label",
            f"'{name}' lacks {INJECTION_LABEL}=enabled",
            "Katib refuses experiments in it, and would put no collector into trial pods",
            f"kubectl label --overwrite namespace {name} {INJECTION_LABEL}=enabled",
        )
    yield _pod_security(context, labels.get(SECURITY_LABEL, ""))


def _pod_security(context: DoctorContext, level: str) -> Result:
    relabel = f"kubectl label --overwrite namespace {context.site.namespace} {SECURITY_LABEL}=baseline"
    if level == "restricted" and any("earlyStopping" in experiment.spec for experiment in context.experiments):
        effect = "Katib's early-stopping container takes no security context: the suggestion pod is never created"
        return error("pod security", level, effect, relabel)
    if level == "restricted" and not restricts(context):
        effect = "Katib's collector has no security context: no trial pod is created"
        fix = "make install-katib (it sets init.controller.injectSecurityContext)"
        return error("pod security", level, effect, fix)
    if level in ("", "privileged"):
        effect = "pods of this namespace may take over their node"
        return warning("pod security", level or "not set", effect, relabel)
    return ok("pod security", level)


def wandb(context: DoctorContext) -> Iterator[Result]:
    """Checks that the secret for Weights & Biases exists and has its key."""
    wanted = context.site.wandb
    if wanted is None:
        yield ok("W&B secret", "the site asks for no tracking")
        return
    secret = context.cluster.get(SECRET, wanted.secret)
    create = f"kubectl -n {context.site.namespace} create secret generic {wanted.secret} --from-file={SECRET_KEY}=FILE"
    effect = "trials run with W&B offline; their runs stay on the runs claim until wandb sync"
    data = labels_at(secret, "data")
    if secret is None:
        yield warning("W&B secret", f"no Secret '{wanted.secret}'", effect, create)
    elif SECRET_KEY not in data:
        keys = ", ".join(sorted(data)) or "none"
        yield warning("W&B secret", f"'{wanted.secret}' has no key {SECRET_KEY} (keys: {keys})", effect, create)
    elif not base64.b64decode(data[SECRET_KEY]).strip():
        yield error("W&B secret", f"'{wanted.secret}': {SECRET_KEY} is empty", "W&B refuses to log in", create)
    else:
        yield ok("W&B secret", f"'{wanted.secret}' has {SECRET_KEY}")


def accounts(context: DoctorContext) -> Iterator[Result]:
    """Checks the trials' service account, and the pull secrets that the account and the pods name."""
    if context.lacks_namespace:
        return
    create = f"kubectl -n {context.site.namespace} create"
    name = text_at(context.pod, "serviceAccountName") or "default"
    account = context.cluster.get(SERVICE_ACCOUNT, name)
    if account is None:
        fix = f"{create} serviceaccount {name}"
        yield error("service account", f"'{name}' does not exist", "no trial pod can be created", fix)
        return
    references = [*items_at(account, "imagePullSecrets"), *items_at(context.pod, "imagePullSecrets")]
    names = [text_at(reference, "name") for reference in references]
    missing = [each for each in names if text_at(context.cluster.get(SECRET, each), "type") not in PULL_SECRETS]
    if missing:
        yield error(
            "pull secrets",
            f"missing, or of another type: {', '.join(missing)}",
            "images of a private registry cannot be pulled; trials wait with ErrImagePull",
            f"{create} secret docker-registry {missing[0]} --from-file=.dockerconfigjson=FILE",
        )
    else:
        yield ok("pull secrets", ", ".join(names) or "none named; the registry must be open to the nodes")


def priority(context: DoctorContext) -> Iterator[Result]:
    """Checks the priority class that the trials name."""
    name = text_at(context.pod, "priorityClassName")
    if not name:
        return
    if context.cluster.get(PRIORITY_CLASS, name) is None:
        fix = f"kubectl create priorityclass {name} --value=1000, or drop priority_class from k8s/site.yaml"
        yield error("priority class", f"'{name}' does not exist", "no trial pod can be created", fix)
    else:
        yield ok("priority class", name)
