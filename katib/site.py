"""Reads k8s/site.yaml, which says where searches run, into a frozen `Site`."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from katib.defects import spelled
from katib.document import Image, Strict, load
from katib.errors import SiteError, SpecError
from katib.gpus import GPU_RESOURCE, GpuNeed
from katib.program import k8s
from katib.site_pods import (
    Affinity,
    GpuResource,
    Label,
    LabelValue,
    ObjectName,
    QualifiedName,
    Quantity,
    SecretKey,
    Spread,
    Toleration,
    Variable,
    Volume,
)
from katib.trainer_contract import CONTINUES, TRACKERS

HIGHEST_ID = 2**31 - 1
"""The greatest runAsUser that Kubernetes accepts."""
OWN_VARIABLES = ("HOME", "PYTHONUNBUFFERED", CONTINUES, TRACKERS)
TRACKED_VARIABLES = ("WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_API_KEY")
OWN_LABELS = ("app.kubernetes.io/managed-by", "katib.kubeflow.org/", "sepsweep/")
"""Keys of labels and annotations, or their beginnings, that the manifest and Katib write."""


def _folder(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text.strip("/ "))


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


class Storage(Strict):
    """How the claims are made that do not exist yet; null: they exist, or come from k8s/base."""

    data: Volume | None = None
    runs: Volume | None = None


class Resources(Strict):
    """What one trial requests."""

    gpus: int = Field(ge=0)
    gpu_resource: GpuResource = GPU_RESOURCE
    """The GPU as nodes name it: nvidia.com/gpu, nvidia.com/gpu.shared, nvidia.com/mig-1g.10gb, amd.com/gpu."""
    gpu_claim_template: ObjectName | None = None
    """A ResourceClaimTemplate (DRA) of the namespace in place of gpu_resource; it asks for as many GPUs as `gpus`."""
    trials_per_gpu: int = Field(default=1, ge=1, le=100)
    """How many trials share a GPU, by time-slicing, MPS or MIG; each counts this part of a GPU-hour."""
    cpu: Quantity
    memory: Quantity
    shared_memory: Quantity
    scratch: Quantity = "4Gi"
    """The most that a trial may write to /tmp."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.gpu_claim_template is not None and self.gpu_resource != GPU_RESOURCE:
            raise ValueError("gpu_claim_template stands in place of gpu_resource; leave one of the two out")
        if self.trials_per_gpu > 1 and self.gpus > 1:
            raise ValueError(
                f"gpus {self.gpus} and trials_per_gpu {self.trials_per_gpu}: a trial that shares a GPU has gpus: 1"
            )
        return self

    @property
    def gpu_need(self) -> GpuNeed:
        """The GPUs of a trial."""
        resource = "" if self.gpu_claim_template or not self.gpus else self.gpu_resource
        return GpuNeed(resource, self.gpus, self.trials_per_gpu)


def with_gpus(site: "Site", gpus: int | None) -> "Site":
    """Returns the site whose trials have so many GPUs each; None, or a site without GPUs: as it is.

    Raises SpecError where trials share a GPU.
    """
    if gpus is None or not site.resources.gpus:
        return site
    if gpus > 1 and site.resources.trials_per_gpu > 1:
        raise SpecError(
            f"gpus: {gpus} of the spec: on this site {site.resources.trials_per_gpu} trials share a GPU"
            " (trials_per_gpu); write 1"
        )
    return site.model_copy(update={"resources": site.resources.model_copy(update={"gpus": gpus})})


class Job(Strict):
    """How long a trial's Job tries, and how it ends."""

    retries: int = Field(default=3, ge=0, le=1000)
    """How often a trial that failed starts again from its checkpoint (backoffLimit); 0 where it has none."""
    grace_seconds: int = Field(default=120, ge=10, le=86400)
    """The time to save after SIGTERM (terminationGracePeriodSeconds)."""
    linger_seconds: int = Field(default=20, ge=0, le=3600)
    """How long a resumed run that finds itself finished stays, for the collector to read its history."""
    kept_days: int = Field(default=7, ge=0, le=3650)
    """How long Job and pod of an ended trial stay, for their logs (ttlSecondsAfterFinished)."""


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
    katib_namespace: Label = "kubeflow"
    """The namespace that Katib is installed in."""
    image: Image
    claims: Claims
    storage: Storage = Field(default_factory=Storage)
    data_folder: Folder = ""
    resources: Resources
    node_selector: dict[QualifiedName, LabelValue] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    affinity: Affinity = Field(default_factory=Affinity)
    topology_spread: list[Spread] = Field(default_factory=list)
    runtime_class: ObjectName | None = None
    """The RuntimeClass, such as nvidia where that is not the nodes' default."""
    scheduler: ObjectName | None = None
    """Another scheduler than the cluster's default one."""
    autoscaled: bool = False
    """Whether nodes appear when a trial waits for one, so that a pool without nodes is no fault."""
    kueue_queue: Label | None = None
    kueue_priority: ObjectName | None = None
    """The WorkloadPriorityClass by which Kueue orders and preempts the trials; their pods' priority stays."""
    priority_class: ObjectName | None = None
    service_account: ObjectName | None = None
    """The ServiceAccount of the trials' pods; null: default."""
    pull_secrets: list[ObjectName] = Field(default_factory=list)
    labels: dict[QualifiedName, LabelValue] = Field(default_factory=dict)
    """Further labels of the trials' pods."""
    annotations: dict[QualifiedName, str] = Field(default_factory=dict)
    """Further annotations of the trials' pods."""
    environment: dict[Variable, str] = Field(default_factory=dict)
    secret_environment: dict[Variable, SecretKey] = Field(default_factory=dict)
    """Environment variables whose values Secrets of the namespace hold."""
    wandb: Wandb | None = None
    trackers: list[Literal["wandb", "tensorboard"]] | None = None
    """What trials report to; null: W&B where `wandb` is set."""
    parallel_trials: int = Field(ge=1, le=1_000_000)
    room_minutes: int = Field(default=720, ge=0, lt=100_000)
    """Minutes that a trial waits for room on a full volume of run directories before it fails."""
    job: Job = Field(default_factory=Job)
    user: User
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = None
    """OnRootMismatch spares a large volume the change of its files' group at each start."""

    @model_validator(mode="after")
    def _queued(self) -> Self:
        if self.kueue_priority is not None and self.kueue_queue is None:
            raise ValueError("kueue_priority: has no effect without kueue_queue; name the queue, too, or leave it out")
        return self

    @model_validator(mode="after")
    def _free_names(self) -> Self:
        for name in self.trackers or ():
            if (self.trackers or []).count(name) > 1:
                raise ValueError(f"trackers: {name} is there twice; remove one of the two")
        if self.trackers and "wandb" in self.trackers and self.wandb is None:
            raise ValueError("trackers: wandb has no project; add wandb: {project, secret}, or leave it out")
        taken = OWN_VARIABLES + (TRACKED_VARIABLES if self.wandb else ())
        for key, names in (("environment", self.environment), ("secret_environment", self.secret_environment)):
            if given := [name for name in names if name in taken]:
                raise ValueError(f"{key}: the manifest sets {given[0]} itself; leave it out")
        if twice := self.environment.keys() & self.secret_environment.keys():
            raise ValueError(f"environment and secret_environment both have {min(twice)}; leave one of them out")
        for key, names in (("labels", self.labels), ("annotations", self.annotations)):
            if given := [name for name in names if name.startswith(OWN_LABELS)]:
                raise ValueError(f"{key}: the manifest writes {given[0]} itself; leave it out")
        return self


def default_site() -> Path:
    """Returns k8s/site.yaml of the current folder where there is one, or else our own."""
    return k8s() / "site.yaml"


def load_site(path: Path | None = None) -> Site:
    """Returns the site in `path`, by default that of `default_site`. Raises SiteError."""
    return load(path or default_site(), Site, SiteError)
