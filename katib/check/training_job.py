"""Checks what Kubeflow's training operators require of their jobs.

Those of v1 are in its webhooks (pkg/webhooks of v1.9), those of v2 follow from the names in its runtimes.
"""

from collections.abc import Iterator

from katib.check.finding import Defect, error, warning
from katib.check.kinds import REPLICAS
from katib.check.node import Node
from katib.errors import nearest

CONTAINERS = {"PyTorchJob": "pytorch", "TFJob": "tensorflow", "XGBoostJob": "xgboost"}
ROLES = {"PyTorchJob": ("Master", "Worker"), "XGBoostJob": ("Master", "Worker")}
NODE = "node"
"""The container's name in pkg/constants of the trainer v2."""

OPERATOR = error(
    "training-job",
    finds="a PyTorchJob, TFJob or XGBoostJob with a replica that lacks the container of the kind's name (pytorch,"
    " tensorflow, xgboost) or has an unknown role, with more than one Master, or without replicas; a TrainJob without"
    " runtimeRef",
    effect="the training operator refuses the job of each trial, and no trial starts",
    fix="name the container that trains as the kind has it, and write the same in primaryContainerName",
)
TRAIN_JOB = warning(
    "train-job-container",
    finds=f"a TrainJob whose primaryContainerName is not {NODE}",
    effect=f"the runtimes of the trainer v2 call it {NODE}; Katib's pod webhook refuses pods without the container"
    " that is named",
    fix=f"write {NODE}, unless the runtime has a container of that name",
)


def training_job(trial: Node, primary: Node) -> Iterator[Defect]:
    """Yields the defects of a trial of one of Kubeflow's kinds; `primary` is primaryContainerName."""
    kind, version = trial["kind"].text or "", trial["apiVersion"].text
    if kind == "TrainJob" and version == "trainer.kubeflow.org/v1alpha1":
        reference = trial["spec"]["runtimeRef"]["name"]
        if reference.empty:
            yield OPERATOR.at(reference, "is missing", fix="name a training runtime: torch-distributed")
        if primary.text and primary.text != NODE:
            yield TRAIN_JOB.at(primary, f"is '{primary.text}'")
    elif kind in CONTAINERS and version == "kubeflow.org/v1":
        yield from _replicas(trial["spec"][REPLICAS[kind]], kind)


def _replicas(replicas: Node, kind: str) -> Iterator[Defect]:
    if replicas.empty:
        yield OPERATOR.at(replicas, "is missing", fix=f"add {replicas.path[-1]}, a mapping of roles")
    for role, replica in replicas.entries.items():
        if kind in ROLES and role not in ROLES[kind]:
            yield OPERATOR.at(
                replica,
                f"a {kind} has no role '{role}': {nearest(role, ROLES[kind])}",
                fix="correct the role",
            )
        if role == "Master" and kind in ROLES and replica["replicas"].integer not in (None, 1):
            yield OPERATOR.at(replica["replicas"], f"is {replica['replicas'].integer}", fix="write 1; more are Workers")
        containers = replica["template"]["spec"]["containers"]
        if CONTAINERS[kind] not in [item["name"].text for item in containers.items]:
            yield OPERATOR.at(containers, f"none is named '{CONTAINERS[kind]}'")
    if kind == "XGBoostJob" and replicas.entries and "Master" not in replicas.entries:
        yield OPERATOR.at(replicas["Master"], "is missing", fix="add a Master")
