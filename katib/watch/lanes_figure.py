"""Draws the lanes: a bar for each time in which a trial trained, with a tick at the end of each of its epochs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil

from katib.columns import without_prefix
from katib.draw.drawing import Drawing
from katib.draw.labels import TEXT, Entry, legend, width_of
from katib.draw.marks import line, rect, text
from katib.draw.scale import Clock
from katib.report.figure import by_state, name_of
from katib.text import count, duration, with_unit
from katib.trial import in_words
from katib.watch.lanes import Lane, Stretch, lanes
from katib.watch.view import View

WIDE, NARROW = 1020.0, 360.0
ROW, BAR, FOOT = 44.0, 22.0, 26.0
"""Pixels of a lane with its label, of its bars, and of the axis below."""
MOST_TRIALS, MOST_LANES = 300, 64
TICK_DISTANCE = 4.0
STEPS = 200
"""The axis grows in so many steps of its length, so that little of the drawing changes from one look to the next."""


def lanes_figure(view: View) -> tuple[str, tuple[Drawing, ...]]:
    """Returns what the lanes show in words, and the drawings for a page and for a phone; none where nothing ran."""
    rows = sorted(view.table.rows, key=lambda row: -(view.ended(row) or view.now))[:MOST_TRIALS]
    found = lanes(view, rows)
    if not found:
        return "No trial has trained yet.", ()
    start = min(one.stretches[0].start for one in found)
    last = max(one.end for lane in found for one in lane.stretches)
    end = view.now if view.table.under_way and not view.halted else last
    words = _words(found, start, end, view, left_out=len(view.table.rows) - len(rows))
    step = max((end - start) / STEPS, 1.0)
    axis = _shifted(start, start + step * ceil((end - start) / step + 1e-9), view.now)
    return words, tuple(
        replace(_drawing(found[:MOST_LANES], axis, start, end, view, width, words), kind=kind)
        for width, kind in ((WIDE, "across"), (NARROW, "narrow"))
    )


class _Axis:
    """Times in the zone of this machine."""

    def __init__(self, low: float, high: float, shift: float) -> None:
        self._clock, self._shift = Clock(low + shift, high + shift), shift

    def place(self, time: float) -> float:
        """Returns where a Unix time is, from 0 to 1."""
        return self._clock.place(time + self._shift)

    def ticks(self, most: int) -> list[tuple[float, str]]:
        """Returns the labels with their places."""
        return self._clock.ticks(most)


def _shifted(low: float, high: float, now: float) -> _Axis:
    offset = datetime.fromtimestamp(now).astimezone().utcoffset()
    return _Axis(low, high, offset.total_seconds() if offset else 0.0)


def _drawing(
    found: Sequence[Lane], axis: _Axis, start: float, end: float, view: View, width: float, words: str
) -> Drawing:
    _, names = without_prefix([row.trial for row in view.table.rows], f"{view.table.identity.name}-")
    short = dict(zip((row.trial for row in view.table.rows), names, strict=True))
    key, head = legend(_entries(found, view), width)
    marks, floor = [key], head + ROW * len(found)
    for share, label in axis.ticks(max(2, int(width / 90))):
        x = share * width
        marks.append(line([(x, head), (x, floor)], "grid"))
        half = width_of(label) / 2
        marks.append(text(min(max(x, half), width - half), floor + TEXT + 6, label, "tick", "middle"))
    for index, lane in enumerate(found):
        top = head + index * ROW + ROW - BAR - 4
        idle = lane.idle(start, end)
        unused = f", idle {100 * idle / (end - start):.0f} %" if end > start else ""
        marks.append(text(0, top - 6, f"{_name(lane, index, found, view)}{unused}", "note"))
        marks.append(line([(0, top + BAR / 2), (width * axis.place(end), top + BAR / 2)], "idle dotted"))
        for one in lane.stretches:
            marks += _bar(one, axis, width, top, short[one.trial.trial], view)
    return Drawing(width, floor + FOOT, "Timeline", words, tuple(marks), interactive=True)


def _entries(found: Sequence[Lane], view: View) -> list[Entry]:
    """Returns what the colours of the bars mean."""
    rows = [one.trial for lane in found for one in lane.stretches]
    best = [Entry("best so far", "lane best", "bar")] if any(row is view.table.best for row in rows) else []
    others = [row for row in rows if row is not view.table.best]
    return best + [Entry(name_of(of), f"lane s-{state}", "bar") for state, of in reversed(by_state(others).items())]


def _bar(one: Stretch, axis: _Axis, width: float, top: float, name: str, view: View) -> list[str]:
    """Returns the bar of a stretch with its ticks, its name where that fits, and a mark where it was resumed."""
    x, right, row = axis.place(one.start) * width, axis.place(one.end) * width, one.trial
    kind = "best" if row is view.table.best else f"s-{row.state}"
    value = "" if row.value is None else f", {with_unit(row.value, view.table.identity.measure)}"
    state, took = in_words(row.shown_state), duration(one.end - one.start)
    tip = f"{row.trial}: {state}, {count(row.epochs, 'epoch')}{value}, {took} here"
    parts = [rect(x, top, right - x, BAR, f"lane {kind}", row.trial, radius=2, tip=tip)]
    if one.epochs and (right - x) / len(one.epochs) >= TICK_DISTANCE:
        ticks = [axis.place(time) * width for time in one.epochs]
        parts += [line([(tick, top + BAR - 7), (tick, top + BAR)], "epoch") for tick in ticks]
    if one.resumed:
        parts.append(line([(x, top - 4), (x, top + BAR + 4)], "resumed thick", tip=f"{row.trial} went on here"))
    if right - x > width_of(name) + 8:
        parts.append(text(x + 4, top + 14, name, "on-bar"))
    return parts


def _name(lane: Lane, index: int, found: Sequence[Lane], view: View) -> str:
    same = [place for place, other in enumerate(found) if other.node == lane.node]
    device = "GPU" if view.table.gpus >= 1 else "slot"
    number = f" {device} {same.index(index) + 1}" if len(same) > 1 else ""
    return f"{lane.node or 'machine'}{number}"


def _words(found: Sequence[Lane], start: float, end: float, view: View, left_out: int) -> str:
    total, idle = len(found) * (end - start), sum(lane.idle(start, end) for lane in found)
    device = "GPU" if view.table.gpus >= 1 else "slot"
    share = f", idle {100 * idle / total:.0f} % of the time ({duration(idle)})" if total > 0 else ""
    resumed = sum(row.restarts for row in view.table.rows)
    parts = [f"{count(len(found), device)}{share}."]
    parts.append("A bar is a trial, a tick the end of an epoch, a dotted line idle time.")
    parts += [f"A thick stroke marks where a trial went on; there were {count(resumed, 'restart')}."] if resumed else []
    parts += [f"{left_out} earlier trials are not drawn."] if left_out else []
    return " ".join(parts)
