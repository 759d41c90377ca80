"""What the report says, against searches of which it is known."""

import json
import re
from dataclasses import replace

import pytest

from katib.measure import SI_SNR
from katib.report.audio import Listening
from katib.report.axes import axes, ticks
from katib.report.cost import cost, cost_figure
from katib.report.curves import curves
from katib.report.figure import span
from katib.report.importance import importance_figure
from katib.report.page import page
from katib.report.search import history, parallel
from katib.report.slices import slices
from katib.report.summary import conclude
from katib.table.importance import FEWEST, importances
from katib.table.sample import foremost, spread
from katib.table.trial_table import TrialRow, TrialTable
from katib.trial import Direction, Identity
from tests.katib.report.simulated import METRIC, identity, row, searched, table


def test_the_parameter_that_matters_is_told_from_those_that_do_not() -> None:
    """In 12 simulated searches of 30 trials only the learning rate matters: it comes first in all, and each of the
    others is said to matter in no more of them than one in 20 would be, by a wide margin of luck.
    """
    found = [importances(searched(30, epochs=10, seed=seed)) for seed in range(12)]
    assert all(one[0].name == "lr" and one[0].significant for one in found)
    others = [one.significant for each in found for one in each if one.name != "lr"]
    assert sum(others) <= 6  # of 36; more is luck in 2 of 1 000 cases where 5 % are
    assert all(sum(one.share for one in each) == pytest.approx(1) for each in found)


def test_a_smaller_loss_matters_as_a_greater_quality_does() -> None:
    better = searched(40, epochs=10)
    turned = TrialTable(
        replace(better.identity, maximize=False),
        tuple(replace(one, value=None if one.value is None else -one.value) for one in better.rows),
    )
    assert [(one.name, one.significant) for one in importances(turned)] == [
        (one.name, one.significant) for one in importances(better)
    ]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([row(number, [1.0 + number]) for number in range(FEWEST - 1)], "too few"),
        ([row(number, [3.0], lr=1e-3 * (1 + number)) for number in range(9)], "too few"),
        ([row(number, [3.0], lr=1e-4 * (1 + number)) for number in range(FEWEST)], "the same value"),
    ],
)
def test_where_nothing_can_be_said_of_importance_it_says_why(rows: list[TrialRow], reason: str) -> None:
    figure = importance_figure(table(*rows))
    assert not figure.drawing
    assert reason in figure.finding


def test_spared_hours_are_those_of_the_epochs_that_stopped_trials_were_not_given() -> None:
    """Ten of fifty epochs at a sixth of an hour each; a trial that failed has saved nothing."""
    found = cost(table(row(1, [1.0] * 50), row(2, [0.5] * 10, state="EarlyStopped"), row(3, [0.1] * 5, state="Failed")))
    assert found.saved == pytest.approx(40 / 6)
    assert found.used == pytest.approx(65 / 6)
    assert found.planned == pytest.approx(3 * 12)  # its own three trials, and not the thirty of the spec
    assert "Early stopping has saved nothing" in cost_figure(table(row(1, [1.0] * 50))).finding


def test_a_stop_is_a_cross_at_the_epoch_where_it_came() -> None:
    drawn = json.loads(curves(table(row(1, [1.0, 2.0, 3.0]), row(2, [0.5, 0.6], state="EarlyStopped"))).drawing)
    (crosses,) = [trace for trace in drawn["data"] if trace["mode"] == "markers"]
    assert (crosses["x"], crosses["y"]) == ([2], [0.6])
    (best,) = [trace for trace in drawn["data"] if trace["name"] == "best trial"]
    assert best["y"] == [1.0, 2.0, 3.0]


def test_the_history_goes_by_the_start_and_its_line_by_the_best_so_far() -> None:
    found = table(row(2, [3.0]), row(0, [1.0]), row(1, [2.0]), row(3, [0.0]), row(4, [], state="Failed"))
    line, *points = json.loads(history(found).drawing)["data"]
    assert (line["x"], line["y"]) == ([1, 2, 3, 5], [1.0, 2.0, 3.0, 3.0])
    assert sorted(zip(points[0]["x"], points[0]["y"], strict=True)) == [
        (1, 1.0),
        (2, 2.0),
        (3, 3.0),
        (4, 0.0),
    ]


def test_the_best_trial_lies_on_each_axis_where_its_value_is() -> None:
    """lr 1e-3 is the middle of 1e-4 to 1e-2 in logarithms, weight_decay 1e-5 of its range, grad_clip_norm 5 is 4/9 of 1
    to 10, lr_factor 0.5 is 2/5 of 0.3 to 0.8, and the best value the top.
    """
    drawn = json.loads(parallel(table(row(1, [5.0]), row(2, [1.0], lr=1e-2))).drawing)
    (best,) = [trace for trace in drawn["data"] if trace.get("name") == "best trial"]
    assert best["y"][:-1] == pytest.approx([0.5, 0.5, 4 / 9, 0.4, 1.0], abs=1e-4)


def test_one_value_far_out_does_not_press_the_others_together() -> None:
    rows = [row(number, [5.0 + number / 10]) for number in range(8)]
    seen = span(table(*rows, row(9, [-30.0])))
    assert seen.low > 3
    assert seen.outside == 1
    assert seen.held(-30.0) == seen.low
    assert "1 trial below" in seen.note(SI_SNR, Direction.MAXIMIZE)
    assert span(table(*rows)).outside == 0


def test_a_best_value_at_the_bound_is_named() -> None:
    first, *others = slices(table(row(1, [1.0], lr=0.0099), row(2, [0.5])))
    assert "upper bound 0.01" in first.finding
    assert all("star" in one.finding for one in others)


def test_a_search_whose_space_is_not_known_is_drawn_over_what_its_trials_had() -> None:
    rows = tuple(row(number, [1.0 * number], lr=10.0**-number) for number in range(1, 5))
    found = TrialTable(Identity("x", METRIC, True, "max", {}), rows)
    lr, *_ = axes(found)
    assert (lr.logarithmic, lr.bounds) == (True, (1e-4, 1e-1))
    words = TrialTable(
        found.identity,
        tuple(replace(one, assignments={"act": name}) for one, name in zip(rows, "aabc", strict=True)),
    )
    (act,) = axes(words)
    assert [text for _, text in act.ticks()] == ["a", "b", "c"]
    assert len(slices(words)) == 1


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "expected"),
    [
        (1e-4, 1e-2, True, ["0.0001", "0.001", "0.01"]),
        (0.02, 0.3, True, ["0.03", "0.1", "0.3"]),
        (0.3, 0.8, False, ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]),
        (1.0, 10.0, False, ["2", "4", "6", "8", "10"]),
        (2.0, 2.0, False, ["2"]),
        (1e-4, 1.2e-4, True, ["0.0001", "0.00012"]),
    ],
)
def test_axes_are_labelled_with_round_numbers(low: float, high: float, logarithmic: bool, expected: list[str]) -> None:
    assert [text for _, text in ticks(low, high, logarithmic=logarithmic)] == expected


def test_what_is_thinned_out_keeps_its_ends_and_the_best() -> None:
    assert spread(range(100), 3) == [0, 50, 99]
    assert spread([1, 2], 3) == [1, 2]
    rows = searched(100, epochs=3).rows
    kept = foremost(rows, 20)
    assert len(kept) == 20
    assert kept[:10] == list(rows[:10])
    assert kept[-1] is rows[-1]


def test_a_large_search_stays_a_small_file_and_says_what_was_left_out() -> None:
    """2 000 trials of 100 epochs."""
    found = searched(2000, epochs=100)
    text = page(found, conclude(found, None), Listening("Nothing."))
    assert len(text.encode()) < 8_000_000
    for words in ("the best 60 are drawn", "the best 150 are drawn", "The best 1000 of 2000 trials"):
        assert words in text
    assert "At most 120 epochs are drawn per curve" in page(
        searched(5, epochs=400), conclude(found, None), Listening("Nothing.")
    )


def test_the_identity_of_the_simulated_search_is_that_of_its_manifest() -> None:
    assert [line.name for line in axes(TrialTable(identity(), ()))] == [
        "lr",
        "weight_decay",
        "grad_clip_norm",
        "lr_factor",
    ]


def test_a_circle_marks_where_a_trial_paused_and_went_on() -> None:
    paused = replace(row(1, [1.0, 2.0, 4.0, 5.0]), pauses=(2, 3))
    figure = curves(table(paused, row(2, [0.5, 0.6])))
    assert "1 trial paused at a circle and went on." in figure.finding
    circles = next(one for one in json.loads(figure.drawing)["data"] if one.get("name") == "paused, went on")
    assert (circles["x"], circles["y"]) == ([2, 3], [2.0, 4.0])
    assert "paused, went on" not in curves(table(row(2, [0.5, 0.6]))).drawing


def test_plotly_knows_each_property_of_each_figure() -> None:
    """Its Python package, which a report itself does not need, refuses a misspelt one."""
    import plotly.graph_objects as go

    found = searched(30, epochs=10)
    written = page(found, conclude(found, None), Listening("Nothing."))
    (drawings,) = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', written, re.DOTALL)
    figures = json.loads(drawings)["figures"]
    assert len(figures) > 5
    for figure in figures.values():
        made = go.Figure(figure).to_plotly_json()
        made["layout"].pop("template", None)
        assert made == figure
    with pytest.raises(ValueError, match="Invalid property"):
        go.Figure({"data": [{"type": "scatter", "colour": "red"}]})
