"""An OptimizationJob in place of the Experiment: what it is rendered to, what check says is lost, and what is refused."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.check import optimization_job as rules
from katib.check.finding import Rule
from katib.check.manifest import check_any
from katib.manifest.optimization_job import LOST, optimization_job
from katib.spec import specs
from tests.verbs import katib

OWN = str(Path(__file__).parents[3] / "examples" / "quadratic" / "quadratic.yaml")
Object = dict[str, Any]


def rendered(spec: str) -> str:
    done = katib("render", spec, "--kind", "OptimizationJob")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("spec", [*specs(), OWN])
def test_every_spec_renders_to_one_without_errors(spec: str) -> None:
    """Each value comes as a variable, which Kubernetes puts into the command, and so does the trial's name."""
    text = rendered(spec)
    assert {defect.severity for defect in check_any(text, "test")} == {"warning"}
    job = yaml.safe_load(text)
    trainer = job["spec"]["trainJobTemplate"]["spec"]["trainer"]
    words = " ".join(trainer["command"])
    assert "${" not in words
    given = {f"KUBEFLOW_TRAINER_OPT_{item['name'].upper()}" for item in job["spec"]["parameters"]}
    names = {item["name"] for item in trainer["env"]}
    assert set(re.findall(r"\$\((\w+)\)", words)) == given | {"SEPSWEEP_TRIAL"} <= given | names
    mounts = job["spec"]["trainJobTemplate"]["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]
    (container,) = mounts["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
    assert "/runs" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_check_says_what_is_lost() -> None:
    """Line by line, with what it was; the last is that nobody reads what a trial prints."""
    found = check_any(rendered("dprnn"), "test")
    assert [(defect.rule, defect.problem) for defect in found] == [
        ("job-lost", "algorithm was bayesianoptimization"),
        ("job-lost", "early-stopping was medianstop"),
        ("job-lost", "max-failed-trials was 5"),
        ("job-lost", "job was backoffLimit podFailurePolicy podReplacementPolicy ttlSecondsAfterFinished"),
        ("job-lost", "pod was automountServiceAccountToken enableServiceLinks lifecycle SEPSWEEP_CONTINUES"),
        ("job-metric", "'val_si_snr' must be pushed by the trial's program"),
    ]
    assert len({defect.effect for defect in found}) == len(found)


def test_what_a_space_loses_is_named() -> None:
    """A step, a bell and the order of a list have no place; a grid, a seed and a step of 1 have."""
    experiment: Object = {
        "metadata": {"name": "a", "labels": {}},
        "spec": {
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "random", "algorithmSettings": [{"name": "random_state", "value": "3"}]},
            "maxTrialCount": 2,
            "parallelTrialCount": 5,
            "parameters": [
                {"name": "a", "parameterType": "double", "feasibleSpace": {"min": ".5", "max": "+1", "step": "0.1"}},
                {"name": "b", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "9", "step": "1"}},
                {"name": "c", "parameterType": "double", "feasibleSpace": {"min": "1", "max": "2"}},
                {"name": "d", "parameterType": "discrete", "feasibleSpace": {"list": ["1", "2"]}},
            ],
            "trialTemplate": {"trialSpec": {"spec": {"template": {"spec": {"containers": [{"image": "i"}]}}}}},
        },
    }
    experiment["spec"]["parameters"][2]["feasibleSpace"]["distribution"] = "logNormal"
    made: Any = optimization_job(experiment)
    lost = {name.removeprefix(LOST): text for name, text in made["metadata"]["annotations"].items()}
    assert lost == {"step-of-a": "0.1", "distribution-of-c": "logNormal", "order-of-d": "discrete"}
    assert made["spec"]["searchAlgorithm"] == {"random": {"seed": 3}}
    assert made["spec"]["parallelTrials"] == 2
    assert [item["searchSpace"] for item in made["spec"]["parameters"]] == [
        {"uniform": {"min": "0.5", "max": "1", "type": "Float"}},
        {"uniform": {"min": "1", "max": "9", "type": "Int"}},
        {"logUniform": {"min": "1", "max": "2", "type": "Float"}},
        {"categorical": {"choices": ["1", "2"]}},
    ]
    experiment["spec"]["algorithm"] = {"algorithmName": "grid"}
    assert optimization_job(experiment)["spec"]["searchAlgorithm"] == {"grid": {}}  # type: ignore[index]


SPACE = "spec.parameters.0.searchSpace"
REFUSED: dict[str, tuple[str, Any]] = {
    "apiVersion: is not trainer": ("apiVersion", "trainer.kubeflow.org/v1"),
    "metadata.name: is missing": ("metadata.name", ""),
    "spec.objectives: has 0 objectives": ("spec.objectives", []),
    "metric: is missing": ("spec.objectives.0.metric", ""),
    "direction: is 'maximize'": ("spec.objectives.0.direction", "maximize"),
    "spec.numTrials: is not 1 to 100": ("spec.numTrials", 101),
    "parallelTrials: is 30, of 25 trials": ("spec.parallelTrials", 30),
    "spec.parameters: has no parameter": ("spec.parameters", []),
    "searchSpace: has 2 of uniform": (f"{SPACE}.uniform", {"min": "1", "max": "2"}),
    "logUniform.min: is no number in quotes": (f"{SPACE}.logUniform.min", 0.1),
    "logUniform.min: does not lie below max": (f"{SPACE}.logUniform.min", "1"),
    "logUniform.min: is not above 0": (f"{SPACE}.logUniform.min", "0"),
    "logUniform: has a range beside grid": ("spec.searchAlgorithm", {"grid": {}}),
    "choices: has 2 choices": (SPACE, {"categorical": {"choices": ["a", "a"]}}),
    "choices[0]: is no text of up to 64": (SPACE, {"categorical": {"choices": ["a" * 65]}}),
    "runtimeRef.name: is missing": ("spec.trainJobTemplate.spec.runtimeRef", {}),
}


@pytest.mark.parametrize("says", REFUSED)
def test_what_the_api_server_does_not_take_is_an_error(says: str) -> None:
    """The type's own limits (optimizationjob_types.go), as one line each."""
    path, value = REFUSED[says]
    top: Any = deepcopy(yaml.safe_load(rendered("dprnn")))
    *keys, last = path.split(".")
    place = top
    for key in keys:
        place = place[int(key)] if key.isdecimal() else place[key]
    place[last] = value
    errors = [
        f"{found.where}{found.problem}"
        for found in check_any(yaml.safe_dump(top), "test")
        if found.rule == "job-refused"
    ]
    assert any(says in line for line in errors), errors
    assert all("\n" not in line for line in errors)


def test_every_rule_of_the_module_is_tried_above() -> None:
    declared = {value.name for value in vars(rules).values() if isinstance(value, Rule)}
    assert declared == {"job-refused", "job-metric", "job-lost"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("dprnn", "--kind", "TrainJob"), "error: --kind 'TrainJob': valid: Experiment, OptimizationJob"),
        (
            ("dprnn", "--kind", "OptimizationJob", "--trials", "101"),
            "maxTrialCount: 101; an OptimizationJob has 1 to 100",
        ),
    ],
)
def test_what_cannot_be_rendered_is_one_line(words: tuple[str, ...], says: str) -> None:
    done = katib("render", *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_verbs_that_run_searches_refuse_one(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(rendered("dprnn"))
    done = katib("local", str(tmp_path / "job.yaml"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
