"""Reads k8s/site.yaml, which says where searches run, into a frozen `Site`."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from katib.defects import hyphenated, spelled
from katib.document import Image, Strict, load
from katib.errors import SiteError
from katib.program import k8s

SUFFIXES = ("m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti")
HIGHEST_ID = 2**31 - 1
"""The greatest runAsUser that Kubernetes accepts."""


def _quantity(text: str) -> str:
    """Returns the quantity that was probably meant: 32G for `32 GB`, 32Gi for `32gib`."""
    found = re.fullmatch(r"(\d+)\s*([A-Za-z]*?)[Bb]?", text.strip())
    suffixes = {suffix.lower(): suffix for suffix in SUFFIXES}
    return f"{found[1]}{suffixes.get(found[2].lower(), found[2])}" if found else text


def _folder(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text.strip("/ "))


Label = Annotated[
    str,
    spelled(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?",
        "have lower-case letters, digits and '-' only, not at its ends, and at most 63 characters",
        longest=63,
        near=hyphenated(63),
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
Folder = Annotated[
    str,
    spelled(
        r"(?!\.{1,2}$)[A-Za-z0-9_.-]*",
        "be the name of one folder, of letters, digits and _ . - only",
        near=_folder,
    ),
]


class Claims(Strict):
    """The PersistentVolumeClaims of the corpus (mounted read-only) and of the run directories."""

    data: Label
    runs: Label


class Resources(Strict):
    """What one trial requests."""

    gpus: int = Field(ge=0)
    cpu: Quantity
    memory: Quantity
    shared_memory: Quantity


class Toleration(Strict):
    """A Kubernetes toleration of the GPU nodes' taints."""

    key: str
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Wandb(Strict):
    """Weights & Biases: the project, and the Secret whose entry `api-key` holds the key."""

    project: Label
    secret: Label


class User(Strict):
    """The user and group ids of a trial's processes and files, never root's."""

    uid: int = Field(ge=1, le=HIGHEST_ID)
    gid: int = Field(ge=1, le=HIGHEST_ID)


class Site(Strict):
    """The names and sizes of one cluster."""

    namespace: Label
    image: Image
    claims: Claims
    data_folder: Folder = ""
    resources: Resources
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    kueue_queue: Label | None = None
    priority_class: Label | None = None
    pull_secrets: list[Label] = Field(default_factory=list)
    wandb: Wandb | None = None
    parallel_trials: int = Field(ge=1, le=1_000_000)
    room_minutes: int = Field(default=720, ge=0, lt=100_000)
    """Minutes that a trial waits for room on a full volume of run directories before it fails."""
    user: User


def default_site() -> Path:
    """Returns k8s/site.yaml of the current folder where there is one, or else our own."""
    return k8s() / "site.yaml"


def load_site(path: Path | None = None) -> Site:
    """Returns the site in `path`, by default that of `default_site`. Raises SiteError."""
    return load(path or default_site(), Site, SiteError)
