"""How long a search under way still takes, held against sums by hand; and what follows where something is away."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.systems.made_experiment import make_experiment
from katib.backend.local.record import MANIFEST
from katib.budget.remaining import hours_left
from katib.conclude.remarks import progress, remarks
from katib.measure import SI_SNR, Measure
from katib.report.cost import cost
from katib.report.log import entry
from katib.report.summary import next_steps
from katib.search.promotion import Promote
from katib.search.spending import spending
from katib.table.trial_table import CLUSTER, ONE_MACHINE, Budget, TrialRow, TrialTable, Venue
from katib.text import difference, roughly
from katib.trial import Direction
from tests.katib.conclude.made import made, trial
from tests.katib.conclude.tables import SPACE, row, table
from tests.verbs import katib


def of_hours(name: str, hours: float, state: str = "Succeeded", epochs: int = 10) -> TrialRow:
    found = row(name, 1.0, state, curve=(1.0,) * epochs, lr=0.001, grad_clip_norm=5)
    return replace(found, seconds=3600 * hours)


def under_way(*rows: TrialRow, trials: int = 6, parallel: int = 2, slots: int = 0) -> TrialTable:
    spec = SPACE | {"maxTrialCount": trials, "parallelTrialCount": parallel}
    return table(*rows, spec=spec, slots=slots)


def test_the_time_left_is_that_of_the_trials_ahead_on_the_slots_that_there_are() -> None:
    """Three of an hour each have ended, one has run half an hour, two are to come: 2.5 h by turns, 1.5 h two at a time."""
    rows = [
        of_hours("a", 1),
        of_hours("b", 1),
        of_hours("c", 1, "EarlyStopped"),
        of_hours("d", 0.5, "Running", 5),
    ]
    assert hours_left(under_way(*rows, slots=1)) == pytest.approx(2.5)
    assert hours_left(under_way(*rows)) == pytest.approx(1.5)
    assert hours_left(under_way(*rows, parallel=3)) == pytest.approx(1.0)


def test_a_trial_that_has_passed_the_average_is_given_one_epoch_more() -> None:
    """Of 0.1 h, as the ended trial's ten epochs took."""
    rows = [of_hours("a", 1), of_hours("b", 1.4, "Running", 14)]
    assert hours_left(under_way(*rows, trials=2)) == pytest.approx(0.1)


def test_a_search_by_promote_has_left_what_the_rule_spends_and_counts_configurations() -> None:
    """Two of nine have ended after two epochs of a tenth of an hour each; maxTrialCount would be 14."""
    settings = {"rung_epochs": "2,6", "eta": "3", "configurations": "9"}
    listed = [{"name": name, "value": value} for name, value in settings.items()]
    stopping = {"algorithmName": "promote", "algorithmSettings": listed}
    spec = SPACE | {"maxTrialCount": 14, "parallelTrialCount": 1, "earlyStopping": stopping}
    rows = [of_hours(name, 0.2, "EarlyStopped", 2) for name in "ab"] + [of_hours("c", 0.6, "Running", 6)]
    found = replace(table(*rows, spec=spec), budget=Budget(9, 20, None))
    expected = 9 * spending(Promote(Direction.MAXIMIZE, (2, 6), 3.0), 9, 20, 1).epochs - 10
    assert hours_left(found) == pytest.approx(0.1 * expected)
    assert progress(found).startswith("In progress: 2 of 9 trials have ended, 1 under way")
    without = replace(
        found, identity=replace(found.identity, spec=spec | {"earlyStopping": stopping | {"algorithmSettings": []}})
    )
    assert hours_left(without) is not None


def test_where_nothing_has_ended_or_nobody_knows_how_many_come_there_is_no_estimate() -> None:
    assert hours_left(under_way(of_hours("a", 1, "Running"))) is None
    assert hours_left(table(of_hours("a", 1))) is None


def failing(*rows: TrialRow, **spec: object) -> TrialTable:
    return table(*rows, spec=SPACE | {"maxTrialCount": 6, "maxFailedTrialCount": 2} | spec)


def test_as_many_failures_as_are_allowed_have_ended_the_search_unless_its_goal_was_reached_before() -> None:
    """Katib v0.19.0, pkg/controller.v1beta1/experiment/util/status_util.go:205: failed or without metrics, at least as
    many as maxFailedTrialCount and more than none; a goal that is reached comes first.
    """
    rows = [of_hours("a", 1, "Running"), of_hours("b", 1, "Failed"), of_hours("c", 1, "MetricsUnavailable")]
    assert progress(failing(*rows)).startswith(
        "Failed: 2 failed trials ended the search, and maxFailedTrialCount is 2; 1 of"
    )
    assert any("2 failed trials ended the search" in line for line in remarks(failing(*rows)))
    assert progress(failing(*rows[:2])).startswith("In progress: 1 of 6 trials have ended")
    assert progress(failing(*rows, maxFailedTrialCount=None)).startswith("In progress")
    reached = {"type": "maximize", "objectiveMetricName": "val_si_snr", "goal": 1.0}
    assert progress(failing(*rows, objective=reached)).startswith("In progress")
    assert progress(failing(*rows, objective=reached | {"goal": 1.1})).startswith("Failed")


def test_times_and_differences_are_said_as_people_do() -> None:
    assert [roughly(hours) for hours in (0.001, 0.5, 1.6, 47, 144)] == [
        "1 min",
        "30 min",
        "2 h",
        "47 h",
        "6 d",
    ]
    assert (difference(1.234, SI_SNR), difference(-0.5, Measure("loss"))) == ("+1.23 dB", "-0.5")


def test_confirm_is_advised_only_where_its_manifest_is_there(tmp_path: Path) -> None:
    make_experiment(tmp_path, 3, 5, name="series3-dprnn")
    assert "next: make confirm" in katib("best", "dprnn", "--out", str(tmp_path)).stdout
    (tmp_path / "series3-dprnn" / MANIFEST).unlink()
    said = katib("best", "dprnn", "--out", str(tmp_path)).stdout
    assert "no confirmation: experiment 'series3-dprnn' has no manifest" in said
    refused = katib("confirm", "dprnn", "--out", str(tmp_path), "--yes")
    assert (refused.returncode, "experiment 'series3-dprnn' has no manifest" in refused.stderr) == (2, True)


@pytest.mark.parametrize(("gpus", "unit"), [(1, "GPU-hours"), (0, "process-hours")])
def test_the_plan_counts_the_hours_that_were_used(
    gpus: int, unit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch on a processor says nothing of a GPU's, nor of its price."""
    found = replace(made(tmp_path, trial("a", *[1.0] * 100), trial("b", *[1.0] * 40)), gpus=gpus)
    (tmp_path / "series3-dprnn").mkdir()
    monkeypatch.setattr("katib.cli.plan.trial_table", lambda *_, **__: found)
    said = katib("plan", "dprnn", "--price", "2", "--out", str(tmp_path))
    other = {"GPU-hours": "process-hour", "process-hours": "GPU-hour"}[unit]
    assert f"{unit} at most" in said.stdout
    assert other not in said.stdout
    together = katib("plan", "--out", str(tmp_path))
    assert ("ran on processors" in together.stderr) == (gpus == 0)
    assert "process" not in together.stdout


@pytest.mark.parametrize(
    ("venue", "name", "command"),
    [
        (ONE_MACHINE, "series3-dprnn", "make arch MODEL=dprnn"),
        (ONE_MACHINE, "mine", "make arch MODEL=dprnn EXPERIMENT=mine"),
        (CLUSTER, "series3-dprnn", "make arch MODEL=dprnn CLUSTER=1"),
    ],
)
def test_a_command_that_is_advised_finds_the_same_search(venue: Venue, name: str, command: str, tmp_path: Path) -> None:
    """In report and log: the search's own name where it is not its spec's, and the cluster where it is there."""
    found = made(tmp_path, trial("a", *[1.0] * 100), trial("b", *[2.0] * 100), name=name)
    found = replace(found, venue=venue)
    steps = [step for _, step in next_steps(found)]
    again = [step for _, step in next_steps(found, confirmed=True)]
    assert [step for step in steps if step not in again] == [step for step in steps if "confirm" in step]
    assert len(again) == len(steps) - 1
    assert command in steps
    assert all(step.endswith(" CLUSTER=1") == (venue is CLUSTER) for step in steps)
    told = entry(found, "", None)
    assert f"({command})" in told
    assert f"make confirm EXPERIMENT={name}" + (" CLUSTER=1" if venue is CLUSTER else "") + "\n" in told


def test_no_architecture_is_advised_before_the_search_has_ended(tmp_path: Path) -> None:
    found = made(tmp_path, trial("a", 1.0), trial("b", 1.0, state="Running"))
    assert all("make arch" not in step for _, step in next_steps(found))
    assert "make arch" not in entry(found, "", None)


@pytest.mark.parametrize(("gpus", "hours"), [(1, 62.5), (0, 25 * 100 * 90 / 3600)])
def test_the_plan_of_a_report_is_in_the_unit_of_what_was_used(gpus: int, hours: float, tmp_path: Path) -> None:
    """25 trials of 100 epochs: 2.5 h a trial by the spec's estimate for a GPU, and 90 s an epoch as the processor took."""
    found = replace(made(tmp_path, trial("a", *[1.0] * 100), trial("b", *[1.0] * 40)), gpus=gpus)
    assert cost(found).planned == pytest.approx(hours)
