"""Manifests of strangers, made small: what the check said wrongly of each once, and says rightly now.

Of those that a run on this machine showed, the check has no error and `local` reads them, or refuses them by name.
Those of a network's graph (13, 14, 44) are in defects_graph.py and test_check_takes.py.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from katib.check.manifest import check_text
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.search.sampler import sampler

Object = dict[str, Any]
COMMAND = ["python3", "/app/t.py", "--lr=${trialParameters.lr}"]
NUMBER = r"^(acc)=([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)$"
SOUND: Object = {
    "apiVersion": "kubeflow.org/v1beta1",
    "kind": "Experiment",
    "metadata": {"name": "field", "namespace": "team-a"},
    "spec": {
        "objective": {"type": "maximize", "objectiveMetricName": "acc"},
        "algorithm": {"algorithmName": "random"},
        "maxTrialCount": 4,
        "parallelTrialCount": 2,
        "maxFailedTrialCount": 2,
        "metricsCollectorSpec": {"source": {"filter": {"metricsFormat": [NUMBER]}}},
        "parameters": [{"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.1", "max": "0.2"}}],
        "trialTemplate": {
            "primaryContainerName": "train",
            "trialParameters": [{"name": "lr", "reference": "lr"}],
            "trialSpec": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "spec": {
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": 600,
                    "template": {
                        "spec": {
                            "restartPolicy": "Never",
                            "containers": [{"name": "train", "image": "docker.io/a/b:1", "command": COMMAND}],
                        }
                    },
                },
            },
        },
    },
}


class Search:
    """A manifest to change, by its parts."""

    def __init__(self) -> None:
        self.top = deepcopy(SOUND)
        self.spec: Object = self.top["spec"]
        self.template: Object = self.spec["trialTemplate"]
        self.job: Object = self.template["trialSpec"]["spec"]
        self.pod: Object = self.job["template"]["spec"]
        self.trainer: Object = self.pod["containers"][0]
        self.space: Object = self.spec["parameters"][0]["feasibleSpace"]

    def algorithm(self, name: str, trials: int = 4, parallel: int = 2, **settings: str) -> "Search":
        """Another algorithm, its settings and counts."""
        listed = [{"name": key, "value": value} for key, value in settings.items()]
        self.spec.update(algorithm={"algorithmName": name, "algorithmSettings": listed})
        self.spec.update(maxTrialCount=trials, parallelTrialCount=parallel)
        return self

    def whole(self, **space: str) -> "Search":
        """Returns the parameter as an int."""
        self.spec["parameters"][0].update(parameterType="int", feasibleSpace=space)
        return self

    def script(self, text: str) -> "Search":
        """Returns a command through a shell."""
        self.trainer["command"] = ["sh", "-c", text]
        return self

    def filter(self, pattern: str) -> "Search":
        self.spec["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"] = [pattern]
        return self

    def put(self, part: Object, **values: Any) -> "Search":
        """Other values in a part of the manifest."""
        part.update(values)
        return self


def with_(change: Callable[[Search], Search]) -> str:
    return json.dumps(change(Search()).top)


RUN = "python3 /app/t.py ${trialParameters.lr}"
PYTORCH = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "PyTorchJob",
    "spec": {
        "pytorchReplicaSpecs": {
            "Master": {
                "template": {"spec": {"containers": [{"name": "pytorch", "image": "a/b:1", "command": COMMAND}]}}
            }
        }
    },
}
SECOND = {"name": "b", "parameterType": "double", "feasibleSpace": {"min": "1", "max": "2"}}
PBT: dict[str, Any] = {"suggestion_trial_dir": "/ckpt", "n_population": "5", "truncation_threshold": "0.2"}
HYPERBAND = {"r_l": "2", "eta": "2", "resource_name": "lr"}
POD = {
    "volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}, "hostPath": {"path": "/x"}}],
    "tolerations": [{"operator": "Exist"}],
    "initContainers": [{"name": "my_init", "image": "a:1", "imagePullPolicy": "always"}],
}

ANSWERS: dict[str, tuple[Callable[[Search], Search], set[str]]] = {
    "01 02 03 34 41 a search like any other": (lambda m: m, set()),
    "04 script with a final newline": (lambda m: m.script(f"{RUN}\n"), {"command-script"}),
    "05 shell characters in a word": (
        lambda m: m.put(m.trainer, command=[*COMMAND, "a&b"]),
        {"command-word"},
    ),
    "06 hyperband, more trials than at a time": (
        lambda m: m.algorithm("hyperband", 9, 3, **HYPERBAND).whole(min="1", max="9"),
        {"hyperband"},
    ),
    "07 hyperband with early stopping": (
        lambda m: (
            m.algorithm("hyperband", 3, 3, **HYPERBAND)
            .whole(min="1", max="9")
            .put(m.spec, earlyStopping={"algorithmName": "medianstop"})
            .put(m.template, retain=True)
        ),
        {"hyperband", "?never-stops"},
    ),
    "08 file collector that hides the program": (
        lambda m: m.put(
            m.spec["metricsCollectorSpec"],
            collector={"kind": "File"},
            source={
                "fileSystemPath": {"path": "/app/m.log", "kind": "File"},
                "filter": {"metricsFormat": [NUMBER]},
            },
        ),
        {"metrics-folder-hides"},
    ),
    "09 filter that cuts an exponent": (
        lambda m: m.filter(r"^(acc)=([-+]?\d+(?:\.\d+)?)"),
        {"?filter-cuts-value"},
    ),
    "10 grid with a normal distribution": (
        lambda m: m.algorithm("grid").put(m.space, step="0.02", distribution="normal"),
        {"distribution-unsupported"},
    ),
    "11 condition of another kind": (
        lambda m: m.put(
            m.template,
            trialSpec=PYTORCH,
            primaryContainerName="pytorch",
            successCondition='status.conditions.#(type=="Complete")#|#(status=="True")#',
        ),
        {"trial-condition"},
    ),
    "12 no such container in a PyTorchJob": (
        lambda m: m.put(m.template, trialSpec=PYTORCH),
        {"primary-container"},
    ),
    "15 pbt with a long name": (
        lambda m: m.algorithm("pbt", **PBT).put(m.space, step="0.05").put(m.top["metadata"], name="n" * 27),
        {"trial-name-length"},
    ),
    "17 pod that Kubernetes refuses": (
        lambda m: m.put(m.pod, **POD).put(m.trainer, resources={"requests": {"nvidia.com/gpu": "1"}}),
        {"pod-name", "pod-word", "pod-contradiction", "pod-resources"},
    ),
    "18 comment line in a script": (lambda m: m.script(f"# it's the trainer's\n{RUN}"), set()),
    "20 hostPath of an empty type": (
        lambda m: m.put(m.pod, volumes=[{"name": "v", "hostPath": {"path": "/x", "type": ""}}]),
        set(),
    ),
    "22 pbt with an int without step": (lambda m: m.algorithm("pbt", **PBT).whole(min="1", max="9"), set()),
    "23 one value": (lambda m: m.algorithm("multivariate-tpe").put(m.space, min="0.2"), set()),
    "24 no limit of failures": (lambda m: m.put(m.spec, maxFailedTrialCount=None), {"?no-failure-limit"}),
    "28 uid of the container": (lambda m: m.put(m.trainer, securityContext={"runAsUser": 1000}), set()),
    "32 group that may be absent": (
        lambda m: m.filter(r"^(acc)=(nan|([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?))$"),
        set(),
    ),
    "35 deadline of the pod": (lambda m: m.put(m.pod, activeDeadlineSeconds=3), set()),
    "36 variable of Kubernetes": (
        lambda m: m.put(m.trainer, command=[*COMMAND, "$(LR)"], env=[{"name": "LR", "value": "1"}]),
        set(),
    ),
    "37 working directory": (lambda m: m.put(m.trainer, workingDir="/tmp"), set()),
    "40 shell between engine and trainer": (lambda m: m.script(f"cd /tmp && {RUN}"), {"?command-compound"}),
    "42 algorithm that only a cluster runs": (
        lambda m: (
            m.algorithm("cmaes")
            .put(m.spec, parameters=[*m.spec["parameters"], SECOND])
            .put(m.template, trialParameters=[*m.template["trialParameters"], {"name": "b", "reference": "b"}])
            .put(m.trainer, command=[*COMMAND, "${trialParameters.b}"])
        ),
        set(),
    ),
    "43 fewer points than trials": (
        lambda m: m.algorithm("random", 10).whole(min="1", max="5"),
        {"?space-too-small"},
    ),
    "45 step that leaves the range": (
        lambda m: m.algorithm("random", 3).whole(min="10", max="100", step="32"),
        {"?step-leaves-range"},
    ),
    "48 grid of endless points": (
        lambda m: m.algorithm("grid").put(m.space, max="1e308", step="1e-308"),
        {"grid-too-large"},
    ),
    "51 open placeholders": (
        lambda m: m.put(m.trainer, command=[*COMMAND, "${trialParameters." * 6000]),
        {"command-word", "placeholder-misspelt"},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_the_right_one_and_no_other(name: str) -> None:
    change, expected = ANSWERS[name]
    findings = check_text(with_(change), "test")
    assert {f"{'?' * (found.severity == 'warning')}{found.rule}" for found in findings} == expected


@pytest.mark.parametrize(
    "name", [name for name, (_, expected) in ANSWERS.items() if all("?" in rule for rule in expected)]
)
def test_what_has_no_error_is_read_here_or_refused_by_name(name: str) -> None:
    if name.startswith(("06", "22", "42")):
        with pytest.raises(ManifestError, match=r"not run here|cluster"):
            sampler(load_experiment(with_(ANSWERS[name][0]), "test").search)
    else:
        sampler(load_experiment(with_(ANSWERS[name][0]), "test").search)


def test_steps_that_stock_katib_tries_otherwise_are_counted_otherwise() -> None:
    """45: hyperopt has 0, 32, 64 and 96 (round(v / q) * q), the services here 10, 42 and 74."""
    text = with_(lambda m: m.algorithm("random", 4).whole(min="10", max="100", step="32"))
    (small,) = [found for found in check_text(text, "test") if found.rule == "space-too-small"]
    assert "has 3 points" in small.problem
    assert "stock Katib, which tries other steps, has enough" in small.effect


@pytest.mark.parametrize(("written", "read"), [("2024-05-01", "2024-05-01"), ("1e-3", 0.001)])
def test_scalars_of_29_and_30_are_what_kubectl_takes_them_for(written: str, read: object) -> None:
    top = deepcopy(SOUND)
    top["spec"]["objective"]["goal"] = 77
    top["spec"]["trialTemplate"]["trialSpec"]["metadata"] = {"annotations": {"built": "DATE"}}
    old, new = ('"DATE"', written) if isinstance(read, str) else ("77", written)
    text = json.dumps(top).replace(old, new)
    assert check_text(text, "test") == []
    assert json.dumps(read) in json.dumps(load_experiment(text, "test").spec)


def test_the_one_experiment_of_27_is_looked_into() -> None:
    text = "kind: Namespace\napiVersion: v1\nmetadata: {name: team-a}\n---\n" + json.dumps(SOUND)
    assert check_text(text, "test") == []


def test_half_of_a_surrogate_pair_in_47_is_a_finding() -> None:
    text = json.dumps(SOUND).replace('"acc"', '"a\\ud83dc"')
    assert check_text(text, "test")
