"""Where the kinds of trials that Katib watches have their pods, and which of them Katib puts its collector into.

experiment_defaults.go has the labels of the primary pod: Kubeflow's operator puts job-role: master on one.
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
    """Yields the pod template of each replica of the trial, and whether its pod is a primary one.

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
    """Returns the replicas with a primary pod.

    None where labels of its own say which, and what has them cannot be said here.
    """
    if labels.entries and labels[ROLE].text != "master":
        wanted = labels[REPLICA].text
        return [name for name in replicas if name.lower() == wanted]
    masters = [name for name in replicas if name in MASTERS]
    # Where there is no master the first worker of a TFJob has this role.
    return masters or [name for name in replicas if name == "Worker"] or replicas
