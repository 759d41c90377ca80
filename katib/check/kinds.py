"""Finds the pods of each kind of trial that Katib watches, and those that Katib puts its collector into.

The labels of the primary pod are in experiment_defaults.go: Kubeflow's operator labels one pod job-role: master.
"""

from collections.abc import Iterator

from katib.check.node import Node

REPLICAS = {
    "PyTorchJob": "pytorchReplicaSpecs",
    "TFJob": "tfReplicaSpecs",
    "XGBoostJob": "xgbReplicaSpecs",
    "MPIJob": "mpiReplicaSpecs",
}
ROLE, REPLICA = "training.kubeflow.org/job-role", "training.kubeflow.org/replica-type"
MASTERS = ("Master", "Chief", "Launcher")


def pods(trial: Node, labels: Node) -> Iterator[tuple[Node, bool]]:
    """Yields the pod template of each of the trial's replicas, and whether its pod is a primary one.

    `labels` are primaryPodLabels.
    """
    kind = trial["kind"].text or ""
    if kind == "Job" and trial["apiVersion"].text == "batch/v1":
        yield trial["spec"]["template"], True
    elif kind in REPLICAS and trial["apiVersion"].text == "kubeflow.org/v1":
        replicas = trial["spec"][REPLICAS[kind]].entries
        for name, replica in replicas.items():
            yield replica["template"], name in _primary([*replicas], labels)


def _primary(replicas: list[str], labels: Node) -> list[str]:
    """Returns the replicas with a primary pod; None if the trial's own labels decide, which are unknown here."""
    if labels.entries and labels[ROLE].text != "master":
        wanted = labels[REPLICA].text
        return [name for name in replicas if name.lower() == wanted]
    masters = [name for name in replicas if name in MASTERS]
    # The first worker of a TFJob without a master has this role.
    return masters or [name for name in replicas if name == "Worker"] or replicas
