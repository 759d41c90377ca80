"""Checks that Kueue admits the trials: the queue, its quota for one of them, and their workload priority class."""

from collections.abc import Iterator

from katib.backend.cluster.answers import NoKindError
from katib.backend.cluster.doctor.capacity import needs
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, quantity
from katib.backend.cluster.kinds import CLUSTER_QUEUE, LOCAL_QUEUE, QUEUE_PRIORITY
from katib.backend.cluster.kueue import VERSIONS, served
from katib.tree import Tree, items_at, text_at, texts_at

CHECK = "Kueue quota"
WAIT_IN_QUEUE = "nothing admits the trials: they wait for ever"


def queue(context: DoctorContext) -> Iterator[Result]:
    """Checks the Kueue queue of the trials."""
    name = context.queue
    if name is None:
        return
    try:
        kind = served(context.cluster, LOCAL_QUEUE)
        item = context.cluster.get(kind, name)
    except NoKindError:
        fix = "install Kueue, or set kueue_queue: null in k8s/site.yaml"
        yield error("Kueue queue", "Kueue is not installed", WAIT_IN_QUEUE, fix)
        return
    if item is None:
        make = "kubectl apply -k k8s/kueue"
        if kind.version != VERSIONS[0]:
            make = f"kubectl kustomize k8s/kueue | sed s/{VERSIONS[0]}/{kind.version}/ | kubectl apply -f -"
        yield error("Kueue queue", f"no LocalQueue '{name}'", WAIT_IN_QUEUE, f"kubectl get localqueues; {make}")
        return
    active = next((each for each in items_at(item, "status", "conditions") if text_at(each, "type") == "Active"), {})
    if text_at(active, "status") == "False":
        problem = f"'{name}' is not active: {text_at(active, 'message')}"
        yield error("Kueue queue", problem, "nothing admits the trials", f"kubectl describe localqueue {name}")
    else:
        unnamed = ", into which Kueue puts each Job that names none" if context.site.kueue_queue is None else ""
        yield ok("Kueue queue", f"{name} ({kind.version}){unnamed}")


def queue_priority(context: DoctorContext) -> Iterator[Result]:
    """Checks the WorkloadPriorityClass that the site names."""
    name = context.site.kueue_priority
    if name is None:
        return
    try:
        found = context.cluster.get(served(context.cluster, QUEUE_PRIORITY), name)
    except NoKindError:
        return  # the check `queue` reports it
    if found is None:
        fix = f"kubectl get workloadpriorityclasses; drop kueue_priority from k8s/site.yaml, or make '{name}'"
        effect = "Kueue refuses the trials' Jobs, or never admits them"
        yield error("Kueue priority", f"no WorkloadPriorityClass '{name}'", effect, fix)
    else:
        yield ok("Kueue priority", f"{name}, {found.get('value')}")


def queue_resources(context: DoctorContext) -> Iterator[Result]:
    """Checks that the ClusterQueue behind that queue covers each resource of a trial, with a quota for one."""
    name = context.queue
    if name is None:
        return
    try:
        behind = text_at(context.cluster.get(served(context.cluster, LOCAL_QUEUE), name), "spec", "clusterQueue")
        queue = context.cluster.get(served(context.cluster, CLUSTER_QUEUE), behind) if behind else None
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
        never = text_at(queue, "spec", "preemption", "withinClusterQueue") in ("", "Never")
        order = "; it preempts no trial of its own, kueue_priority only orders the queue"
        yield ok(CHECK, f"'{behind}' has room for a trial{order if never and context.site.kueue_priority else ''}")


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
