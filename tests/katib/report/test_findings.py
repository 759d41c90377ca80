"""What the report says, against searches of which it is known."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from katib.conclude.belief import Belief, believe, told
from katib.conclude.selection import candidates
from katib.conclude.verdict import Rival, judge
from katib.measure import SI_SNR
from katib.report.audio import Listening
from katib.report.axes import axes
from katib.report.contour import contours
from katib.report.cost import cost, cost_figure
from katib.report.curves import curves
from katib.report.figure import Figure, span
from katib.report.history import best_so_far, history
from katib.report.importance import importance_figure
from katib.report.metrics import metric_figures
from katib.report.page import page
from katib.report.parallel import parallel, places
from katib.report.seeds import seeds_figure
from katib.report.slices import slices
from katib.report.summary import conclude
from katib.report.tables import failures
from katib.table.ends import End, ends
from katib.table.importance import FEWEST, importances
from katib.table.sample import foremost, spread
from katib.table.trial_table import Point, TrialRow, TrialTable
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


def test_an_end_expected_above_all_finished_trials_lies_on_the_axis() -> None:
    """Three finished trials and a stopped one, whose expected 6 dB are the most; what lies far below is a stroke."""
    rows = [row(number, [5.0 + 0.1 * number]) for number in range(3)]
    found = table(*rows, row(3, [1.0], state="EarlyStopped"), row(4, [-40.0], state="EarlyStopped"))
    stopped = [one.trial for one in found.rows if one.state == "EarlyStopped"]
    figure = history(found, Belief({stopped[0]: End(6.0, 0.2), stopped[1]: End(-40.0, 0.2)}))
    assert figure.note == "1 trial below 5.00 dB, drawn as strokes at the edge."


def test_a_smaller_loss_matters_as_a_greater_quality_does() -> None:
    better = searched(40, epochs=10)
    turned = TrialTable(
        replace(better.identity, maximize=False),
        tuple(
            replace(
                one,
                value=None if one.value is None else -one.value,
                metrics={METRIC: tuple(replace(point, value=-point.value) for point in one.curve)},
            )
            for one in better.rows
        ),
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
    assert figure.drawings == ()
    assert reason in figure.finding


def test_spared_hours_are_those_of_the_epochs_that_stopped_trials_were_not_given() -> None:
    """Ten of fifty epochs at a sixth of an hour each; a trial that failed has saved nothing."""
    found = cost(table(row(1, [1.0] * 50), row(2, [0.5] * 10, state="EarlyStopped"), row(3, [0.1] * 5, state="Failed")))
    assert found.saved == pytest.approx(40 / 6)
    assert found.used == pytest.approx(65 / 6)
    assert found.planned == pytest.approx(3 * 12)  # its own three trials, and not the thirty of the spec
    assert "Early stopping has saved nothing" in cost_figure(table(row(1, [1.0] * 50))).finding


def marks(figure: Figure, kind: str, narrow: bool = False) -> list[dict[str, str]]:
    """Returns the attributes of the marks of a figure that have a class, in drawing order."""
    root = ElementTree.fromstring(str(figure.drawings[-1 if narrow else 0]))
    return [dict(one.attrib) for one in root.iter() if kind in one.get("class", "").split()]


def test_a_stop_is_a_cross_at_the_epoch_where_it_came() -> None:
    """Its curve and its cross are of one trial, and both ends of the best one's lie where its axis says."""
    found = table(row(1, [1.0, 2.0, 3.0]), row(2, [2.5, 2.6], state="EarlyStopped"), row(3, [2.0, 2.5, 2.4]))
    figure = curves(found)
    name = found.rows[1].trial if found.rows[1].state == "EarlyStopped" else found.rows[2].trial
    (cross,) = [one for one in marks(figure, "stroke") if "data-trial" in one]
    assert cross["data-trial"] == name
    x, y = (float(one) for one in re.findall(r"[\d.]+", cross["transform"]))
    (best,) = [one for one in marks(figure, "thick") if "data-trial" in one]
    start, *steps = [float(one) for one in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", best["d"])]
    step = steps[1]
    assert x == pytest.approx(start + step, abs=0.2)
    # 2.6 of 1 to 3 dB: the curve rises by one dB from its first epoch to the second.
    assert y == pytest.approx(steps[0] + 1.6 * steps[2], abs=0.3)


def test_the_median_of_the_best_so_far_does_not_fall_where_running_trials_end() -> None:
    ended = [row(number, [1.0, 2.0, 2.0 + number / 10, 2.0]) for number in range(4)]
    figure = curves(table(*ended, *(row(10 + number, [4.0, 5.0], state="Running") for number in range(9))))
    *_, middle = marks(figure, "dotted")
    _, *steps = [float(one) for one in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", middle["d"])]
    assert len(steps) == 7
    assert all(down <= 0 for down in steps[2::2])


def test_the_history_goes_by_the_start_and_its_line_by_the_best_so_far() -> None:
    found = table(row(2, [3.0]), row(0, [1.0]), row(1, [2.0]), row(3, [0.0]), row(4, [], state="Failed"))
    order = sorted(found.rows, key=lambda one: one.started or 0.0)
    numbers = {one.trial: number for number, one in enumerate(order, 1)}
    valued = [one for one in order if one.value is not None]
    assert best_so_far(valued, numbers, found) == [(1, 1.0), (2, 2.0), (3, 3.0), (5, 3.0)]
    across = [float(one["cx"]) for one in marks(history(found), "dot") if "data-trial" in one]
    assert across == sorted(across)


def test_with_trials_side_by_side_the_best_so_far_steps_when_a_trial_has_ended() -> None:
    """The first of three that started together ends last, when the fourth has begun."""
    rows = [replace(row(number, [3.0 - number]), started=float(number), ended=10.0 - number) for number in range(3)]
    rows.append(replace(row(3, [0.5]), started=8.5, ended=9.5))
    found = table(*rows)
    numbers = {one.trial: number for number, one in enumerate(rows, 1)}
    assert best_so_far(rows, numbers, found) == [(3, 1.0), (4, 2.0), (4, 3.0), (4, 3.0)]


def test_the_best_trial_lies_on_each_axis_where_its_value_is() -> None:
    """lr 1e-3 is the middle of 1e-4 to 1e-2 in logarithms, weight_decay 1e-5 of its range, grad_clip_norm 5 is 4/9 of 1
    to 10, lr_factor 0.5 is 2/5 of 0.3 to 0.8, and the best value the top.
    """
    found = table(row(1, [5.0]), row(2, [1.0], lr=1e-2))
    assert places(found, Belief())[found.rows[0].trial] == pytest.approx([0.5, 0.5, 4 / 9, 0.4, 1.0], abs=1e-4)
    assert {one["data-axis"] for one in marks(parallel(found), "brush")} == {*found.settings, "val_si_snr (dB)"}


def test_a_stopped_trial_is_hollow_where_it_would_have_ended_and_out_of_the_way_where_that_is_poor() -> None:
    """Completed trials gain 2 dB after epoch 2, the more the better ones; the far one stays at the edge."""
    finished = [row(number, [1.0, 3.0 + number / 10, 5.0 + number / 5], lr=1e-3 * (number + 1)) for number in range(6)]
    stopped = row(10, [1.0, 3.1], state="EarlyStopped", lr=2e-3)
    poor = row(11, [-20.0, -19.0], state="EarlyStopped", lr=9e-3)
    found = table(*finished, stopped, poor, epochs=3)
    belief = believe(found)
    assert belief.ends[stopped.trial].value == pytest.approx(3.1 + 2.25)
    assert belief.ends[stopped.trial].sd > 0
    for figure in (history(found, belief), slices(found, belief)[0]):
        (group,) = [one for one in marks(figure, "s-EarlyStopped") if one.get("data-trial") == stopped.trial]
        assert "hollow" in str(figure.drawings[0])
        assert "class" in group
        (edge,) = marks(figure, "rug")
        assert edge["data-trial"] == poor.trial
    assert "1 trial below" in history(found, belief).note
    assert ends(table(stopped, poor)) == {}, "without a finished trial nobody knows what later epochs bring"


def test_a_slice_says_what_the_model_expects_and_nothing_where_it_sees_nothing() -> None:
    found = searched(30, epochs=10)
    belief = believe(found)
    by_name = {figure.title: figure for figure in slices(found, belief)}
    assert "The model expects the most at" in by_name["lr"].finding
    assert marks(by_name["lr"], "area")
    optimum = float(belief.slices["lr"].best.text)
    assert pytest.approx(optimum, rel=0.5) == 1e-4 * 100**0.6
    assert "sees no effect of lr_factor" in by_name["lr_factor"].finding
    (plane,) = contours(found, belief)
    assert plane.title.startswith("lr and ")
    assert "The model expects the most at lr 0.001" in plane.finding
    nothing = believe(table(row(1, [1.0]), row(2, [2.0])))
    assert (nothing.slices, nothing.plane) == ({}, None)
    noise = table(*(row(number, [float(number * 7 % 5)], lr=1e-4 * 1.2**number) for number in range(20)))
    assert contours(noise, believe(noise)) == []


def test_of_a_loss_the_model_expects_the_least_and_whole_numbers_have_whole_labels() -> None:
    """A loss that is least at 8 of 20 layers; and, of an axis from 1 to 4, the labels."""
    rows = []
    for number in range(1, 21):
        made = row(number, [3.0, 2.0 + (number - 8) ** 2 / 50])
        rows.append(replace(made, assignments={"layers": str(number)}, value=made.curve[-1].value, best_epoch=2))
    rows.sort(key=lambda one: one.value or 0.0)

    def searched_to(most: int) -> TrialTable:
        space = {"name": "layers", "parameterType": "int", "feasibleSpace": {"min": "1", "max": str(most)}}
        own = identity()
        loss = replace(own, maximize=False, strategy="min", spec={**own.spec, "parameters": [space]})
        return replace(table(*rows), identity=loss, rows=tuple(rows))

    found = searched_to(20)
    (figure,) = slices(found, believe(found))
    assert re.search("The model expects the least at [789]:", figure.finding)
    labels = re.findall(r'text-anchor="middle"[^>]*>([^<]+)<', str(slices(searched_to(4))[0].drawings[0]))
    assert labels == ["1", "2", "3", "4", "layers"]


def test_what_the_model_expects_below_the_axis_is_cut_off_and_not_drawn_along_its_floor() -> None:
    found = searched(30, epochs=10)
    belief = believe(found)
    poor = tuple(replace(one, mean=one.mean - 50) for one in belief.slices["lr"].estimates)
    figure = slices(found, replace(belief, slices={"lr": replace(belief.slices["lr"], estimates=poor)}))[0]
    drawn = re.findall(r'class="line model" d="M\S+ (\S+?)l', str(figure.drawings[0]))
    assert len(drawn) == 1
    assert float(drawn[0]) > figure.drawings[0].height


def test_failures_of_one_cause_are_one_row_whatever_numbers_they_hold() -> None:
    rows = [
        row(number, [], state="Failed", lr=1e-3 * number, reason=f"out of memory: {number} MiB missing", fix="less")
        for number in range(1, 4)
    ]
    found = failures(table(*rows, row(9, [], state="Failed", reason="killed")))
    assert [line.cells[1] for line in found.rows] == ["3", "1"]
    assert found.rows[0].cells[2] == rows[0].trial
    assert "lr 0.001 to 0.003" in found.rows[0].cells[4]
    assert "4 trials of 4 failed" in found.label


def test_the_confirmation_shows_every_seed_of_every_candidate_and_of_the_baseline() -> None:
    made = judge(
        {"lr": "0.002"}, {42: 5.7, 123: 5.2, 456: 5.1}, others=[{123: 5.0, 456: 5.3}],
        baseline={42: 5.14, 123: 5.26, 456: 4.89}, seen=[42],
    )  # fmt: skip
    made = replace(made, others=(Rival({"lr": "0.003"}, {42: 5.5, 123: 5.0, 456: 5.3}),))
    figure = seeds_figure(table(row(1, [5.0])), made)
    tips = [one["data-tip"] for one in marks(figure, "dot") if "data-tip" in one]
    assert len(tips) == 9
    assert "candidate 2, seed 456: 5.30 dB" in tips
    assert len([one for one in marks(figure, "hollow") if "data-tip" in one]) == 2
    assert "not shown to be better: keep the baseline" in figure.finding
    assert [one for one in marks(figure, "doubt") if "data-tip" in one]
    assert not seeds_figure(table(row(1, [5.0])), None).drawings


def test_after_a_confirmation_the_estimates_know_its_seeds() -> None:
    """A lucky first choice, whose new seeds are poor, is expected to reach less than before."""
    found = searched(30, epochs=10)
    best = found.rows[0]
    made = judge(best.assignments, {42: best.value or 0.0, 123: 4.0, 456: 4.1}, others=[], baseline={}, seen=[42])
    known = told(found, made)
    assert len(known.rows) == len(found.rows) + 2
    before, after = ({one.trials[0]: one for one in candidates(each, 99)}[best.trial] for each in (found, known))
    assert after.mean < before.mean - 0.5
    assert after.observed == pytest.approx(((best.value or 0.0) + 8.1) / 3)
    assert told(found, None) is found


def test_every_other_metric_is_drawn_and_the_loss_beside_validation() -> None:
    values = tuple(Point(step, -float(step), None) for step in range(1, 5))
    one = row(1, [1.0, 2.0, 3.0, 3.5])
    found = table(replace(one, metrics={**one.metrics, "train_loss": values, "constant": (Point(1, 2.0, None),)}))
    (loss,) = metric_figures(found)
    assert (loss.title, len(marks(loss, "dashed"))) == ("train_loss", 2)
    assert "0.50 dB better" in loss.finding


def test_one_value_far_out_does_not_press_the_others_together() -> None:
    rows = [row(number, [5.0 + number / 10]) for number in range(8)]
    seen = span(table(*rows, row(9, [-30.0])))
    assert seen.low > 3
    assert seen.held(-30.0) == seen.low
    values = [one.value or 0.0 for one in rows]
    assert "1 trial below" in seen.note([*values, -30.0], SI_SNR, Direction.MAXIMIZE)
    assert seen.note(values, SI_SNR, Direction.MAXIMIZE) == ""
    assert span(table(*rows, row(9, [0.0], state="EarlyStopped"))).low == 5.0, "finished trials make the axis"


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
    assert [text for _, text in act.scale().ticks()] == ["a", "b", "c"]
    assert len(slices(words)) == 1


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
    for words in ("the best 100 are drawn", "the best 150 are drawn", "The best 1000 of 2000 trials"):
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
    circles = [one for one in marks(figure, "hollow") if "cx" in one][1:]  # the first is the legend's
    assert len(circles) == 2
    assert "paused, went on" not in str(curves(table(row(2, [0.5, 0.6]))).drawings[0])
