"""Checks whether there is room for the trials: quotas, and nodes with their GPUs."""

from collections.abc import Iterator, Mapping, Sequence

from katib.backend.cluster.doctor.devices import device_quota, lacking
from katib.backend.cluster.doctor.nodes import usable
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, quantity, warning
from katib.backend.cluster.kinds import NODE, QUOTA
from katib.backend.cluster.objects import Node, read_node, read_quota
from katib.tree import Tree, at, items_at


def quota(context: DoctorContext) -> Iterator[Result]:
    """Checks that one trial fits into what the quotas allow, and all parallel ones into what is left of it."""
    each_trial = {**needs(context.pod), **device_quota(context), "pods": 1.0, "count/jobs.batch": 1.0}
    tight = False
    for each in map(read_quota, context.cluster.list(QUOTA)):
        show = f"kubectl describe quota {each.name}"
        for resource, need in each_trial.items():
            if resource not in each.hard or not need:
                continue
            limit, used = quantity(each.hard[resource]), quantity(each.used.get(resource, "0"))
            usage = f"{each.used.get(resource, 0)} of {each.hard[resource]} used"
            problem = f"'{each.name}' {resource}: {usage}, a trial needs {need:g}"
            if need > limit:
                fix = f"{show}; lower resources in k8s/site.yaml, or ask for a larger quota"
                yield error("quota", problem, "no trial can ever be created", fix)
            elif need > limit - used:
                yield error("quota", problem, "it is full: trials wait until others end", show)
            elif need * context.parallel > limit - used:
                fitting = int((limit - used) // need)
                yield warning(
                    "quota",
                    f"{problem}; {fitting} of {context.parallel} fit",
                    "the others wait, though their values are chosen already",
                    f"PARALLEL={max(1, fitting)}, or parallel_trials in k8s/site.yaml",
                )
            else:
                continue
            tight = True
    if not tight:
        yield ok("quota", f"{context.parallel} parallel trials fit")


def capacity(context: DoctorContext) -> Iterator[Result]:
    """Checks that a node takes a trial (labels, taints, GPUs, memory), and that parallel ones have GPUs."""
    nodes, gpu = [read_node(item) for item in context.cluster.list(NODE)], context.gpus.resource
    problem, fitting = usable(nodes, context.admitted)
    if fitting and gpu:
        problem = problem or lacking(fitting, nodes, gpu)
    problem = problem or _too_small(fitting, needs(context.pod), gpu)
    if problem and context.grows:
        effect = f"trials wait until {context.grows} adds a node that takes them; for ever, if it has none such"
        problem = warning(problem.check, problem.problem, effect, problem.fix)
        problem = (
            ok(problem.check, f"{problem.problem}; {context.grows} adds one") if context.site.autoscaled else problem
        )
    yield problem or _places(context, fitting)


def _too_small(nodes: Sequence[Node], need: Mapping[str, float], gpu: str) -> Result | None:
    """Returns the result for the first resource of which no node has enough for a trial; None where there is none."""
    for resource, name in ((gpu, "GPUs"), ("memory", "memory"), ("cpu", "CPU")):
        wanted = need.get(f"requests.{resource}", 0.0)
        largest = max(quantity(node.allocatable.get(resource, "0")) for node in nodes)
        if wanted > largest:
            problem = f"a trial needs {wanted:g}, the largest node has {largest:g}"
            show = "kubectl describe nodes | grep -A8 Allocatable"
            return error(name, problem, "no node can take a trial", f"{show}; lower resources in k8s/site.yaml")
    return None


def _places(context: DoctorContext, nodes: Sequence[Node]) -> Result:
    """Returns the result for how many trials the GPUs of the nodes take at a time."""
    gpus = context.gpus
    if not gpus.resource:
        return ok("nodes", f"{len(nodes)} take a trial, which requests no GPU")
    places = sum(int(quantity(node.allocatable.get(gpus.resource, "0")) // gpus.count) for node in nodes)
    problem = f"{len(nodes)} nodes have GPUs for {places} trials at a time; {context.parallel} are wanted"
    if places >= context.parallel:
        return ok("GPUs", problem)
    effect = "the others count as running while they wait, though their values are chosen already"
    return warning("GPUs", problem, effect, f"PARALLEL={places}, or parallel_trials in k8s/site.yaml")


def needs(pod: Tree) -> dict[str, float]:
    """Returns what a quota counts of a pod: `requests.memory`, `limits.memory`, …; requests default to limits."""
    total: dict[str, float] = {}
    for container in items_at(pod, "containers"):
        limits = at(container, "resources", "limits")
        requests = {**limits, **at(container, "resources", "requests")}
        for group, values in (("limits", limits), ("requests", requests)):
            for resource, value in values.items():
                key = f"{group}.{resource}"
                total[key] = total.get(key, 0.0) + quantity(value)
    return total
