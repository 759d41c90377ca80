"""Models what a site says of the trials' pods: amounts, environment, tolerations, affinity, topology and volumes.

Where Kubernetes has a form of its own (affinity, tolerations, topologySpreadConstraints), a site has the same one, so
that it can be copied from a pod that runs.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from katib.defects import hyphenated, spelled
from katib.document import Strict
from katib.errors import nearest

SUFFIXES = ("m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti")
GPU_NAMES = ("nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu")
"""Names of resources that are suggested for a wrong one."""


def _quantity(text: str) -> str:
    """Returns the quantity that was probably meant: 32G for `32 GB`, 32Gi for `32gib`."""
    found = re.fullmatch(r"(\d+)\s*([A-Za-z]*?)[Bb]?", text.strip())
    suffixes = {suffix.lower(): suffix for suffix in SUFFIXES}
    return f"{found[1]}{suffixes.get(found[2].lower(), found[2])}" if found else text


def _device(text: str) -> str:
    """Returns the resource that was probably meant: nvidia.com/mig-1g.10gb for `mig-1g.10gb`."""
    bare = text.strip().removeprefix("requests.").removeprefix("limits.")
    if bare.startswith(("gpu", "mig-")):
        return f"nvidia.com/{bare}"
    hint = re.search(r"did you mean '(.*?)'", nearest(bare, GPU_NAMES))
    return hint[1] if hint else bare


Label = Annotated[
    str,
    spelled(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        "have lower-case letters, digits and '-' only, not at its ends, and at most 63 characters",
        longest=63,
        near=hyphenated(63),
    ),
]
ObjectName = Annotated[
    str,
    spelled(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "be the name of an object: lower-case letters, digits, '-' and '.', at most 253",
        longest=253,
        near=hyphenated(253),
    ),
]
Quantity = Annotated[
    str,
    spelled(
        rf"[1-9]\d*({'|'.join(SUFFIXES)})?",
        "be a whole quantity of Kubernetes, such as 8, 500m or 32Gi",
        near=_quantity,
    ),
]
GpuResource = Annotated[
    str,
    spelled(
        r"(?!requests\.|limits\.|kubernetes\.io/)[a-z0-9]([-a-z0-9.]*[a-z0-9])?\.[a-z]+/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?",
        "be a resource as `kubectl describe nodes` names it, such as nvidia.com/gpu or nvidia.com/mig-1g.10gb",
        longest=253,
        near=_device,
    ),
]
_QUALIFIED = r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
QualifiedName = Annotated[
    str, spelled(_QUALIFIED, "be a key of Kubernetes, such as team or example.org/team", longest=253)
]
LabelValue = Annotated[
    str,
    spelled(
        r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?",
        "be the value of a label: letters, digits, '-', '_' and '.', at most 63",
        longest=63,
    ),
]
Variable = Annotated[
    str, spelled(r"[A-Za-z_][A-Za-z0-9_.-]*", "be the name of an environment variable, such as NCCL_DEBUG")
]
SecretEntry = Annotated[str, spelled(r"[-._A-Za-z0-9]+", "be a key of a Secret: letters, digits, '-', '_' and '.'")]
Rule = dict[str, JsonValue]
"""A part of a pod in Kubernetes' own form, which the API server checks."""


class SecretKey(Strict):
    """An entry of a Secret."""

    secret: ObjectName
    key: SecretEntry


class Toleration(Strict):
    """A toleration in Kubernetes' form; without an operator it is Equal where there is a value, else Exists."""

    key: QualifiedName | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = Field(default=None, ge=0)  # noqa: N815  (Kubernetes' own word)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.key is None and self.rule == "Equal":
            raise ValueError("key 'key' is missing; a toleration without one needs operator: Exists")
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists takes no value; leave one of the two out")
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            missing = "key 'effect' is missing; " if self.effect is None else ""
            raise ValueError(f"{missing}tolerationSeconds needs effect: NoExecute")
        return self

    @property
    def rule(self) -> str:
        """The operator that holds."""
        return self.operator or ("Exists" if self.value is None else "Equal")


class Affinity(Strict):
    """A pod's affinity, in Kubernetes' form."""

    nodeAffinity: Rule = Field(default_factory=dict)  # noqa: N815
    podAffinity: Rule = Field(default_factory=dict)  # noqa: N815
    podAntiAffinity: Rule = Field(default_factory=dict)  # noqa: N815

    @property
    def tree(self) -> dict[str, Rule]:
        """What of it is given."""
        return {name: rule for name, rule in self.model_dump().items() if rule}


class Spread(Strict):
    """An entry of topologySpreadConstraints, in Kubernetes' form; without a labelSelector it counts all our trials."""

    topologyKey: QualifiedName  # noqa: N815
    maxSkew: int = Field(default=1, ge=1)  # noqa: N815
    whenUnsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "ScheduleAnyway"  # noqa: N815
    labelSelector: Rule | None = None  # noqa: N815
    matchLabelKeys: list[QualifiedName] | None = None  # noqa: N815
    minDomains: int | None = Field(default=None, ge=1)  # noqa: N815
    nodeAffinityPolicy: Literal["Honor", "Ignore"] | None = None  # noqa: N815
    nodeTaintsPolicy: Literal["Honor", "Ignore"] | None = None  # noqa: N815

    @property
    def tree(self) -> Rule:
        """What of it is given, with the labels that all our trials have where no others are."""
        every = {"matchLabels": {"app.kubernetes.io/managed-by": "sepsweep"}}
        return {"labelSelector": every, **self.model_dump(exclude_none=True)}


class Volume(Strict):
    """A PersistentVolumeClaim that `sepsweep claims` writes."""

    size: Quantity
    storage_class: ObjectName | None = None
    """The StorageClass; null takes the cluster's default one."""
    access: Literal["ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce", "ReadWriteOncePod"] = "ReadWriteMany"
    """ReadWriteMany where trials run on several nodes, ReadWriteOnce on one."""
