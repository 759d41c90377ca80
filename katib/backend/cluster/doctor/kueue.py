"""Checks that the queue which admits the trials has what one of them asks for: Kueue never admits anything else."""

from collections.abc import Iterator

from katib.backend.cluster.answers import NoKindError
from katib.backend.cluster.doctor.capacity import WAIT_IN_QUEUE, needs
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, quantity
from katib.backend.cluster.kinds import LOCAL_QUEUE, Kind
from katib.tree import Tree, items_at, text_at, texts_at

CLUSTER_QUEUE = Kind("cluster queue", "clusterqueues", LOCAL_QUEUE.version, LOCAL_QUEUE.group, namespaced=False)
CHECK = "Kueue quota"


def queue_resources(context: DoctorContext) -> Iterator[Result]:
    """Checks that the ClusterQueue behind the site's queue covers each resource of a trial, with a quota for one."""
    name = context.site.kueue_queue
    if name is None:
        return
    try:
        behind = text_at(context.cluster.get(LOCAL_QUEUE, name), "spec", "clusterQueue")
        queue = context.cluster.get(CLUSTER_QUEUE, behind) if behind else None
    except NoKindError:
        return  # the check `queue` reports it
    if queue is None:
        return
    wanted = {key.removeprefix("requests."): need for key, need in needs(context.pod).items() if "requests." in key}
    quotas = _quotas(queue)
    uncovered = sorted(set(wanted) - set(quotas))
    if uncovered:
        problem = f"ClusterQueue '{behind}' covers {', '.join(sorted(quotas)) or 'nothing'}, and not {uncovered[0]}"
        fix = f"kubectl edit clusterqueue {behind}: {uncovered[0]} in coveredResources, with a quota in each flavor"
        yield error(CHECK, problem, WAIT_IN_QUEUE, f"{fix}; or resources in k8s/site.yaml")
        return
    alone = not (text_at(queue, "spec", "cohort") or text_at(queue, "spec", "cohortName"))
    low = next((resource for resource, need in sorted(wanted.items()) if alone and need > quotas[resource]), None)
    if low is not None:
        problem = f"ClusterQueue '{behind}' has {quotas[low]:g} of {low}, a trial needs {wanted[low]:g}"
        fix = f"kubectl edit clusterqueue {behind}; or lower resources in k8s/site.yaml"
        yield error(CHECK, problem, WAIT_IN_QUEUE, fix)
    else:
        yield ok(CHECK, f"'{behind}' has room for a trial")


def _quotas(queue: Tree) -> dict[str, float]:
    """Returns the largest nominal quota that a flavor has of each covered resource."""
    found: dict[str, float] = {}
    for group in items_at(queue, "spec", "resourceGroups"):
        found |= {resource: found.get(resource, 0.0) for resource in texts_at(group, "coveredResources")}
        for flavor in items_at(group, "flavors"):
            for each in items_at(flavor, "resources"):
                amount = quantity(each.get("nominalQuota", "0"))
                found[text_at(each, "name")] = max(found.get(text_at(each, "name"), 0.0), amount)
    return found
