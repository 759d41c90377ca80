"""Which GPU did what when, the running trials, and what happened: from tables alone."""

import re
from dataclasses import replace
from typing import Any

import pytest

from katib.conclude.belief import Belief
from katib.heartbeat import Heartbeat
from katib.report.curves import curves as learning_curves
from katib.report.history import history
from katib.table.trial_table import Point, TrialRow, TrialTable
from katib.watch.events import events
from katib.watch.lanes import lanes
from katib.watch.lanes_figure import lanes_figure
from katib.watch.running import curves, expected, now, stop_bar
from katib.watch.strip import facts
from katib.watch.view import Curves, View
from tests.katib.report.simulated import METRIC, row, searched, table

START, HOUR = 1_790_000_000.0, 3600.0


def trained(number: int, times: list[float], *, start: float = 0.0, node: str = "a", **more: Any) -> TrialRow:
    """Returns a trial whose epochs ended at these hours; it ended with the last one."""
    values = [float(step) for step in range(1, len(times) + 1)]
    points = tuple(
        Point(step, value, START + HOUR * time) for step, (value, time) in enumerate(zip(values, times, strict=True), 1)
    )
    made = row(number, values, started=START + HOUR * start, ended=START + HOUR * times[-1], node=node)
    seconds = HOUR * (times[-1] - start)
    return replace(made, metrics={METRIC: points}, seconds=seconds, **more)


def seen(found: TrialTable, hours: float = 100.0, **more: Any) -> View:
    curves = Curves()
    packed = curves.packed(found)
    return View(packed, START + HOUR * hours, curves.of(packed), **more)


def test_the_timeline_says_what_its_colours_mean() -> None:
    rows = [row(1, [1.0]), row(2, [2.0]), row(3, [0.5], state="EarlyStopped"), row(4, [0.1], state="Running")]
    _, drawings = lanes_figure(View(table(*rows), START + 50_000))
    for drawing in map(str, drawings):
        legend = drawing.split('class="legend"')[1].split("</g>")[0]
        assert re.findall(r">([a-z ]+)</text>", legend) == ["best so far", "succeeded", "running", "stopped early"]


def test_trials_that_follow_each_other_share_a_lane_and_those_that_overlap_do_not() -> None:
    rows = [
        trained(1, [1, 2, 3]),
        trained(2, [2, 3, 4], start=1),
        trained(3, [5, 6], start=4),
        trained(4, [2, 3], start=1, node="b"),
    ]
    found = lanes(seen(table(*rows)), rows)
    assert [(lane.node, [one.trial.trial[-1] for one in lane.stretches]) for lane in found] == [
        ("a", ["1"]),
        ("a", ["2", "3"]),
        ("b", ["4"]),
    ]
    assert found[0].idle(START, START + 6 * HOUR) == pytest.approx(3 * HOUR)


def test_an_interruption_is_idle_and_the_lane_is_kept() -> None:
    broken = trained(1, [1, 2, 3, 9, 10], restarts=1)
    (lane,) = lanes(seen(table(broken)), [broken])
    first, second = lane.stretches
    assert (first.end, second.start) == (START + 3 * HOUR, START + 8 * HOUR)
    assert second.resumed
    assert not first.resumed
    assert lane.idle(START, START + 10 * HOUR) == pytest.approx(5 * HOUR)


def test_another_trial_may_run_in_a_pause() -> None:
    paused, other = trained(1, [1, 2, 9, 10], pauses=(2,)), trained(2, [3, 4, 5], start=2)
    (lane,) = lanes(seen(table(paused, other)), [paused, other])
    assert [one.trial.trial[-1] for one in lane.stretches] == ["1", "2", "1"]


def test_the_lanes_say_how_much_was_idle() -> None:
    words, (wide, narrow) = lanes_figure(seen(table(trained(1, [1, 2, 3, 9, 10], restarts=1))))
    assert words.startswith("1 GPU, idle 50 % of the time (5 h 00 min).")
    assert "1 restart" in words
    assert str(wide).count('class="bar lane best"') == str(narrow).count('class="bar lane best"') == 3


def test_nothing_is_drawn_where_nothing_ran() -> None:
    assert lanes_figure(seen(table())) == ("No trial has trained yet.", ())
    waiting = row(1, [], state="Created", seconds=0.0)
    assert lanes_figure(seen(table(waiting)))[1] == ()
    assert curves(seen(table(waiting)), []) == ()


def test_a_name_with_markup_stays_text_in_a_drawing() -> None:
    evil = trained(1, [5, 9], trial='<script>"', node="<b>")
    _, drawings = lanes_figure(seen(table(evil)))
    assert "<script" not in str(drawings[0])
    assert "<b>" not in str(drawings[0])


def test_the_name_of_a_running_trial_stays_within_its_drawing() -> None:
    long = trained(1, [98, 99], state="Running", trial="series3-sepformer-" + "long" * 20 + "-x7k2m9qp")
    wide, _ = curves(seen(table(long, trained(2, [5, 9]))), [])
    assert ">…" in str(wide)
    assert "x7k2m9qp<" in str(wide)
    assert "longlonglong" not in str(wide).replace(long.trial, "")


def test_a_running_trial_says_where_it_is_in_its_epoch() -> None:
    beat = Heartbeat(3, 50, 250, 1000, validating=False, stepped=START + 100 * HOUR, step_seconds=1.0,
                     mixtures_per_second=8.0, epoch_seconds=1200.0)  # fmt: skip
    one = trained(1, [98, 99], state="Running", heartbeat=beat)
    view = seen(table(one))
    told = now(one, view)
    assert (told.share, told.where) == (0.25, "epoch 3 of 50, step 250 of 1000")
    assert told.pace.startswith("8 mixtures/s, 20 min an epoch, its last would end ")
    assert told.silence == ""
    silent = replace(one, heartbeat=replace(beat, stepped=START + 99 * HOUR))
    assert now(silent, view).silence == "no step for 60 min, after step 250 of 1000 of epoch 3"
    assert now(replace(one, heartbeat=None), view).where.startswith("after 2 epochs of 50, the last one ended ")
    timeless = {METRIC: tuple(Point(step, 1.0, None) for step in (1, 2))}
    without = replace(one, heartbeat=None, metrics=timeless)
    assert now(without, seen(table(without))).where == "after 2 epochs of 50"
    fresh = row(2, [], state="Running")
    assert now(fresh, seen(table(fresh))).where == "after 0 epochs of 50, none has ended yet"


def test_the_bar_is_what_the_rule_asks_for() -> None:
    """SepFormer's spec stops by the median of the best so far, from epoch 15 on."""
    found = searched(40, epochs=30)
    going = replace(found.finished[0], trial="series3-sepformer-now", state="Running")
    bar = dict(stop_bar(seen(replace(found, rows=(going, *found.rows[1:])))))
    assert min(bar) == 15
    assert max(bar) == 30
    assert 3 < bar[30] < 5.6
    half = replace(going, reports=going.values[:15], epochs=15)
    ends = expected(seen(replace(found, rows=(half, *found.rows[1:]))))
    assert abs(ends[half.trial].value - (going.value or 0.0)) < 3 * ends[half.trial].sd + 0.2
    drawings = curves(seen(replace(found, rows=(going, *found.rows[1:]))), list(bar.items()), ends)
    assert "expected end" in str(drawings[0])
    assert [drawing.kind for drawing in drawings] == ["across", "narrow"]
    assert "needed to go on" in str(drawings[0])


def test_the_events_tell_what_happened_the_last_one_first() -> None:
    rows = [
        trained(1, [1, 2, 3]),
        trained(2, [3, 4, 5, 6], start=2, state="EarlyStopped", reason="best of epoch 4 is below"),
        trained(3, [7], start=6, state="Failed", reason="out of memory", fix="lower batch_size"),
        trained(4, [2, 3, 8, 9], start=1, pauses=(2,)),
    ]
    found = events(seen(table(*rows), tails={rows[2].trial: ["the last line"]}))
    told = [(event.kind, event.trial[-1]) for event in found]
    assert told == [
        ("finished", "4"), ("resumed", "4"), ("failed", "3"), ("best", "2"), ("stopped", "2"), ("best", "1"),
        ("finished", "1"),
    ]  # fmt: skip
    assert found[2].lines == ["the last line"]
    assert found[2].fix == "lower batch_size"
    assert found[3].text == "new best: 4.00 dB at epoch 4, +1.00 dB"


def test_the_strip_says_when_it_ends_and_how_sure() -> None:
    ended = [trained(number, [float(number + 1), number + 2.0], start=float(number)) for number in range(5)]
    longer = trained(7, [3.0, 6.0], start=0.0)
    going = trained(8, [99.0], start=98.0, state="Running")
    found = {fact.label: fact for fact in facts(seen(table(*ended, longer, going)))}
    assert found["trials ended"].value == "6 of 7"
    assert found["trials ended"].detail == "1 running, 6 succeeded"
    assert " ± " in found["ends"].detail
    assert found["best val_si_snr"].detail.startswith("trial 0000000")
    halted = {fact.label: fact for fact in facts(seen(table(*ended, going), halted="no engine"))}
    assert (halted["ends"].value, halted["ends"].detail) == ("stands still", "no engine")


def test_a_metric_at_the_best_epoch_is_the_same_from_memory() -> None:
    values = {METRIC: {1: 1.0, 3: 5.0}, "loss": {2: 0.5, 3: 0.25}, "late": {4: 1.0}}
    points = {name: tuple(Point(step, value, None) for step, value in each.items()) for name, each in values.items()}
    plain = replace(row(1, [1.0]), metrics=points, best_epoch=3)
    for one in (plain, replace(plain, best_epoch=None), replace(plain, state="Failed")):
        (packed,) = Curves().packed(table(one)).rows
        for name in (*points, "nosuch"):
            assert packed.at_best(name) == one.at_best(name)
    assert plain.at_best("loss") == 0.25


def test_what_is_paused_is_called_so_in_every_figure() -> None:
    paused = row(2, [2.0, 2.5], state="EarlyStopped", may_go_on=True)
    finished = [row(number, [1.0, number + 3.0]) for number in range(3, 7)]
    found = table(row(1, [2.0, 3.0]), paused, *finished)
    _, (wide, _) = lanes_figure(seen(found))
    curve = learning_curves(found)
    for drawn in (str(wide), str(curve.drawings[0]), str(history(found, Belief()).drawings[0])):
        assert ">paused</text>" in drawn
        assert "stopped early" not in drawn
    assert "1 of 6 trials (grey, a cross at the end) were paused, after 2 epochs." in curve.finding
    stopped = row(7, [1.0, 1.5], state="EarlyStopped")
    assert ">paused or stopped early</text>" in str(lanes_figure(seen(table(*found.rows, stopped)))[1][0])


def test_the_strip_says_which_of_the_ended_may_go_on_and_that_no_value_comes_any_more() -> None:
    paused = row(2, [2.0, 2.5], state="EarlyStopped", may_go_on=True)
    found = {fact.label: fact for fact in facts(seen(table(row(1, [3.0]), paused, row(3, [1.0], state="Running"))))}
    assert found["trials ended"].detail == "1 running, 1 paused (may go on), 1 succeeded"
    failed = {fact.label: fact for fact in facts(seen(table(row(1, [3.0], state="Failed"))))}["best val_si_snr"]
    assert (failed.value, failed.detail) == ("none", "no trial has a value")
    waits = {fact.label: fact for fact in facts(seen(table(row(1, [], state="Created"))))}["best val_si_snr"]
    assert (waits.value, waits.detail) == ("none yet", "no trial has finished an epoch")
