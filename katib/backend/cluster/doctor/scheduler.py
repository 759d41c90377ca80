"""Finds signs that a scheduler of the site's name exists. Kubernetes keeps no list of schedulers."""

from collections.abc import Iterator

from katib.backend.cluster.answers import ForbiddenError
from katib.backend.cluster.doctor.result import DoctorContext, Result, ok, unknown, warning
from katib.backend.cluster.kinds import DEPLOYMENT, POD, Object
from katib.errors import nearest
from katib.tree import at, items_at, text_at

CHECK, OF_THE_CLUSTER = "scheduler", "default-scheduler"
FIX = "kubectl get deployments -A shows how yours is called; scheduler: null in k8s/site.yaml for the cluster's own"


def scheduler(context: DoctorContext) -> Iterator[Result]:
    """Checks that a scheduler of the site's name has judged a pod, or that a Deployment like it is available.

    No sign of one is no proof: a scheduler of a managed cluster may be seen nowhere. So it is a warning at the most.
    """
    name = context.site.scheduler
    if name is None or name == OF_THE_CLUSTER:
        return
    try:
        pods, everywhere = context.cluster.list(POD, namespace="", fields=f"spec.schedulerName={name}"), True
    except ForbiddenError:
        pods, everywhere = context.cluster.list(POD, fields=f"spec.schedulerName={name}"), False
    if any(map(_judged, pods)):
        yield ok(CHECK, f"'{name}' has judged pods")
        return
    try:
        running = [
            text_at(item, "metadata", "name")
            for item in context.cluster.list(DEPLOYMENT, namespace="")
            if _available(item)
        ]
    except ForbiddenError:
        running, everywhere = [], False
    if like := next((each for each in running if name in each), ""):
        yield ok(CHECK, f"'{name}', by its name that of the Deployment {like}")
    elif not everywhere:
        yield unknown(CHECK, f"you may not see whether '{name}' exists; ask an administrator to run make doctor")
    else:
        schedulers = [each for each in running if "scheduler" in each]
        hint = f": {nearest(name, schedulers)}" if schedulers else ""
        waiting = f", {len(pods)} of its pods have been looked at by none" if pods else ""
        problem = f"no pod was placed by '{name}'{waiting}, and no Deployment that runs is called like it{hint}"
        yield warning(CHECK, problem, "where there is none of that name, trial pods stay Pending for ever", FIX)


def _judged(pod: Object) -> bool:
    """Returns whether a scheduler has placed the pod, or has said why it could not."""
    conditions = items_at(pod, "status", "conditions")
    return bool(text_at(pod, "spec", "nodeName")) or any(each.get("type") == "PodScheduled" for each in conditions)


def _available(deployment: Object) -> bool:
    return bool(at(deployment, "status").get("availableReplicas"))
