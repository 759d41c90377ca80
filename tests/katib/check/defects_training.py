"""Named defects of the jobs of Kubeflow's training operators."""

from tests.katib.check.defects_job import training_job
from tests.katib.check.manifests import DROP, Changes, Defects, words


def train_job(*more: str) -> Changes:
    """Returns a trial of the trainer v2, whose pod is that of a runtime of the cluster."""
    trainer = {"numNodes": 1, "image": "a:1", "command": words("python", "t.py", *more)}
    spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer}
    return {
        "JOB": {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "spec": spec},
        "TEMPLATE.primaryContainerName": "node",
        "TEMPLATE.successCondition": DROP,
        "TEMPLATE.failureCondition": DROP,
    }


DEFECTS: Defects = {
    "PyTorchJob without a container that its operator knows": (
        training_job("PyTorchJob", "pytorchReplicaSpecs", "Master", "trainer"),
        {"training-job JOB.spec.pytorchReplicaSpecs.Master.template.spec.containers"},
    ),
    "PyTorchJob with two masters": (
        training_job("PyTorchJob", "pytorchReplicaSpecs", "Master", "pytorch")
        | {"TEMPLATE.primaryContainerName": "pytorch", "JOB.spec.pytorchReplicaSpecs.Master.replicas": 2},
        {"training-job JOB.spec.pytorchReplicaSpecs.Master.replicas"},
    ),
    "PyTorchJob with a chief": (
        training_job("PyTorchJob", "pytorchReplicaSpecs", "Chief", "pytorch")
        | {"TEMPLATE.primaryContainerName": "pytorch"},
        {"training-job JOB.spec.pytorchReplicaSpecs.Chief"},
    ),
    "XGBoostJob without a master": (
        training_job("XGBoostJob", "xgbReplicaSpecs", "Worker", "xgboost")
        | {"TEMPLATE.primaryContainerName": "xgboost"},
        {"training-job JOB.spec.xgbReplicaSpecs.Master"},
    ),
    "TFJob without replicas": (
        training_job("TFJob", "tfReplicas", "Worker", "tensorflow"),
        {"training-job JOB.spec.tfReplicaSpecs"},
    ),
    "TrainJob with a word that a shell reads": (
        train_job("a;b"),
        {"command-word JOB.spec.trainer.command[2]"},
    ),
    "TrainJob without a runtime": (
        train_job() | {"JOB.spec.runtimeRef": DROP},
        {"training-job JOB.spec.runtimeRef.name"},
    ),
    "TrainJob with a container that its runtime does not have": (
        train_job() | {"TEMPLATE.primaryContainerName": "pytorch"},
        {"?train-job-container TEMPLATE.primaryContainerName"},
    ),
    "TrainJob that waits for the condition of a PyTorchJob": (
        train_job() | {"TEMPLATE.successCondition": 'status.conditions.#(type=="Succeeded")#|#(status=="True")#'},
        {"trial-condition TEMPLATE.successCondition"},
    ),
}
