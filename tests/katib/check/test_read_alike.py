"""What the check passes is read on this machine too, or refused by name: one reader, and null is nothing."""

import json

import pytest

from katib.check.manifest import check_text
from katib.errors import ManifestError, nearest
from katib.manifest.experiment import load_experiment
from katib.search.sampler import sampler
from tests.katib.check.defects_graph import DARTS
from tests.katib.check.defects_job import training_job
from tests.katib.check.manifests import DROP, Changes, algorithm, foreign, spoiled, words


@pytest.mark.parametrize(
    ("written", "kubectl"),
    [
        ('"goal": 1e-3', 0.001),
        ('"goal": 1.', 1),
        ('"goal": +3', 3),
        ('"goal": 0x10', 16),
        ('"goal": ~', None),
        ('"goal": null', None),
    ],
)
def test_number_is_read_as_kubectl_reads_it(written: str, kubectl: float | None) -> None:
    """Against goyaml v2; PyYAML takes 1e-3 for a text."""
    text = spoiled({"spec.objective.goal": 77}).replace('"goal": 77', written)
    assert check_text(text, "test") == []
    assert load_experiment(text, "test").goal == kubectl


def test_date_without_quotes_is_a_text() -> None:
    text = spoiled({"JOB.spec.template.metadata": {"annotations": {"built": "DATE"}}}).replace('"DATE"', "2024-05-01")
    assert check_text(text, "test") == []
    assert json.dumps(load_experiment(text, "test").spec).count('"2024-05-01"') == 1


def test_the_experiment_of_several_documents_is_read() -> None:
    text = f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: team}}\n---\n{spoiled({})}"
    assert load_experiment(text, "test").name == load_experiment(spoiled({}), "test").name


@pytest.mark.parametrize(
    "changes",
    [
        {"spec.objective.metricStrategies": [{"value": "max"}]},
        foreign(algorithm("sobol") | {"spec.algorithm.algorithmSettings": [{"name": "random_seed"}]}),
        {"TRAINER.volumeMounts[0].mountPath": "data"},
        {**foreign(algorithm("multivariate-tpe")), "SPACE": {"min": "0.5", "max": "2", "step": "10"}},
        {
            **foreign(algorithm("random")),
            "spec.parameters[2].parameterType": "int",
            "spec.parameters[2].feasibleSpace": {"min": "0.5", "max": "8.9", "step": "1.5"},
        },
    ],
)
def test_what_the_check_warns_of_at_most_is_read_here(changes: Changes) -> None:
    """Found by benchmarks/robustness/manifests.py."""
    text = spoiled(changes)
    assert not [finding for finding in check_text(text, "test") if finding.severity == "error"]
    sampler(load_experiment(text, "test").search)


@pytest.mark.parametrize(
    ("changes", "words_"),
    [
        (DARTS, "nasConfig: an architecture search"),
        (
            training_job("PyTorchJob", "pytorchReplicaSpecs", "Master", "pytorch")
            | {"TEMPLATE.primaryContainerName": "pytorch"},
            "kind PyTorchJob",
        ),
        ({"JOB.apiVersion": "batch/v1beta1"}, "batch/v1beta1"),
        (
            {"TRAINER.command": DROP, "TRAINER.args": words(), "TRAINER.image": "ghcr.io/lab/trainer:1"},
            "container 'trainer' has no command: that of its image ghcr.io/lab/trainer:1",
        ),
    ],
)
def test_what_katib_alone_can_run_is_refused_by_name(changes: Changes, words_: str) -> None:
    text = spoiled(changes)
    assert not [finding for finding in check_text(text, "test") if finding.severity == "error"]
    with pytest.raises(ManifestError) as caught:
        load_experiment(text, "test")
    assert words_ in str(caught.value)
    assert "lists every defect" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"TRAINER.command[4]": "${trialParameters." * 6000},
        {"TEMPLATE.trialParameters[0].reference": "${trialSpec." * 9000},
        {"TRAINER.image": ":" * 100_000, "TRAINER.command": DROP},
        {"TRAINER.env[0].value": "{{trial" * 15_000 + "s.lr}}"},
        {"TRAINER.resources.limits.memory": "9" * 5000},
    ],
)
def test_input_on_which_a_pattern_would_work_for_minutes_gives_its_findings(changes: Changes) -> None:
    assert check_text(spoiled(changes), "test")


def test_of_very_many_names_the_next_is_named_and_not_all_are_listed() -> None:
    names = [f"name-{index}" for index in range(3000)]
    assert nearest("name-1500x", names) == "did you mean 'name-1500'?"
    assert len(nearest("zzz", names)) < 300
    assert nearest("name-1500x" * 10_000, names).startswith("valid: name-0, ")
    assert len(nearest("zzz", ["y" * 10_000])) < 300


def test_an_algorithm_of_a_cluster_is_named_before_what_its_service_does_not_read() -> None:
    """hyperband/parsing_util.py does not look at step."""
    settings = algorithm("hyperband", r_l="4", eta="2", resource_name="grad_clip_norm")
    counts = {f"spec.{name}TrialCount": 4 for name in ("max", "parallel", "maxFailed")}
    text = spoiled({**foreign(settings), **counts, "SPACE.step": "some", "spec.earlyStopping": DROP})
    assert not [finding for finding in check_text(text, "test") if finding.severity == "error"]
    with pytest.raises(ManifestError, match="algorithm hyperband: only Katib's own service"):
        sampler(load_experiment(text, "test").search)
