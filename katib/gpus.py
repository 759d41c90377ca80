"""Reads which GPUs a pod asks for: by the name of a resource, or by a claim of dynamic resource allocation (DRA).

A pod template that asks for something else than nvidia.com/gpu says so in annotations, which Kubernetes copies to its
pods; without them the names of well-known device plugins count.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from katib.tree import Tree, at, items_at, labels_at, texts_at

GPU_RESOURCE = "nvidia.com/gpu"
"""The resource of NVIDIA's device plugin."""
RESOURCE = "sepsweep/gpu-resource"
"""The annotation that names the resource which is a GPU."""
CLAIMED = "sepsweep/gpus"
"""The annotation with the number of GPUs that a pod's resource claims are for."""
SHARED = "sepsweep/trials-per-gpu"
"""The annotation with the number of trials that share a GPU."""
_KNOWN = re.compile(
    r"nvidia\.com/(gpu(\.shared)?|mig-[-\w.]+)|amd\.com/gpu|gpu\.intel\.com/(i915|xe)|habana\.ai/gaudi"
    r"|k8s\.amazonaws\.com/vgpu|volcano\.sh/vgpu-number"
)


def is_gpu(resource: str, named: str = "") -> bool:
    """Returns whether a resource is a GPU: the one that is `named`, or without a name a well-known one."""
    return resource == named if named else _KNOWN.fullmatch(resource) is not None


@dataclass(frozen=True)
class GpuNeed:
    """The GPUs that a pod asks for."""

    resource: str
    """The resource; empty where it asks by a claim, or for none."""
    count: int
    """The number of devices of that resource."""
    trials_per_gpu: int = 1
    """How many such pods share a GPU."""

    @property
    def share(self) -> float:
        """The part of a GPU that it holds, or the number of its GPUs; 0 where it asks for none."""
        return self.count if self.trials_per_gpu == 1 else self.count / self.trials_per_gpu

    @property
    def annotations(self) -> dict[str, str]:
        """What a pod template says of it; nothing for GPUs of its own by NVIDIA's plugin."""
        if not self.count:
            return {}
        shared = {SHARED: str(self.trials_per_gpu)} if self.trials_per_gpu > 1 else {}
        if not self.resource:
            return {CLAIMED: str(self.count)} | shared
        return ({} if self.resource == GPU_RESOURCE else {RESOURCE: self.resource}) | shared


def gpu_need(pod: Tree) -> GpuNeed:
    """Returns the GPUs of a Pod or of a pod template, that of all its containers together."""
    notes = labels_at(pod, "metadata", "annotations")
    amounts = _amounts(pod, notes.get(RESOURCE, ""))
    resource = next((name for name, amount in amounts.items() if amount), "")
    count = sum(amounts.values())
    if not resource and texts_at(pod, "spec", "resourceClaims"):
        count = _whole(notes.get(CLAIMED, ""))
    return GpuNeed(resource, count, max(1, _whole(notes.get(SHARED, ""))))


def _amounts(pod: Tree, named: str) -> Mapping[str, int]:
    """Returns how many of each resource that is a GPU the containers ask for."""
    found: dict[str, int] = {}
    for container in items_at(pod, "spec", "containers"):
        for name, amount in at(container, "resources", "limits").items():
            if is_gpu(name, named):
                found[name] = found.get(name, 0) + _whole(str(amount))
    return found


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0
