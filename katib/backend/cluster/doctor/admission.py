"""Checks, with dry runs, that the API server would accept each Experiment, the Job of its trials and their pod."""

from collections.abc import Callable, Iterator
from functools import partial

from katib.backend.cluster.answers import ForbiddenError
from katib.backend.cluster.deploy_diff import successor
from katib.backend.cluster.doctor.katib import INSTALL
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.doctor.services import ignores_namesakes
from katib.backend.cluster.doctor.trial import trial_job
from katib.backend.cluster.kinds import EXPERIMENT, JOB, is_ours, name_of
from katib.backend.cluster.model import read_search
from katib.errors import ClusterError
from katib.tree import text_at


def names(context: DoctorContext) -> Iterator[Result]:
    """Checks that the names of the Experiments are free, or belong to Experiments of ours."""
    for name in map(name_of, context.manifests):
        deployed = context.cluster.get(EXPERIMENT, name)
        if deployed is None:
            yield ok("name", f"'{name}' is free")
        elif is_ours(deployed):
            yield ok("name", f"'{name}' is ours ({read_search(deployed).state})")
        else:
            problem = f"'{name}' is somebody else's experiment"
            yield error("name", problem, "it is not touched", f"NAME={successor(name)}")


def namesakes(context: DoctorContext) -> Iterator[Result]:
    """Checks that no Experiment of another namespace has a name of ours."""
    algorithms = {item.name: text_at(item.spec, "algorithm", "algorithmName") for item in context.experiments}
    for item in context.cluster.list(EXPERIMENT, namespace=""):
        name, namespace = name_of(item), item["metadata"]["namespace"]
        if name not in algorithms or namespace == context.site.namespace:
            continue
        problem = f"'{name}' exists in namespace '{namespace}' too"
        if ignores_namesakes(context, algorithms[name]):
            yield ok("name", f"{problem}; our suggestion service ignores its trials")
        else:
            effect = "Katib lists trials of all namespaces, and its own service mixes up those of the two searches"
            yield warning("name", problem, effect, f"NAME={successor(name)}, or {INSTALL}")


def experiments(context: DoctorContext) -> Iterator[Result]:
    """Checks, with dry runs of new Experiments, what Katib's webhook says."""
    if context.lacks_namespace:
        return
    for manifest in context.manifests:
        name = name_of(manifest)
        if context.cluster.get(EXPERIMENT, name) is None:
            attempt = partial(context.cluster.apply, EXPERIMENT, manifest, dry_run=True)
            yield _try(context, "experiment", f"'{name}'", attempt)


def trials(context: DoctorContext) -> Iterator[Result]:
    """Checks, with dry runs of a trial's Job and pod, what pod security, quotas and limit ranges say."""
    if context.lacks_namespace:
        return
    job = trial_job(context.manifests[0])
    yield _try(context, "trial job", "of one trial", partial(context.cluster.create, JOB, job, dry_run=True))
    yield _try(context, "trial pod", "of one trial", lambda: context.trial_pod)


def _try(context: DoctorContext, check: str, what: str, attempt: Callable[[], object]) -> Result:
    try:
        attempt()
    except ForbiddenError as cause:
        return warning(f"{check} dry run", "you may not try it", str(cause), "kubectl auth can-i --list")
    except ClusterError as cause:
        fix = _fix_of(str(cause), context)
        return error(f"{check} dry run", str(cause), f"the API server refuses the {check}", fix)
    return ok(f"{check} dry run", f"{what} would be accepted")


def _fix_of(message: str, context: DoctorContext) -> str:
    """Returns the fix for what the API server refused."""
    if "RuntimeClass" in message:
        return "kubectl get runtimeclasses; runtime_class in k8s/site.yaml"
    if "unknown field" in message:
        return "correct the key in affinity or topology_spread in k8s/site.yaml: Kubernetes drops what it does not know"
    if "exceeded quota" in message:
        return "kubectl describe quota; lower resources in k8s/site.yaml"
    if "webhook" in message and "failed calling" in message:
        return f"kubectl -n {context.site.katib_namespace} rollout status deployment katib-controller"
    if "ValidatingAdmissionPolicy" in message or "admission webhook" in message:
        return "meet the rule with labels, annotations, resources or tolerations in k8s/site.yaml"
    if "PodSecurity" in message:
        return f"kubectl get namespace {context.site.namespace} --show-labels; the rendered pod meets restricted"
    if "LimitRange" in message or "maximum" in message or "minimum" in message:
        return "kubectl describe limitrange; change resources in k8s/site.yaml"
    return "make render MODEL=… > x.yaml; make check FILE=x.yaml"
