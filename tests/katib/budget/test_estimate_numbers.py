"""The plan of a search under way, every number worked out by hand from the docstrings of plan.py."""

import json
from dataclasses import replace
from typing import Any

import pytest

from katib.budget.estimate import ASSUMED_SAVING, BudgetEstimate, as_run, plan
from katib.budget.record import record
from katib.budget.view import print_estimate
from katib.errors import SpecError
from katib.spec import Spec, load_spec
from katib.table.trial_table import Budget, TrialRow, TrialTable
from tests.katib.conclude.tables import table

SPEC = load_spec("dprnn").model_copy(
    update={"name": "made", "trials": 10, "epochs": 20, "hours_per_run": 4.0, "epochs_with_patience": None}
)


def run(name: str, state: str, epochs: int, gpu_hours: float) -> TrialRow:
    return TrialRow(
        trial=name,
        state=state,  # type: ignore[arg-type]
        reason="",
        assignments={},
        value=1.0,
        best_epoch=1,
        epochs=epochs,
        seconds=0.0,
        gpu_hours=gpu_hours,
    )


ROWS = (
    run("a", "Succeeded", 16, 8.0),
    run("b", "Succeeded", 20, 10.0),
    run("c", "EarlyStopped", 8, 4.0),
    run("d", "Failed", 4, 2.0),
    run("e", "MetricsUnavailable", 0, 0.0),
    run("f", "Running", 6, 3.5),
    run("g", "Running", 15, 7.5),
    run("h", "Created", 0, 0.0),
)
"""48 epochs in 24 GPU-hours of trials that ended: 12 epochs each and half an hour an epoch; one ended before its
first."""


def planned(*rows: TrialRow, spec: Spec = SPEC, **words: Any) -> BudgetEstimate:
    found: TrialTable = replace(table(*rows), spec=spec)
    words = {"gpus": 4, "gpus_per_trial": 2, "site_parallel": 1} | words
    return plan([spec], {"made": found}, **words)


def test_a_search_under_way_in_all_its_numbers() -> None:
    """Two GPUs a trial, two trials at a time on four.

    Running trials have 12 - 6 epochs ahead, and to the end where they have passed 12: 5; the one created and two that
    are to come 12 each: 47 epochs, 23.5 GPU-hours, beside 35 that are used.
    """
    found = planned(*ROWS, price=1.5)
    assert record(found) == {
        "runs": 10,
        "gpu_hours": 100.0,  # 10 trials of 20 epochs of half an hour
        "days": round(10 * 20 * 0.25 / 2 / 24, 3),  # a quarter of an hour on the clock, two trials at a time
        "cost": 150.0,
        "gpus": 4,
        "gpu_hours_patience": 90.0,  # completed trials ran 18 epochs
        "days_patience": round(10 * 18 * 0.25 / 2 / 24, 3),
        "cost_patience": 135.0,
        "gpu_hours_early_stopping": 35 + 23.5,
        "days_early_stopping": round(10 * 12 * 0.25 / 2 / 24, 3),
        "cost_early_stopping": 87.75,
        "gpu_hours_used": 35.0,
        "days_left": round((5 + 12 + 12) * 0.25 / 24, 3),  # 6 and 12 in the one place, 5, 12 and 12 in the other
        "days_at_site_parallel_trials": round(10 * 20 * 0.25 / 24, 3),
        "days_by_spec": round(10 * 4 / 2 / 24, 3),  # runs of four hours
        "models": [
            {
                "model": "dprnn",
                "runs": 10,
                "epochs": 20,
                "gpu_hours": 100.0,
                "experiment": "made",
                "seconds_per_epoch": 900.0,
                "measured_trials": 4,
                "measured_running_trials": 0,
                "gpu_hours_patience": 90.0,
                "epochs_patience": 18.0,
                "gpu_hours_early_stopping": 58.5,
                "epochs_expected": 12.0,
                "gpu_hours_used": 35.0,
                "trials_ended": 5,
                "trials_running": 2,
                "epochs_used": 69,
                "continuations_expected": 0,
            }
        ],
    }
    (model,) = found.models
    assert found.days_left_site == pytest.approx(47 * 0.25 / 24)  # one after the other
    assert not found.over
    assert planned(*ROWS[:5], spec=SPEC.model_copy(update={"trials": 5})).over
    assert model.ahead == (6.0, 5.0, 12.0, 12.0, 12.0)


def test_before_a_trial_has_ended_running_ones_measure_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    """Epochs of 1 h on the mean, where the spec has 20 in 4 h: 100 h in each of two places, and not 20."""
    running = replace(table(*ROWS[5:]), spec=SPEC, paces=(3000.0, 4200.0))
    words: dict[str, Any] = {"gpus": 4, "gpus_per_trial": 2, "site_parallel": 1}
    found = plan([SPEC], {"made": running}, **words)
    (model,) = found.models
    assert (model.hours_per_epoch, model.measured, model.paced) == (2.0, 0, 2)
    print_estimate(found, 1, "GPU")
    printed = " ".join(capsys.readouterr().out.split())
    assert "at this pace at most 4.2 days; by the spec 20.0 h (2 running trials measured within an epoch)" in printed
    assert "estimates: the pace of running trials, epochs_with_patience of the spec, and 36%" in printed
    ended = plan([SPEC], {"made": replace(running, rows=ROWS)}, **words)
    assert (ended.paced, ended.models[0].measured) == (0, 4)


def test_without_a_price_nothing_costs_and_a_price_of_nothing_is_one() -> None:
    assert {record(planned())[key] for key in ("cost", "cost_patience", "cost_early_stopping")} == {None}
    assert record(planned(price=0.0))["cost"] == 0.0
    assert record(planned(price=0.333))["cost"] == 26.64  # 80 GPU-hours, in cents


@pytest.mark.parametrize(
    ("patience", "start", "expected"),
    [
        (None, 5, 20 - ASSUMED_SAVING * 15),
        (12.0, 5, 12 - ASSUMED_SAVING * 7),
        (12.0, 12, 12.0),
        (12.0, 15, 12.0),
    ],
)
def test_the_assumed_saving_is_a_share_of_the_epochs_behind_the_first_look(
    patience: float | None, start: int, expected: float
) -> None:
    """Of as many as patience leaves; where patience ends trials before the first look, nothing is saved."""
    stopping = SPEC.early_stopping.model_copy(update={"start_step": str(start)})
    spec = SPEC.model_copy(update={"epochs_with_patience": patience, "early_stopping": stopping})
    (model,) = planned(spec=spec).models
    assert (model.epochs_expected, model.epochs_patience) == (pytest.approx(expected), patience or 20)
    assert model.measured == 0
    # An estimate of four hours for a run on two GPUs is one of eight GPU-hours.
    assert (model.hours_per_epoch, model.gpu_hours) == (8 / 20, 80)
    assert model.gpu_hours_stopping == pytest.approx(10 * expected * 8 / 20)


def test_the_assumed_saving_is_that_of_the_simulated_searches() -> None:
    """docs of ASSUMED_SAVING: 0.71 of the hours were taken, and 0.8 of the epochs lay behind the first look."""
    assert pytest.approx((1 - 0.71) / 0.8, abs=0.005) == ASSUMED_SAVING


@pytest.mark.parametrize(
    ("words", "days", "site"),
    [
        ({"gpus": 8, "site_parallel": 3}, 3, 4),  # ten trials four at a time, and three
        ({"gpus": 9, "gpus_per_trial": 2, "site_parallel": 9}, 3, 3),
        ({"gpus": 8, "parallel": 2, "site_parallel": 3}, 5, 5),  # PARALLEL= is for both
        (
            {"gpus": 3, "gpus_per_trial": 0, "site_parallel": 1},
            4,
            10,
        ),  # without a GPU a trial takes one place
        ({"gpus": 2, "site_parallel": 5}, 10, 10),
    ],
)
def test_as_many_trials_at_a_time_as_there_are_gpus_for(words: dict[str, Any], days: int, site: int) -> None:
    """In rounds of four hours."""
    found = planned(**words)
    assert (found.days, found.days_site) == (pytest.approx(days * 4 / 24), pytest.approx(site * 4 / 24))


def test_a_trial_that_is_larger_than_the_cluster_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r"^--gpus 2: a trial needs 3 \(resources.gpus in k8s/site.yaml\); name at least 3$"
    ):
        planned(gpus=2, gpus_per_trial=3)


def test_searches_together_take_the_sum_of_their_hours() -> None:
    """The first as above; the second, of which nothing has run, 80 GPU-hours."""
    other = SPEC.model_copy(update={"name": "other", "epochs_with_patience": 10.0})
    found = plan(
        [SPEC, other],
        {"made": replace(table(*ROWS), spec=SPEC)},
        gpus=4,
        gpus_per_trial=2,
        site_parallel=1,
        price=1.0,
    )
    stopping = 10 * (10 - ASSUMED_SAVING * max(0, 10 - int(SPEC.stop_settings["start_step"]))) * 0.4
    assert found.gpu_hours == 180
    assert found.gpu_hours_patience == 90 + 40
    assert found.gpu_hours_stopping == pytest.approx(58.5 + stopping)
    assert found.gpu_hours_used == 35
    assert (record(found)["runs"], record(found)["cost"]) == (20, 180.0)
    assert found.days == pytest.approx((10 * 20 * 0.25 + 10 * 4) / 2 / 24)


def test_trials_that_ended_without_hours_leave_the_estimate() -> None:
    """As where a table has no times: epochs alone do not tell how long one takes."""
    (model,) = planned(run("a", "Succeeded", 16, 0.0)).models
    assert (model.measured, model.hours_per_epoch) == (0, 0.4)
    assert model.epochs_patience == 16
    (model,) = planned(run("a", "Failed", 0, 2.0)).models
    assert (model.measured, model.hours_per_epoch, model.epochs_patience) == (0, 0.4, 20)


def test_more_trials_than_the_spec_has_leave_none_to_come() -> None:
    spec = SPEC.model_copy(update={"trials": 2})
    (model,) = planned(*ROWS[:3], spec=spec).models
    assert model.ahead == ()
    (model,) = planned(*ROWS[:1], run("late", "Running", 20, 1.0), spec=spec).models
    assert model.ahead == (0.0,)


def test_a_trial_that_still_runs_at_the_expected_epoch_may_run_to_its_end() -> None:
    """12 are expected: one has 1 ahead after 11, and 8 after 12, for it has not ended."""
    for epochs, ahead in ((11, 1.0), (12, 8.0), (13, 7.0), (20, 0.0), (25, 0.0)):
        (model,) = planned(*ROWS[:5], run("late", "Running", epochs, 1.0)).models
        assert model.ahead[0] == ahead


def test_hours_and_days_have_three_digits_seconds_one_and_money_two() -> None:
    """Four hours for seven epochs."""
    spec = SPEC.model_copy(update={"trials": 1, "epochs": 7, "epochs_with_patience": 6.0})
    found = json.loads(json.dumps(record(planned(spec=spec, price=1 / 3))))
    assert (found["days"], found["cost"]) == (0.167, 2.67)
    (model,) = found["models"]
    assert (model["seconds_per_epoch"], model["gpu_hours_patience"]) == (2057.1, 6.857)


def test_a_manifest_that_was_shortened_is_planned_as_it_is() -> None:
    """Its own trials and epochs, and the estimate for one of its trials where it has one."""
    short = replace(table(), spec=SPEC, budget=Budget(4, 10, 1.5))
    found = as_run(short)
    assert found is not None
    assert (found.trials, found.epochs, found.hours_per_run) == (4, 10, 1.5)
    unknown = as_run(replace(short, budget=Budget(4, 20, None)))
    assert unknown is not None
    assert (unknown.trials, unknown.hours_per_run) == (4, 4.0)
    assert as_run(replace(short, budget=None)) is SPEC
    assert as_run(replace(short, spec=None)) is None
    (model,) = plan([SPEC], {"made": short}, gpus=1, gpus_per_trial=1, site_parallel=1).models
    assert model.gpu_hours == 6.0
    # A table that comes from another spec counts by its trials alone.
    foreign = replace(short, spec=SPEC.model_copy(update={"name": "foreign"}))
    (model,) = plan([SPEC], {"made": foreign}, gpus=1, gpus_per_trial=1, site_parallel=1).models
    assert model.gpu_hours == 40.0
