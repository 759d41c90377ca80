"""Checks the GPUs of a trial by the name that the site gives them: a resource of nodes, or a claim template (DRA)."""

from collections.abc import Iterator, Sequence

from katib.backend.cluster.answers import ForbiddenError, NoKindError
from katib.backend.cluster.doctor.nodes import usable
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import CLAIM_TEMPLATE, DEVICE_CLASS, DRA_VERSIONS, NODE, RESOURCE_SLICE, Kind, name_of
from katib.backend.cluster.objects import Node, read_node
from katib.errors import nearest
from katib.gpus import GPU_RESOURCE, is_gpu
from katib.tree import Tree, at, items_at, text_at

CHECK, CHECK_SHARING = "GPU claim", "GPU sharing"
NO_POD = "trial pods wait for ever: nothing makes their claim"


def sharing(context: DoctorContext) -> Iterator[Result]:
    """Checks that a trial asks for one slice or replica of a GPU, which is all it can use, and how that is shared."""
    need = context.gpus
    if need.count > 1 and "/mig-" in need.resource:
        problem = f"a trial asks for {need.count} of {need.resource}, and a CUDA process uses one MIG slice"
        fix = "resources.gpus: 1 in k8s/site.yaml, or a larger slice"
        yield error(CHECK_SHARING, problem, "the others are held and do nothing", fix)
    elif need.count > 1 and need.resource.endswith(".shared"):
        problem = f"a trial asks for {need.count} of {need.resource}, which may be replicas of one GPU"
        fix = "resources.gpus: 1 in k8s/site.yaml, and trials_per_gpu"
        yield warning(CHECK_SHARING, problem, "it gets no more of the GPU than by one", fix)
    elif need.count and "/mig-" not in need.resource:
        yield from _shared(context)


def _shared(context: DoctorContext) -> Iterator[Result]:
    """Compares the trials on a GPU with the labels of GPU feature discovery, and says what time-slicing means.

    The device plugin gives each client of MPS its part of the memory; time-slicing gives each all of it.
    """
    trials = context.gpus.trials_per_gpu
    try:
        everywhere = [read_node(item) for item in context.cluster.list(NODE)]
    except ForbiddenError:
        everywhere = []
    nodes = usable(everywhere, context.admitted)[1] if everywhere else []
    told = [node.labels for node in nodes if node.allocatable.get(context.gpus.resource, "0") != "0"]
    replicas = {int(text) for labels in told if (text := labels.get(f"{GPU_RESOURCE}.replicas", "")).isdecimal()} - {0}
    if other := sorted(replicas - {trials}):
        problem = f"nodes offer each GPU {other[0]} times ({GPU_RESOURCE}.replicas), and trials_per_gpu is {trials}"
        effect = "GPU-hours, plan and budget count what the site says"
        yield warning(CHECK_SHARING, problem, effect, f"resources.trials_per_gpu: {other[0]} in k8s/site.yaml")
    if max([trials, *replicas]) == 1:
        return
    by = {labels.get(f"{GPU_RESOURCE}.sharing-strategy", "") for labels in told}
    if by == {"mps"}:
        yield ok(CHECK_SHARING, f"trials share a GPU by MPS, {trials} on each, each with its part of the memory")
        return
    sizes = [int(text) for labels in told if (text := labels.get(f"{GPU_RESOURCE}.memory", "")).isdecimal()]
    part = f", {min(sizes) * (1 << 20) / trials / 1e9:.2g} GB for each" if sizes else ""
    how = "by time-slicing" if "time-slicing" in by else "by time-slicing, unless an administrator says MPS"
    problem = f"trials share a GPU {how}, {trials} on each{part}"
    effect = "it keeps no memory apart: a trial that takes too much ends the others, too, out of memory"
    fix = "let batch_size fit (python -m trainer describe says the memory of a step), or share by MPS or MIG"
    yield warning(CHECK_SHARING, problem, effect, fix)


def lacking(nodes: Sequence[Node], everywhere: Sequence[Node], resource: str) -> Result | None:
    """Returns the result for a GPU resource that none of the `nodes` has; None where one has it."""
    if any(node.allocatable.get(resource, "0") != "0" for node in nodes):
        return None
    others = [node for node in everywhere if node not in nodes and node.allocatable.get(resource, "0") != "0"]
    if others:
        problem = f"{resource} is on nodes that a trial may not run on: {', '.join(node.name for node in others[:3])}"
        fix = f"kubectl describe node {others[0].name}; correct node_selector, affinity or tolerations in k8s/site.yaml"
        return error("GPUs", problem, "no node can take a trial", fix)
    names = {name for node in nodes for name, amount in node.allocatable.items() if is_gpu(name) and amount != "0"}
    if not names:
        fix = "kubectl describe nodes | grep -A8 Allocatable; install the GPU device plugin"
        return error("GPUs", f"no node has {resource}, or another GPU", "no node can take a trial", fix)
    known = ", ".join(sorted(names))
    hint = nearest(resource, sorted(names))
    wanted = hint.split("'")[1] if hint.startswith("did you mean") else min(names)
    fix = f"resources.gpu_resource: {wanted} in k8s/site.yaml"
    return error("GPUs", f"no node has {resource}; nodes have {known}", "no node can take a trial", fix)


def gpu_claim(context: DoctorContext) -> Iterator[Result]:
    """Checks the claim template that the site names, its device classes, and that a node offers devices."""
    name = context.site.resources.gpu_claim_template
    if name is None or not context.site.resources.gpus:
        return
    version = _version(context)
    if version is None:
        fix = "resources.gpu_resource in place of gpu_claim_template in k8s/site.yaml, or Kubernetes 1.34"
        yield error(CHECK, "the API server has no dynamic resource allocation (resource.k8s.io)", NO_POD, fix)
        return
    template = context.cluster.get(_at(CLAIM_TEMPLATE, version), name)
    if template is None:
        there = ", ".join(map(name_of, context.cluster.list(_at(CLAIM_TEMPLATE, version)))) or "none"
        fix = f"kubectl -n {context.site.namespace} create -f TEMPLATE.yaml, or resources.gpu_claim_template of these"
        yield error(CHECK, f"no ResourceClaimTemplate '{name}' (there: {there})", NO_POD, fix)
        return
    requests = [at(each, "exactly") or each for each in items_at(template, "spec", "spec", "devices", "requests")]
    for each in dict.fromkeys(text_at(request, "deviceClassName") for request in requests):
        if each and context.cluster.get(_at(DEVICE_CLASS, version), each) is None:
            fix = f"kubectl get deviceclasses; install the driver of {each}, or correct the template"
            yield error(CHECK, f"'{name}' wants device class '{each}', which does not exist", NO_POD, fix)
            return
    yield from _counted(context, name, requests)
    yield _offered(context, name, version)


def _counted(context: DoctorContext, name: str, requests: Sequence[Tree]) -> Iterator[Result]:
    """Compares the devices of the template with the GPUs of the site."""
    gpus, counts = context.site.resources.gpus, [request.get("count", 1) for request in requests]
    every = any(text_at(request, "allocationMode") == "All" for request in requests)
    devices = sum(count for count in counts if isinstance(count, int))
    if devices != gpus and not every:
        problem = f"'{name}' asks for {devices}, and the site says gpus: {gpus}"
        effect = "GPU-hours, plan and budget count what the site says"
        yield warning(CHECK, problem, effect, f"resources.gpus: {devices} in k8s/site.yaml")


def _offered(context: DoctorContext, name: str, version: str) -> Result:
    try:
        slices = context.cluster.list(_at(RESOURCE_SLICE, version))
    except ForbiddenError:
        return ok(CHECK, f"'{name}' exists; which nodes offer devices you may not see")
    if any(items_at(each, "spec", "devices") for each in slices):
        return ok(CHECK, f"'{name}', devices of {len(slices)} resource slices")
    fix = "kubectl get resourceslices; install the driver's kubelet plugin (NVIDIA: k8s-dra-driver-gpu)"
    if context.grows:
        return warning(CHECK, "no node offers a device yet", f"trials wait until {context.grows} adds a node", fix)
    return error(CHECK, "no node offers a device", "trial pods wait for ever", fix)


def device_quota(context: DoctorContext) -> dict[str, float]:
    """Returns what a quota counts of a trial's claim, by device class; empty without one."""
    name = context.site.resources.gpu_claim_template
    version = _version(context) if name and context.site.resources.gpus else None
    if name is None or version is None:
        return {}
    found: dict[str, float] = {}
    template = context.cluster.get(_at(CLAIM_TEMPLATE, version), name)
    for each in items_at(template, "spec", "spec", "devices", "requests"):
        request = at(each, "exactly") or each
        key, count = f"{text_at(request, 'deviceClassName')}.deviceclass.resource.k8s.io/devices", request.get("count")
        found[key] = found.get(key, 0.0) + (count if isinstance(count, int) else 1)
    return found


def _version(context: DoctorContext) -> str | None:
    """Returns the version in which the API server has dynamic resource allocation; None where it has none."""
    for version in DRA_VERSIONS:
        try:
            context.cluster.list(_at(CLAIM_TEMPLATE, version))
        except NoKindError:
            continue
        return version
    return None


def _at(kind: Kind, version: str) -> Kind:
    return Kind(kind.name, kind.plural, version, kind.group, kind.namespaced)
