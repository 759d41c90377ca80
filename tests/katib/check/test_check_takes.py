"""What must not be found: commands, filters, spaces and templates that are sound though they look unusual."""

import pytest

from katib.check.manifest import check_text
from tests.katib.check.defects_graph import DARTS, ENAS, PBT
from tests.katib.check.defects_job import metrics_file
from tests.katib.check.manifests import DROP, Changes, algorithm, collector, foreign, found, spoiled, words

SCRIPT = " ".join(words("python", "train.py"))
SOUND: dict[str, Changes] = {
    "script behind sh -c": {"TRAINER.command": ["sh", "-c", SCRIPT]},
    "script behind bash -c, in args": {"TRAINER.command": ["bash", "-c"], "TRAINER.args": [SCRIPT]},
    "script with quotes and a continued line": {
        "TRAINER.command": ["sh", "-c", f'python train.py --note "a; b && c" \\\n {SCRIPT}']
    },
    "script with an apostrophe in a comment": {"TRAINER.command": ["sh", "-c", f"# don't run this\n{SCRIPT}"]},
    "script with a quoted #": {"TRAINER.command": ["sh", "-c", f"{SCRIPT} '#' \"# 1\" a#b"]},
    "script of one block": {"TRAINER.command": ["sh", "-c", f"{{ cd /app || exit 1; {SCRIPT}; }}"]},
    "script of one subshell": {"TRAINER.command": ["sh", "-c", f"(cd /app && {SCRIPT})"]},
    "script with a command in an argument": {"TRAINER.command": ["sh", "-c", f"{SCRIPT} --n=$(a | b; c)"]},
    "script file run by a shell": {"TRAINER.command": words("bash", "run.sh")},
    "variable that the kubelet fills in": {"TRAINER.command[4]": "$(HOME)/x"},
    "words in args": {"TRAINER.command": ["python", "-m", "train"], "TRAINER.args": words()},
    "shell that nothing wraps": {
        **collector("Push"),
        "TRAINER.command": ["/bin/bash", "-c", SCRIPT],
    },
    "root container in a root pod": {"POD.securityContext": {}, "TRAINER.securityContext.runAsUser": 0},
    "uid of both": {"TRAINER.securityContext.runAsUser": 1000},
    "cpu as a number": {"TRAINER.resources.requests.cpu": 8},
    "requests that Go writes otherwise": {"TRAINER.resources.requests.memory": "32768Mi"},
    "device of another vendor": {"TRAINER.resources.limits": {"amd.com/gpu": 1}},
    "empty mappings that Go keeps": {"POD.affinity": {}, "POD.dnsConfig": {}},
    "empty values that are pointers in Go": {
        "POD.volumes[4]": {"name": "d", "hostPath": {"path": "/d", "type": ""}},
        "POD.volumes[5]": {"name": "p", "projected": {"sources": []}},
        "POD.dnsConfig": {"options": [{"name": "ndots", "value": ""}]},
    },
    "no early stopper and no retain": {"spec.earlyStopping": DROP, "TEMPLATE.retain": DROP},
    "parameter type int with a step under tpe": {
        **algorithm("tpe", gamma="0.25", n_EI_candidates="24"),
        "spec.parameters[2].parameterType": "int",
        "spec.parameters[2].feasibleSpace.step": "1",
    },
    "uid of the container, where no trial is stopped early": {
        "POD.securityContext": {},
        "TRAINER.securityContext.runAsUser": 1000,
        "spec.earlyStopping": DROP,
        "TEMPLATE.retain": DROP,
    },
    "one value, which optuna takes": {**algorithm("multivariate-tpe"), "SPACE.min": "0.01"},
    "int without a step under pbt": {
        **PBT,
        **foreign(
            {
                "spec.parameters[2].parameterType": "int",
                "spec.parameters[2].feasibleSpace": {"min": "1", "max": "9"},
                "spec.maxTrialCount": 12,
            }
        ),
    },
    "search of a graph": DARTS,
    "search of a graph by enas": ENAS,
    "text of darts": {
        **DARTS,
        "spec.objective.objectiveMetricName": "Best-Genotype",
        "spec.objective.metricStrategies": DROP,
        "FILTER": [r"([\w-]+)=(Genotype.*)"],
    },
    "uniform within a decade": {"spec.parameters[3].feasibleSpace.max": "0.9"},
    "trial label as a reference": {
        "JOB.metadata": {"labels": {"team": "audio"}},
        "TEMPLATE.trialParameters[0].reference": "${trialSpec.Labels[team]}",
    },
    "file of JSON": collector("File", fileSystemPath={"path": "/m/a.json", "kind": "File", "format": "JSON"}),
    "metrics file beside the program's folder": metrics_file("/metrics/out.log", "/app/t.py"),
    "program of a volume below the folder of the metrics": {
        **metrics_file("/data/out.log", "/data/code/t.py"),
        "TRAINER.volumeMounts[0].mountPath": "/data/code",
    },
    "event files": collector("TensorFlowEvent", fileSystemPath={"path": "/logs", "kind": "Directory"}),
    "filter after any text": {"FILTER[0]": r"(?:^|\s)(val_si_snr)=([-+]?\d+\.\d+)$"},
    "filter after a colon": {"FILTER[0]": r"^epoch \d+ (val_si_snr)[:=] ?([-+]?\d+\.\d+(?:e[-+]\d+)?)"},
    "two filters": {"FILTER[1]": r"^(loss)=([\d.]+)$", "spec.objective.additionalMetricNames": ["loss"]},
    "minimised": {"spec.objective.type": "minimize", "spec.objective.metricStrategies": DROP},
    "goal of a whole number": {"spec.objective.goal": 12},
    "suspended in a queue": {
        "JOB.spec.suspend": True,
        "JOB.metadata": {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}},
    },
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_thing_gives_no_finding(name: str) -> None:
    assert found(spoiled(SOUND[name])) == set()


@pytest.mark.parametrize(
    "condition",
    [
        'status.conditions.#(type=="Complete")',
        'status.conditions|#(type == "Complete")#|0',
        "status.conditions.#(type==Complete)#|#(status==True)#",
        'status.conditions.#[type=="Complete"]#',
        'status.conditions.#(type=="Complete").@this',
    ],
)
def test_a_condition_that_gjson_finds_as_an_object_is_sound(condition: str) -> None:
    """Each was asked of a complete Job with gjson 1.14.1, which Katib uses."""
    assert found(spoiled({"TEMPLATE.successCondition": condition})) == set()


def test_pods_of_another_kind_are_looked_into_and_nothing_else_of_it() -> None:
    """A PyTorchJob has its pods below its replicas, whose restartPolicy is not the pod's."""
    container = {"name": "pytorch", "image": "a:1", "command": words("python", "train.py")}
    job = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "spec": {
            "pytorchReplicaSpecs": {
                "Master": {"restartPolicy": "OnFailure", "template": {"spec": {"containers": [container]}}}
            }
        },
    }
    changes = {
        "JOB": job,
        "TEMPLATE.primaryContainerName": "pytorch",
        "TEMPLATE.successCondition": DROP,
        "TEMPLATE.failureCondition": DROP,
    }
    assert check_text(spoiled(changes), "test") == []
