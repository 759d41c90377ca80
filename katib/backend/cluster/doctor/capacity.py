"""Quota, GPUs and queue: is there room for the trials."""

from collections.abc import Iterator, Mapping
from typing import Any

from katib.backend.cluster.answers import NoKindError
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, quantity, warning
from katib.backend.cluster.kinds import GPU, LOCAL_QUEUE, NODE, QUOTA, Object


def quota(context: DoctorContext) -> Iterator[Result]:
    """Yields one trial fits into what the quotas allow at all, and all parallel ones into what is left."""
    needs = _needs(context.pod["spec"])
    tight = False
    for found in context.cluster.list(QUOTA):
        name, status = found["metadata"]["name"], found.get("status") or {}
        hard, used = status.get("hard") or found["spec"].get("hard") or {}, status.get("used") or {}
        for resource, need in {**needs, "pods": 1.0, "count/jobs.batch": 1.0}.items():
            if resource not in hard or not need:
                continue
            limit, taken = quantity(hard[resource]), quantity(used.get(resource, "0"))
            text = f"'{name}' {resource}: {used.get(resource, 0)} of {hard[resource]} used, a trial needs {need:g}"
            show = f"kubectl describe quota {name}"
            if need > limit:
                tight = True
                yield error(
                    "quota",
                    text,
                    "no trial can ever be created",
                    f"{show}; lower resources in k8s/site.yaml, or ask for more",
                )
            elif need > limit - taken:
                tight = True
                yield error("quota", text, "it is full: trials wait until others end", show)
            elif need * context.parallel > limit - taken:
                tight = True
                fitting = int((limit - taken) // need)
                fix = f"PARALLEL={max(1, fitting)}, or parallel_trials in k8s/site.yaml"
                yield warning(
                    "quota",
                    f"{text}; {fitting} of {context.parallel} fit",
                    "the others wait, chosen with less knowledge",
                    fix,
                )
    if not tight:
        yield ok("quota", f"{context.parallel} parallel trials fit")


def capacity(context: DoctorContext) -> Iterator[Result]:
    """Yields a node exists that takes a trial: labels, taints, GPUs, memory; and GPUs for the parallel ones."""
    pod = context.pod["spec"]
    need = _needs(pod)
    nodes = context.cluster.list(NODE)
    if not nodes:
        yield error("nodes", "the cluster has no nodes", "no pod can start", "kubectl get nodes")
        return
    selector = pod.get("nodeSelector") or {}
    labelled = [node for node in nodes if selector.items() <= (node["metadata"].get("labels") or {}).items()]
    if not labelled:
        text = ", ".join(f"{key}={value}" for key, value in selector.items())
        yield error(
            "node selector",
            f"no node has {text}",
            "trial pods wait for ever",
            "kubectl get nodes --show-labels; correct node_selector in k8s/site.yaml",
        )
        return
    open_ones = [node for node in labelled if not node["spec"].get("unschedulable")]
    if not open_ones:
        found = f"all {len(labelled)} that could take a trial are cordoned"
        yield error("nodes", found, "no trial pod can start", "kubectl get nodes; kubectl uncordon NODE")
        return
    tolerated = [node for node in open_ones if not _untolerated(node, pod)]
    if not tolerated:
        taint = _untolerated(open_ones[0], pod)
        yield error(
            "taints",
            f"every such node has a taint like {taint}",
            "trial pods wait for ever",
            "add it to tolerations in k8s/site.yaml",
        )
        return
    have = {node["metadata"]["name"]: node["status"].get("allocatable") or {} for node in tolerated}
    for resource, name in ((GPU, "GPUs"), ("memory", "memory"), ("cpu", "CPU")):
        wanted = need.get(f"requests.{resource}", 0.0)
        most = max(quantity(allocatable.get(resource, "0")) for allocatable in have.values())
        if wanted > most:
            effect = "no node can take a trial"
            fix = "kubectl describe nodes | grep -A8 Allocatable; " + (
                "install the GPU device plugin" if resource == GPU and not most else "lower resources in k8s/site.yaml"
            )
            yield error(name, f"a trial needs {wanted:g}, the largest node has {most:g}", effect, fix)
            return
    gpus = need.get(f"requests.{GPU}", 0.0)
    if gpus:
        places = sum(int(quantity(allocatable.get(GPU, "0")) // gpus) for allocatable in have.values())
        text = f"{places} trials at a time have GPUs on {len(have)} nodes, {context.parallel} are asked for"
        if places < context.parallel:
            fix = f"PARALLEL={places}, or parallel_trials in k8s/site.yaml"
            yield warning("GPUs", text, "the others count as running while they wait, chosen with less knowledge", fix)
        else:
            yield ok("GPUs", text)
    else:
        yield ok("nodes", f"{len(have)} take a trial; it asks for no GPU")


def queue(context: DoctorContext) -> Iterator[Result]:
    """Yields the Kueue queue that the site names."""
    name = context.site.kueue_queue
    if name is None:
        return
    try:
        found = context.cluster.get(LOCAL_QUEUE, name)
    except NoKindError:
        yield error(
            "Kueue queue",
            "Kueue is not installed",
            "nothing admits the trials: they wait for ever",
            "install Kueue, or set kueue_queue: null in k8s/site.yaml",
        )
        return
    if found is None:
        yield error(
            "Kueue queue",
            f"no LocalQueue '{name}'",
            "nothing admits the trials: they wait for ever",
            "kubectl get localqueues; kubectl apply -k k8s/kueue",
        )
        return
    active: Object = next(
        (item for item in (found.get("status") or {}).get("conditions") or [] if item["type"] == "Active"), {}
    )
    if active.get("status") == "False":
        yield error(
            "Kueue queue",
            f"'{name}' is not active: {active.get('message', '')}",
            "nothing admits the trials",
            f"kubectl describe localqueue {name}",
        )
    else:
        yield ok("Kueue queue", name)


def _needs(pod: Object) -> dict[str, float]:
    """Returns what a quota counts of one pod: `requests.memory`, `limits.memory`, …; requests default to limits."""
    total: dict[str, float] = {}
    for container in pod["containers"]:
        resources: Mapping[str, Any] = container.get("resources") or {}
        limits = resources.get("limits") or {}
        for group, values in (
            ("limits", limits),
            ("requests", {**limits, **(resources.get("requests") or {})}),
        ):
            for key, text in values.items():
                total[f"{group}.{key}"] = total.get(f"{group}.{key}", 0.0) + quantity(text)
    return total


def _untolerated(node: Object, pod: Object) -> str:
    """Returns the first taint of the node that keeps the pod away, or ''."""
    for taint in node["spec"].get("taints") or []:
        if taint["effect"] == "PreferNoSchedule":
            continue
        if not any(_tolerates(item, taint) for item in pod.get("tolerations") or []):
            value = f"={taint['value']}" if taint.get("value") else ""
            return f"{taint['key']}{value}:{taint['effect']}"
    return ""


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in (None, taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""))
