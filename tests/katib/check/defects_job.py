"""Named defects of the Job, its pod and its command."""

from tests.katib.check.manifests import DROP, Changes, Defects, collector, script, sound, words

TRAINER = sound()["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]
EXIT_3 = {"containerName": "trainer", "operator": "In", "values": [3]}
BESIDE = {"name": "watcher", "image": "a:1"}

HIDDEN = "metrics-folder-hides TRAINER.command[{}]"


def training_job(kind: str, replicas: str, role: str, container: str, *more: str) -> Changes:
    """Returns a trial of one of Kubeflow's training jobs with one replica."""
    trainer = {"name": container, "image": "a:1", "command": words("python", "t.py", *more)}
    replica = {"replicas": 1, "restartPolicy": "OnFailure", "template": {"spec": {"containers": [trainer]}}}
    return {
        "JOB": {"apiVersion": "kubeflow.org/v1", "kind": kind, "spec": {replicas: {role: replica}}},
        "TEMPLATE.successCondition": DROP,
        "TEMPLATE.failureCondition": DROP,
    }


def metrics_file(path: str, program: str) -> Changes:
    """Returns a trainer that writes its metrics into a file."""
    filters = {"metricsFormat": [r"^(val_si_snr)=([-+]?\d+\.\d+)$"]}
    source = {"fileSystemPath": {"path": path, "kind": "File", "format": "TEXT"}, "filter": filters}
    return {**collector("File", **source), "TRAINER.command": words("python", program)}


DEFECTS: Defects = {
    # the Job
    "misspelt key of the Job": (
        {"JOB.spec.backoffLimit": DROP, "JOB.spec.backofflimit": 3},
        {"unknown-key JOB.spec.backofflimit", "?backoff-limit JOB.spec.backoffLimit"},
    ),
    "misspelt key deep in the pod": (
        {"TRAINER.securityContext.capabilities.drops": ["ALL"]},
        {"unknown-key TRAINER.securityContext.capabilities.drops"},
    ),
    "Job without a spec": (
        {"JOB.spec": DROP},
        {
            "missing-key JOB.spec",
            *{f"trial-parameter-unused TEMPLATE.trialParameters[{index}].name" for index in range(5)},
        },
    ),
    "key that came after Katib's Kubernetes": ({"POD.workloadRef": {}}, {"unknown-key POD.workloadRef"}),
    "null": ({"POD.nodeName": None}, {"go-drops-value POD.nodeName"}),
    "empty list in the pod": ({"POD.initContainers": []}, {"go-drops-value POD.initContainers"}),
    "false that is the default": (
        {"TRAINER.volumeMounts[1].readOnly": False},
        {"go-drops-value TRAINER.volumeMounts[1].readOnly"},
    ),
    "empty environment variable": ({"TRAINER.env[0].value": ""}, {"go-drops-value TRAINER.env[0].value"}),
    "number in the environment": ({"TRAINER.env[1].value": 1}, {"wrong-type TRAINER.env[1].value"}),
    "quantity that Go writes otherwise": (
        {"POD.volumes[3].emptyDir.sizeLimit": "8192Mi"},
        {"quantity-not-canonical POD.volumes[3].emptyDir.sizeLimit"},
    ),
    "no quantity": (
        {"TRAINER.resources.limits.memory": "32GB"},
        {"quantity TRAINER.resources.limits.memory"},
    ),
    "no number of tries": ({"JOB.spec.backoffLimit": DROP}, {"?backoff-limit JOB.spec.backoffLimit"}),
    "number of more than 32 bits": (
        {"JOB.spec.backoffLimit": 3_000_000_000},
        {"wrong-type JOB.spec.backoffLimit"},
    ),
    "no deadline": (
        {"JOB.spec.activeDeadlineSeconds": DROP},
        {"?no-deadline JOB.spec.activeDeadlineSeconds"},
    ),
    "exit codes under early stopping": (
        {"JOB.spec.podFailurePolicy.rules[0]": {"action": "FailJob", "onExitCodes": EXIT_3}},
        {"?exit-codes JOB.spec.podFailurePolicy.rules[0].onExitCodes"},
    ),
    "exit codes of all containers": (
        {
            "JOB.spec.podFailurePolicy.rules[0]": {
                "action": "FailJob",
                "onExitCodes": {"operator": "In", "values": [3]},
            },
            "spec.earlyStopping": DROP,
        },
        {"?exit-codes JOB.spec.podFailurePolicy.rules[0].onExitCodes"},
    ),
    "negative number of tries": ({"JOB.spec.backoffLimit": -1}, {"job-number JOB.spec.backoffLimit"}),
    "several pods": ({"JOB.spec.parallelism": 2}, {"?several-pods JOB.spec.parallelism"}),
    "gone at once": (
        {"JOB.spec.ttlSecondsAfterFinished": 0},
        {"?ttl-short JOB.spec.ttlSecondsAfterFinished"},
    ),
    "suspended": ({"JOB.spec.suspend": True}, {"?suspended JOB.spec.suspend"}),
    "labels of no pod": (
        {"TEMPLATE.primaryPodLabels": {"role": "master"}},
        {"primary-pod-labels TEMPLATE.primaryPodLabels.role"},
    ),
    "PyTorchJob without the primary container": (
        training_job("PyTorchJob", "pytorchReplicaSpecs", "Master", "pytorch"),
        {"primary-container TEMPLATE.primaryContainerName"},
    ),
    "TFJob whose only worker lacks the primary container": (
        training_job("TFJob", "tfReplicaSpecs", "Worker", "tensorflow"),
        {"primary-container TEMPLATE.primaryContainerName"},
    ),
    "MPIJob with a word that a shell reads": (
        training_job("MPIJob", "mpiReplicaSpecs", "Launcher", "trainer", "a;b"),
        {"command-word JOB.spec.mpiReplicaSpecs.Launcher.template.spec.containers[0].command[2]"},
    ),
    "PyTorchJob that waits for the condition of a Job": (
        training_job("PyTorchJob", "pytorchReplicaSpecs", "Master", "pytorch")
        | {
            "TEMPLATE.primaryContainerName": "pytorch",
            "TEMPLATE.successCondition": 'status.conditions.#(type=="Complete")#|#(status=="True")#',
        },
        {"trial-condition TEMPLATE.successCondition"},
    ),
    "metrics file in the program's folder": (metrics_file("/app/out.log", "/app/t.py"), {HIDDEN.format(1)}),
    "metrics file above the program's folder": (
        metrics_file("/app/out.log", "/app/src/t.py"),
        {HIDDEN.format(1)},
    ),
    "metrics file in the working directory": (
        metrics_file("/app/out.log", "t.py") | {"TRAINER.workingDir": "/app"},
        {HIDDEN.format(1)},
    ),
    "metrics file in the root": (metrics_file("/out.log", "/app/t.py"), {HIDDEN.format(0)}),
    # the pod
    "no restart policy": ({"POD.restartPolicy": DROP}, {"restart-policy POD.restartPolicy"}),
    "restart on failure": ({"POD.restartPolicy": "OnFailure"}, {"restart-policy POD.restartPolicy"}),
    "no image": ({"TRAINER.image": DROP}, {"container TRAINER.image"}),
    "container beside": ({"POD.containers[1]": BESIDE}, {"?container-beside POD.containers[1].name"}),
    "trainer behind another container": (
        {"POD.containers": [BESIDE, TRAINER]},
        {"?primary-not-first POD.containers[1].name", "?container-beside POD.containers[0].name"},
    ),
    "container of Katib's name": (
        {"POD.containers[1]": BESIDE | {"name": "metrics-logger-and-collector"}},
        {"container POD.containers[1].name"},
    ),
    "uid of the container alone": (
        {"POD.securityContext": {"fsGroup": 1000}, "TRAINER.securityContext.runAsUser": 1000},
        {"uid-of-container TRAINER.securityContext.runAsUser"},
    ),
    "non-root without a uid": (
        {"POD.securityContext": {"runAsNonRoot": True}},
        {"non-root-without-uid POD.securityContext.runAsNonRoot"},
    ),
    "processes of the host": ({"POD.hostPID": True}, {"host-pid POD.hostPID"}),
    "volume of Katib's name": (
        {"POD.volumes[4]": {"name": "metrics-volume", "emptyDir": {}}},
        {"metrics-mount POD.volumes[4].name"},
    ),
    "mount at Katib's place": (
        {"TRAINER.volumeMounts[2].mountPath": "/var/log/katib/"},
        {"metrics-mount TRAINER.volumeMounts[2].mountPath"},
    ),
    "mount of no volume": ({"TRAINER.volumeMounts[0].name": "dta"}, {"volume TRAINER.volumeMounts[0].name"}),
    "two mounts at one place": (
        {"TRAINER.volumeMounts[1].mountPath": "/data"},
        {"volume TRAINER.volumeMounts[1].mountPath"},
    ),
    # what the API server refuses
    "container name with _": (
        {
            "TRAINER.name": "train_it",
            "TEMPLATE.primaryContainerName": "train_it",
            "JOB.spec.podFailurePolicy": DROP,
        },
        {"pod-name TRAINER.name"},
    ),
    "init container of the trainer's name": (
        {"POD.initContainers": [{"name": "trainer", "image": "a:1"}]},
        {"pod-name POD.initContainers[0].name"},
    ),
    "pod label with a blank": (
        {"JOB.spec.template.metadata": {"labels": {"app": "my app"}}},
        {"pod-label JOB.spec.template.metadata.labels.app"},
    ),
    "requests above limits": (
        {"TRAINER.resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1000Mi"}}},
        {"pod-resources TRAINER.resources.requests.memory"},
    ),
    "GPU in requests alone": (
        {"TRAINER.resources": {"requests": {"nvidia.com/gpu": 1}}},
        {"pod-resources TRAINER.resources.requests['nvidia.com/gpu']"},
    ),
    "half a GPU": (
        {"TRAINER.resources": {"limits": {"nvidia.com/gpu": "0.5"}}},
        {"pod-resources TRAINER.resources.limits['nvidia.com/gpu']"},
    ),
    "GPU without its maker": (
        {"TRAINER.resources": {"limits": {"gpu": 1}}},
        {"pod-resources TRAINER.resources.limits.gpu"},
    ),
    "misspelt pull policy": (
        {"TRAINER.imagePullPolicy": "IfNotpresent"},
        {"pod-word TRAINER.imagePullPolicy"},
    ),
    "misspelt operator of a toleration": (
        {"POD.tolerations": [{"key": "gpu", "operator": "Exist"}]},
        {"pod-word POD.tolerations[0].operator"},
    ),
    "toleration with a value that exists": (
        {"POD.tolerations": [{"key": "gpu", "operator": "Exists", "value": "a"}]},
        {"pod-contradiction POD.tolerations[0].value"},
    ),
    "variable with two values": (
        {
            "TRAINER.env[0]": {
                "name": "A",
                "value": "b",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
            }
        },
        {"pod-contradiction TRAINER.env[0].valueFrom"},
    ),
    "volume of two sources": (
        {"POD.volumes[3].hostPath": {"path": "/data"}},
        {"pod-contradiction POD.volumes[3].hostPath"},
    ),
    "empty text that Go leaves out here and keeps elsewhere": (
        {
            "POD.volumes[4]": {
                "name": "disk",
                "iscsi": {"targetPortal": "a", "iqn": "iqn.2024-01.com.a:b", "lun": 0, "fsType": ""},
            }
        },
        {"go-drops-value POD.volumes[4].iscsi.fsType"},
    ),
    # the command
    "no command": ({"TRAINER.command": DROP, "TRAINER.args": words()}, {"command-missing TRAINER.command"}),
    "no command of a complete image name": (
        {"TRAINER.command": DROP, "TRAINER.args": words(), "TRAINER.image": "ghcr.io/lab/trainer:1"},
        {"?command-of-image TRAINER.command"},
    ),
    "word with a blank": ({"TRAINER.command[4]": "two words"}, {"command-word TRAINER.command[4]"}),
    "empty word": ({"TRAINER.command[4]": ""}, {"command-word TRAINER.command[4]"}),
    "shell variable": ({"TRAINER.command[4]": "$MODEL"}, {"command-word TRAINER.command[4]"}),
    "word in quotes": ({"TRAINER.command[4]": "'sepformer'"}, {"?command-quotes TRAINER.command[4]"}),
    "shell by its path": (
        {"TRAINER.command": ["/bin/bash", "-c", " ".join(words("python"))]},
        {"command-shell TRAINER.command[0]"},
    ),
    "login shell": (
        {"TRAINER.command": ["bash", "-lc", " ".join(words("python"))]},
        {"command-shell TRAINER.command[0]"},
    ),
    "shell without a script": (
        {"TRAINER.command": ["sh"], "TRAINER.env[2]": {"name": "ALL", "value": " ".join(words())}},
        {"command-no-script TRAINER.command[0]"},
    ),
    "script that execs": (script("exec python"), {"command-script TRAINER.command[2]"}),
    "script that execs at its end": (script("cd /app && exec python"), {"command-script TRAINER.command[2]"}),
    "script with a comment": (script("python # runs"), {"command-script TRAINER.command[2]"}),
    "script with a final line end": (
        {"TRAINER.command": ["sh", "-c", " ".join(words("python")) + "\n"]},
        {"command-script TRAINER.command[2]"},
    ),
    "script with a final here-document": (
        {"TRAINER.command": ["sh", "-c", " ".join(words("cat")) + " <<E\na\nE"]},
        {"command-script TRAINER.command[2]"},
    ),
    "script that exits": (script("python a.py; exit 0; python"), {"command-script TRAINER.command[2]"}),
    **{
        f"word with {character}": (
            {"TRAINER.command[4]": f"a{character}b"},
            {"command-word TRAINER.command[4]"},
        )
        for character in "&;>|("
    },
    "word of which quotes hide a part": (
        {"TRAINER.command[4]": "'a;b'&c"},
        {"command-word TRAINER.command[4]"},
    ),
    "line end in the last word of a script": (
        {"TRAINER.command": ["bash", "-c"], "TRAINER.args": [" ".join(words("python")), "\n"]},
        {"command-script TRAINER.args[0]"},
    ),
    "script with an open quote": (script("python 'a"), {"command-script TRAINER.command[2]"}),
    "script of two commands": (script("cd /app && python"), {"?command-compound TRAINER.command[2]"}),
    "script with a pipe": (script("true | python"), {"?command-compound TRAINER.command[2]"}),
    "script of two lines": (script("cd /app\npython"), {"?command-compound TRAINER.command[2]"}),
}
