"""Named defects of the Job, its pod and its command. Called by test_named_defects.py."""

from tests.katib.check.manifests import DROP, Defects, script, sound, words

TRAINER = sound()["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]
EXIT_3 = {"containerName": "trainer", "operator": "In", "values": [3]}
BESIDE = {"name": "watcher", "image": "a:1"}

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
    "script with an open quote": (script("python 'a"), {"command-script TRAINER.command[2]"}),
    "script of two commands": (script("cd /app && python"), {"?command-compound TRAINER.command[2]"}),
    "script with a pipe": (script("true | python"), {"?command-compound TRAINER.command[2]"}),
    "script of two lines": (script("cd /app\npython"), {"?command-compound TRAINER.command[2]"}),
}
