"""The plan: the numbers of Series 3, the schedule against others that can be worked out, what has been used against
estimates.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katib.__main__ import main
from katib.budget.estimate import ASSUMED_SAVING, BudgetEstimate, plan
from katib.budget.record import record
from katib.budget.schedule import Load, makespan
from katib.errors import SpecError
from katib.spec import SERIES, load_spec
from katib.table.trial_table import TrialTable
from tests.katib.conclude.made import made, trial

HOURS = st.lists(st.floats(0.1, 30), max_size=12).map(tuple)


def series(gpus: int, **words: object) -> BudgetEstimate:
    return plan([load_spec(model) for model in SERIES], {}, gpus=gpus, gpus_per_trial=1, site_parallel=2, **words)  # type: ignore[arg-type]


def test_series_3_is_reproduced() -> None:
    found = series(1)
    assert [model.gpu_hours for model in found.models] == pytest.approx([180, 62.5, 360, 875])
    assert record(found)["runs"] == 110
    assert found.days == pytest.approx(1477.5 / 24)
    assert 60 <= found.days < 62
    assert 15 <= series(4).days < 16


def test_json_has_the_agreed_keys_first(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plan", "--json", "--gpus", "4", "--price", "2", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found)[:5] == ["runs", "gpu_hours", "days", "cost", "models"]
    assert (found["runs"], found["gpu_hours"], found["cost"]) == (110, 1477.5, 2955.0)
    assert [list(model)[:4] for model in found["models"]] == [["model", "runs", "epochs", "gpu_hours"]] * 4
    assert found["models"][1]["seconds_per_epoch"] == 90.0


def test_without_a_price_there_is_no_cost(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plan", "dprnn", "--json", "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["cost"] is None


def test_a_search_whose_trials_have_more_gpus_counts_them_all() -> None:
    """Its trials take as long as the spec says, on each of its GPUs."""
    one, four = (load_spec(model) for model in ("dprnn", "convtasnet"))
    found = plan([one, four], {}, gpus=4, gpus_per_trial={one.name: 1, four.name: 4}, site_parallel=2)
    assert [model.gpu_hours for model in found.models] == [25 * 2.5, 4 * 20 * 9]
    with pytest.raises(SpecError, match=r"^--gpus 2: a trial needs 4 "):
        plan([one, four], {}, gpus=2, gpus_per_trial={one.name: 1, four.name: 4}, site_parallel=2)


def test_too_few_trials_at_a_time_leave_gpus_idle_and_the_plan_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Two at a time of the longest search alone take twice as long as four."""
    found = plan([load_spec("spmamba")], {}, gpus=4, gpus_per_trial=1, site_parallel=2)
    assert found.days == pytest.approx(9 * 25 / 24)  # 35 trials in 9 rounds of four
    assert found.days_site == pytest.approx(18 * 25 / 24)
    assert main(["plan", "spmamba", "--gpus", "4", "--out", str(tmp_path)]) == 0
    assert "deploy with PARALLEL=4" in capsys.readouterr().out


def test_a_trial_that_needs_more_gpus_than_there_are_is_refused() -> None:
    with pytest.raises(SpecError, match="--gpus 1: a trial needs 2"):
        plan([load_spec("dprnn")], {}, gpus=1, gpus_per_trial=2, site_parallel=2)


def test_before_any_trial_has_ended_the_saving_is_the_documented_assumption() -> None:
    """Of DPRNN's 100 epochs patience leaves 59 (the public ledger), and early stopping takes its share of 39 behind the
    20th.
    """
    found = series(1).models[1]
    assert found.measured == 0
    assert found.epochs_patience == 59
    assert found.gpu_hours_patience == pytest.approx(62.5 * 0.59)
    assert found.epochs_expected == pytest.approx(20 + (1 - ASSUMED_SAVING) * 39)
    assert found.gpu_hours_stopping == pytest.approx(62.5 * found.epochs_expected / 100)


def test_what_patience_leaves_is_said_beside_the_most_and_with_its_source(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """88 % of 50 epochs, 59 of 100; SepFormer's baseline was best too late for a patience of 10, SPMamba's just so."""
    hours = (180 * 0.88, 62.5 * 0.59, 360, 875 * 29.7 / 30)
    assert main(["plan", "--json", "--price", "2", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [model["gpu_hours_patience"] for model in found["models"]] == pytest.approx(hours)
    assert (found["gpu_hours_patience"], found["cost_patience"]) == pytest.approx((sum(hours), 2 * sum(hours)))
    assert found["days_patience"] == pytest.approx(sum(hours) / 24, abs=1e-3)
    assert main(["plan", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"at most 1477.5 GPU-hours, about {sum(hours):.1f} expected with patience" in out
    assert "epochs that patience leaves: series3-convtasnet 44 of 50, series3-dprnn 59 of 100" in out


def test_a_spec_that_says_nothing_of_patience_is_expected_to_run_all_epochs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = plan([load_spec("demo")], {}, gpus=1, gpus_per_trial=1, site_parallel=2).models[0]
    assert found.epochs_patience == found.spec.epochs == 7
    assert main(["plan", "demo", "--out", str(tmp_path)]) == 0
    assert "demo 7 of 7, since nothing is known" in capsys.readouterr().out


def test_a_search_of_minutes_is_not_said_to_take_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Four runs of 36 s each, the third to fifth epoch of which early stopping may save."""
    example = Path(__file__).parents[3] / "examples/quadratic/quadratic.yaml"
    assert main(["plan", str(example), "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "at most 0.04 GPU-hours, about 0.04 expected with patience, 0.034 with early stopping as well" in out
    assert "on 1 GPU: at most 2 min, 2 min with patience, 2 min with early stopping as well" in out


def used(folder: Path, **changes: object) -> TrialTable:
    """Returns two trials of the DPRNN search have ended, after 100 and after 40 epochs of 180 s, one runs its 10th
    epoch.
    """
    ended = [trial("a", *[1.0] * 100), trial("b", *[1.0] * 40, state="EarlyStopped")]
    running = trial("c", *[1.0] * 10, state="Running")
    slow = [replace(one, effort=replace(one.effort, seconds=180.0 * len(one.values))) for one in (*ended, running)]
    return replace(made(folder, *slow), **changes)  # type: ignore[arg-type]


def test_ended_trials_take_the_place_of_estimates(tmp_path: Path) -> None:
    """180 s an epoch instead of 90; 70 epochs a trial, 100 where nothing stops it.

    22 trials ahead, and 60 epochs of one.
    """
    found = plan([load_spec("dprnn")], {"series3-dprnn": used(tmp_path)}, gpus=2, gpus_per_trial=1, site_parallel=2)
    (model,) = found.models
    assert (model.measured, model.epochs_expected, model.hours_per_epoch) == (2, 70.0, 0.05)
    assert model.gpu_hours == pytest.approx(125)
    assert (model.epochs_patience, model.gpu_hours_patience) == (100, pytest.approx(125))
    assert found.gpu_hours_used == pytest.approx(7.5)
    assert model.gpu_hours_stopping == pytest.approx(7.5 + (60 + 22 * 70) * 0.05)
    assert found.days_left == pytest.approx((60 + 11 * 70) * 0.05 / 24)  # the one with 60 takes 11 others behind it


def test_a_local_search_that_is_over_is_counted_and_gets_no_advice(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from benchmarks.systems.made_experiment import make_experiment

    make_experiment(tmp_path, 5, 100, name="series3-dprnn")
    assert main(["plan", "dprnn", "--json", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    (model,) = json.loads(out)["models"]
    assert (model["trials_ended"], model["measured_trials"], err) == (5, 5, "")
    assert main(["plan", "dprnn", "--gpus", "4", "--price", "2", "--out", str(tmp_path)]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last == "all 5 trials have ended, after 12.5 GPU-hours, 25.00 at 2 a GPU-hour"


def test_a_search_under_way_compares_what_is_left_with_the_sites_parallel_trials(tmp_path: Path) -> None:
    """By hand: 60 epochs of one trial, 70 of 22 others.

    The last ends after 6 x 70 of four at a time, 60 + 11 x 70 of two.
    """
    found = plan([load_spec("dprnn")], {"series3-dprnn": used(tmp_path)}, gpus=4, gpus_per_trial=1, site_parallel=2)
    assert not found.over
    assert found.days_left == pytest.approx(6 * 70 * 0.05 / 24)
    assert found.days_left_site == pytest.approx((60 + 11 * 70) * 0.05 / 24)


def test_a_search_with_other_settings_is_not_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """50 epochs instead of 100, under the name that the spec has."""
    from benchmarks.systems.made_experiment import make_experiment

    make_experiment(tmp_path, 3, 50, name="series3-dprnn")
    assert main(["plan", "dprnn", "--json", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["models"][0]["trials_ended"] == 0
    assert err == (
        "note: experiment 'series3-dprnn' was run with settings that its spec does not have; its trials are not "
        "counted\n"
    )


def test_a_search_whose_database_is_damaged_does_not_stop_the_plan(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "series3-dprnn").mkdir()
    (tmp_path / "series3-dprnn" / "study.db").write_text("not a database")
    assert main(["plan", "dprnn", "--json", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["gpu_hours"] == 62.5
    assert len(err.splitlines()) == 1
    assert f"what has been used so far is unknown: {tmp_path / 'series3-dprnn' / 'study.db'}: cannot be read" in err


def test_a_cluster_that_is_away_is_one_line_for_all_searches(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["plan", "--cluster", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["runs"] == 110
    assert len(err.splitlines()) == 1
    assert "what has been used so far is unknown: no usable kubeconfig" in err


@settings(deadline=None)
@given(HOURS, HOURS, st.integers(1, 5))
def test_no_schedule_beats_the_work_or_the_longest_trial_nor_loses_more_than_a_list_schedule_may(
    one: tuple[float, ...], other: tuple[float, ...], gpus: int
) -> None:
    """With as many trials in being as GPUs: Graham (1966), a list schedule ends within the mean load and the longest
    task.
    """
    found = makespan([Load(one, gpus, 1), Load(other, gpus, 1)], gpus)
    work, longest = sum(one) + sum(other), max((*one, *other), default=0.0)
    assert found >= max(work / gpus, longest) - 1e-9
    assert found <= work / gpus + longest + 1e-9


@pytest.mark.parametrize(
    ("loads", "gpus", "hours"),
    [
        ([Load((), 2, 1)], 1, 0.0),
        ([Load((1.0, 2.0, 3.0), 1, 1)], 4, 6.0),  # one at a time, whatever there is
        ([Load((1.0, 2.0, 3.0), 2, 1)], 4, 4.0),
        (
            [Load((4.0,), 1, 2), Load((1.0, 1.0), 2, 1)],
            2,
            5.0,
        ),  # who waits longest goes first, and needs both
    ],
)
def test_small_schedules_as_by_hand(loads: list[Load], gpus: int, hours: float) -> None:
    assert makespan(loads, gpus) == hours
