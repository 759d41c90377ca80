"""Where it runs: k8s/site.yaml, read into a frozen `Site`. Called by the renderer and by the cluster verbs."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from katib.document import Strict, load
from katib.errors import SiteError

SITE = Path(__file__).parent.parent / "k8s" / "site.yaml"

Label = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Quantity = Annotated[str, Field(pattern=r"^[1-9]\d*(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]


class Claims(Strict):
    """The PersistentVolumeClaims of the corpus (mounted read-only) and of the run directories."""

    data: Label
    runs: Label


class Resources(Strict):
    """What one trial asks for."""

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
    """Weights & Biases: the project, and the Secret whose key `api-key` holds the key."""

    project: Label
    secret: Label


class User(Strict):
    """The ids that a trial's processes and files have; never root."""

    uid: int = Field(ge=1)
    gid: int = Field(ge=1)


class Site(Strict):
    """One cluster's names and sizes."""

    namespace: Label
    image: str = Field(pattern=r"^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})$")
    claims: Claims
    data_folder: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$")
    resources: Resources
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    kueue_queue: Label | None = None
    priority_class: Label | None = None
    pull_secrets: list[Label] = Field(default_factory=list)
    wandb: Wandb | None = None
    parallel_trials: int = Field(ge=1)
    room_minutes: int = Field(default=720, ge=0, lt=100_000)
    """Minutes that a trial waits for room on a full volume of run directories before it fails."""
    user: User


def load_site(path: Path | None = None) -> Site:
    """The site of `path`, by default k8s/site.yaml. Raises SiteError."""
    return load(path or SITE, Site, SiteError)
