"""Which trials of an ended search continue, and that our suggestion service proposes them by name; no cluster."""

import copy
import json
from typing import Any, cast

import pytest

from katib.backend.cluster.backend import as_deployed
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.continuing import OldTrial, carried, continued, with_hours, with_trials
from katib.backend.cluster.deploy_diff import diff
from katib.backend.cluster.kinds import EXPERIMENT, JOB, POD, TRIAL
from katib.backend.cluster.model import read_search
from katib.backend.cluster.run_directories import RunDirectory
from katib.backend.cluster.status import Curves, progress_of
from katib.check.manifest import require_sound
from katib.errors import ClusterError
from katib.manifest.again import ANNOTATION as AGAIN
from katib.manifest.experiment import load_experiment
from katib.manifest.object import PLAN, Manifest
from katib.search.sampler import sampler
from tests.katib.backend.cluster.test_plan_and_causes import manifest, running

NAME = "series3-dprnn"


def old(letter: str, state: str = "Failed") -> OldTrial:
    values = {
        "lr": f"0.00{ord(letter) - 96}",
        "weight_decay": "1e-05",
        "grad_clip_norm": "5.00",
        "lr_factor": "0.5",
    }
    return OldTrial(f"{NAME}-{letter}", values, state)


def directory(letter: str, epochs: int, state: str = "stopped") -> RunDirectory:
    return RunDirectory(f"{NAME}-{letter}", 1, {"state": state, "history": [{}] * epochs})


OLD = [old("a"), old("b", "Succeeded"), old("c", "EarlyStopped"), old("d"), old("e"), old("f"), old("g")]
DIRECTORIES = [
    directory("a", 3),
    directory("b", 100, "finished"),
    directory("c", 20),
    directory("d", 24),
    directory("e", 50, "diverged"),
    directory("f", 0, ""),
    directory("other", 9),
]


def letters(trials: Any) -> str:
    return "".join(trial.name[-1] for trial in trials)


def test_finished_trials_come_first_then_stopped_ones_then_those_with_the_most_epochs() -> None:
    """One trial has diverged, one has no directory, and one directory belongs to no trial of this search."""
    made = continued(OLD, DIRECTORIES, 25)
    assert letters(made.trials) == "bcdaf"
    assert made.epochs == (100, 20, 24, 3, 0)
    assert str(made) == "5 trials from their run directories (147 epochs kept), without 1 diverged"
    assert letters(continued(OLD, DIRECTORIES, 2).trials) == "bc"
    assert "3 beyond its number of trials" in str(continued(OLD, DIRECTORIES, 2))


def settings(found: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in found["spec"]["algorithm"].get("algorithmSettings") or []}


def test_our_service_proposes_the_old_points_by_name_and_unchanged_and_then_its_own() -> None:
    made = with_trials(manifest(), continued(OLD, DIRECTORIES, 25).trials)
    text = json.dumps(made)
    require_sound(text, "the continued search")
    proposer = sampler(load_experiment(text, "x").search)
    points = proposer.propose([], 7)
    assert [proposer.trial_name(point) for point in points[:5]] == [f"{NAME}-{letter}" for letter in "bcdaf"]
    assert points[0] == dict(old("b").assignments)
    assert [proposer.trial_name(point) for point in points[5:]] == ["", ""]


def test_the_control_of_a_spec_is_proposed_once_whatever_the_spelling_of_its_numbers() -> None:
    control = {"lr": 0.002, "weight_decay": 1e-5, "grad_clip_norm": 5, "lr_factor": 0.5}  # that of trial b
    own = manifest()
    own["spec"]["algorithm"].setdefault("algorithmSettings", []).append(
        {"name": "first_suggestions", "value": json.dumps([control, {**control, "lr": 0.009}])}
    )
    made = with_trials(own, continued(OLD, DIRECTORIES, 25).trials)
    first = json.loads(settings(made)["first_suggestions"])
    assert [point.get("trial", "") for point in first] == [*(f"{NAME}-{letter}" for letter in "bcdaf"), ""]
    assert first[-1]["assignments"]["lr"] == "0.009"


@pytest.mark.parametrize("trials", [25, 40])
def test_a_search_that_continues_is_deployed_again_without_another_name(trials: int) -> None:
    found = running()
    made = with_trials(manifest(), continued(OLD, DIRECTORIES, 25).trials)
    found["spec"] |= copy.deepcopy({key: made["spec"][key] for key in ("algorithm",)})
    again = diff(manifest(trials=trials), found)
    assert again.action == ("nothing" if trials == 25 else "change")
    assert again.manifest["spec"]["algorithm"] == made["spec"]["algorithm"]
    assert carried(manifest(), running()) == manifest()
    assert carried(manifest(), {"spec": running()["spec"]}) == manifest()  # of a deleted search only the spec is saved


def test_fixed_runs_that_failed_continue_by_name() -> None:
    """The search is one that confirm and arch deploy: a grid over flags; the API server's own notes are left out."""
    words = ["--lr=0.001,--seed=42", "--lr=0.001,--seed=123", "--lr=0.001,--seed=456"]
    runs = [{"name": "run", "parameterType": "categorical", "feasibleSpace": {"list": words}}]
    found = running()
    found["apiVersion"], found["kind"] = "kubeflow.org/v1beta1", "Experiment"
    found["metadata"] |= {
        "annotations": {PLAN: "{}", "sepsweep/stopped": "me at noon"},
        "resourceVersion": "7",
    }
    found["spec"] |= {"algorithm": {"algorithmName": "grid"}, "parameters": runs, "maxTrialCount": 3}
    template = found["spec"]["trialTemplate"]
    template["trialParameters"] = [template["trialParameters"][0], {"name": "run", "reference": "run"}]
    found["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    made = as_deployed(found)
    assert made["metadata"]["annotations"] == {PLAN: "{}"}
    assert diff(made, found).action == "continue"
    again = with_trials(made, [OldTrial("x-b", {"run": words[1]}, "Failed")])
    proposer = sampler(load_experiment(json.dumps(again), "x").search)
    points = proposer.propose([], 3)
    assert [(proposer.trial_name(point), point["run"]) for point in points] == [
        ("x-b", words[1]),
        ("", words[0]),
        ("", words[2]),
    ]


def test_a_search_that_was_stopped_with_all_of_its_trials_has_succeeded_and_continues() -> None:
    found = running(trials=25)
    found["status"]["conditions"] = [{"type": "Succeeded", "status": "True"}]
    assert diff(manifest(), found).action == "nothing"
    found["metadata"]["annotations"] = {"sepsweep/stopped": "me at 2026-11-28T14:05:31Z"}
    assert diff(manifest(), found).action == "continue"


def test_hours_of_the_ended_search_still_count() -> None:
    """Those of a trial that continues are added to its own; those of one that does not, to the search's."""
    trials = [
        OldTrial("a", {}, "Failed", 2.5),
        OldTrial("gone", {}, "Failed", 1.25),
        OldTrial("new", {}, "Failed"),
    ]
    made = running() | {"metadata": with_hours(running(), trials)["metadata"]}
    search = read_search(made)
    assert search.hours_before == {"a": 2.5, "gone": 1.25}
    span = "Trial is running; tries: abcde 2026-11-28T10:00:00Z/2026-11-28T11:30:00Z"
    status = {"conditions": [{"type": "Running", "status": "True", "message": span}]}
    labels = {"katib.kubeflow.org/experiment": search.name}
    trial = {"metadata": {"name": "a", "labels": labels}, "spec": {}, "status": status}
    (found,) = progress_of(cast(Cluster, None), {EXPERIMENT: [made], TRIAL: [trial], JOB: [], POD: []}, Curves())
    assert [row.hours for row in found.rows] == [2.5 + 1.5]
    assert found.hours_used == 2.5 + 1.5 + 1.25
    assert carried(manifest(), made)["metadata"]["annotations"] == made["metadata"]["annotations"]


def test_a_search_whose_failed_trials_run_again_is_the_same_search() -> None:
    """Katib counts such a trial as one more; whoever deploys counts the configurations."""
    current = {**manifest(), "status": {"trials": 26}}
    current["metadata"] = {**current["metadata"], "uid": "1", "annotations": {AGAIN: f"{NAME}-a,{NAME}-b"}}
    current["spec"] = {**current["spec"], "maxTrialCount": 27, "maxFailedTrialCount": 7}
    assert diff(manifest(), current).action == "nothing"
    assert Manifest.of(current).configurations == 25
    assert as_deployed(current)["spec"] == manifest()["spec"]
    wanted = manifest()
    wanted["spec"]["maxTrialCount"] = 26
    made = diff(wanted, current)
    assert [str(change) for change in made.changes] == ["trials: 25 -> 26"]
    assert (made.manifest["spec"]["maxTrialCount"], made.manifest["metadata"]["annotations"][AGAIN]) == (
        28,
        f"{NAME}-a,{NAME}-b",
    )
    assert made.replaces
    current["status"] = {"trials": 28}
    with pytest.raises(ClusterError, match="changes nothing unless TRIALS is at least 27"):
        diff(wanted, current)
