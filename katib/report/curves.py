"""Draws the learning curves, and shows where and why trials were stopped early."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import dot, line, marked, rug
from katib.draw.scale import Linear
from katib.report.figure import MARGIN, Figure, by_state, name_of, sized
from katib.report.trial_marks import baseline_mean, baseline_rule, room
from katib.table.patience import used
from katib.table.sample import foremost, spread
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, with_unit
from katib.trial import ENDED, Direction

MOST_CURVES, MOST_POINTS = 200, 120
STEEP = 5
"""One in so many of the values of finished trials, the worst ones, does not count for the length of the axis."""
KEY, TITLE = "curves", "Learning curves"


@dataclass(frozen=True)
class _Axis:
    """The part of the vertical axis in which the curves of finished trials differ."""

    low: float
    high: float


def curves(table: TrialTable) -> Figure:
    """Returns each trial's objective by epoch, with a cross where it was stopped, and the stop rule's median.

    A circle marks each epoch after which a trial paused and went on.
    """
    reported = [row for row in table.rows if row.curve]
    if not reported:
        return Figure(KEY, TITLE, "Not enough data: no trial has reported an epoch yet.")
    kept, seen = foremost(reported, MOST_CURVES), _interesting(reported, table)
    middle = _median(reported, table.identity.direction)
    finding = _finding(table, drawn=bool(middle))

    def draw(width: float, height: float) -> Drawing:
        return _drawing(table, kept, middle, seen, width, height, finding)

    thinned = any(len(row.curve) > MOST_POINTS for row in kept)
    note = f"{_left_out(len(reported), len(kept), thinned)} {_outside(kept, seen)}".strip()
    return Figure(KEY, TITLE, finding, sized(draw, 440, 380), note)


def _drawing(
    table: TrialTable,
    kept: Sequence[TrialRow],
    middle: Sequence[tuple[int, float]],
    seen: _Axis,
    width: float,
    height: float,
    finding: str,
) -> Drawing:
    best = table.best if table.best and table.best.curve else None
    others = by_state([row for row in kept if row is not best])
    entries = [Entry("best trial", "best thick", "line")] if best else []
    entries += [
        Entry(name_of(rows), f"s-{state}", "line")
        for state, rows in reversed(others.items())
        if state != "EarlyStopped"
    ]
    entries += [Entry(name_of(others["EarlyStopped"]), "s-EarlyStopped", "cross")] if "EarlyStopped" in others else []
    entries += [Entry("paused, went on", "s-EarlyStopped", hollow=True)] if any(row.pauses for row in kept) else []
    entries += [Entry("median of the best so far", "baseline dotted", "line")] if middle else []
    last = max(row.curve[-1].step for row in kept)
    across, up = Linear(0, last, whole=True), Linear(seen.low, seen.high)
    frame = Frame(width, height, across, up, "epoch", table.identity.measure.title, tuple(entries), room(table), 10)
    paths = [_curve(row, frame) for rows in others.values() for row in rows]
    if middle:
        paths.append(line([frame.at(step, value) for step, value in middle], "baseline dotted"))
    if best:
        paths.append(_curve(best, frame, "best thick"))
    ends = [_end(row, frame, seen) for row in kept if row.state == "EarlyStopped"]
    ends += [_pauses(row, frame, seen) for row in kept if row.pauses]
    return frame.drawing(TITLE, finding, [baseline_rule(table, frame), frame.inside(paths), *ends])


def _curve(row: TrialRow, frame: Frame, kind: str = "") -> str:
    points = spread(row.curve, MOST_POINTS)
    if len(points) == 1:
        return dot(*frame.at(points[0].step, points[0].value), kind or f"s-{row.state}", row.trial, radius=2.5)
    return line([frame.at(point.step, point.value) for point in points], kind or f"thin s-{row.state}", row.trial)


def _end(row: TrialRow, frame: Frame, seen: _Axis) -> str:
    """Returns a cross where a trial was stopped, or a stroke at the edge where that lies beyond the figure."""
    point = row.curve[-1]
    kind = f"s-{row.state}"
    if seen.low <= point.value <= seen.high:
        return dot(*frame.at(point.step, point.value), kind, row.trial, shape="cross")
    return rug(frame.across(point.step), frame.floor if point.value < seen.low else frame.top + 8, kind, row.trial)


def _pauses(row: TrialRow, frame: Frame, seen: _Axis) -> str:
    points = [point for point in row.curve if point.step in row.pauses and seen.low <= point.value <= seen.high]
    marks = [dot(*frame.at(point.step, point.value), "s-EarlyStopped", hollow=True) for point in points]
    return marked("pauses", row.trial, *marks)


def _finding(table: TrialTable, *, drawn: bool) -> str:
    stopped = [row for row in table.rows if row.state == "EarlyStopped"]
    best = table.best
    parts = []
    if best is not None and best.best_epoch is not None:
        value = with_unit(best.value or 0.0, table.identity.measure)
        parts.append(f"The best trial (orange) reached {value} at epoch {best.best_epoch} of {best.epochs}.")
        if best.best_epoch == best.epochs and best.state == "Succeeded":
            parts.append("That was its last epoch: it was still improving, so more epochs may help.")
    if stopped:
        epochs = [row.epochs for row in stopped]
        after = count(epochs[0], "epoch")
        if min(epochs) < max(epochs):
            after = f"{min(epochs)} to {max(epochs)} epochs, {median(epochs):g} in the median"
        parts.append(
            f"{len(stopped)} of {count(len(table.rows), 'trial')} (grey, a cross at the end) were "
            f"{name_of(stopped)}, after {after}."
        )
    else:
        parts.append("No trial was stopped early.")
    if resumed := sum(bool(row.pauses) for row in table.rows):
        parts.append(f"{count(resumed, 'trial')} paused at a circle and went on.")
    if clause := used(table):
        parts.append(f"{clause[0].upper()}{clause[1:]}.")
    if drawn:
        parts.append(
            "The dotted line is the median, over the trials that have ended, of the best value so far; a stopped one"
            " keeps its last."
        )
    return " ".join(parts)


def _interesting(rows: Sequence[TrialRow], table: TrialTable) -> _Axis:
    """Returns the part of the axis in which the curves of finished trials differ.

    They begin far below, and that steep part would squeeze the rest together. The final value of every finished trial
    stays visible; where none has finished, that of every trial does.
    """
    rows = [row for row in rows if row.state == "Succeeded"] or rows
    values = sorted(point.value for row in rows for point in row.curve)
    ends = [row.curve[-1].value for row in rows]
    tail = len(values) // STEEP
    if table.identity.direction is Direction.MAXIMIZE:
        low, high = min(values[tail], *_middling(ends)), max(values[-1], *ends, *baseline_mean(table))
    else:
        low, high = min(values[0], *ends, *baseline_mean(table)), max(values[-1 - tail], *_middling(ends))
    margin = MARGIN * (high - low) or 0.5
    return _Axis(low - margin, high + margin)


def _middling(ends: Sequence[float]) -> Sequence[float]:
    """Returns the ends but a few far out, which would squeeze all others together."""
    middle = median(ends)
    reach = 6 * (median(abs(end - middle) for end in ends) or math.inf)
    return [end for end in ends if abs(end - middle) <= reach] or [middle]


def _left_out(curves: int, kept: int, thinned: bool) -> str:
    parts = []
    if kept < curves:
        parts.append(
            f"Of {curves} curves the best {kept // 2} are drawn, and {kept - kept // 2} evenly from the others."
        )
    if thinned:
        parts.append(f"At most {MOST_POINTS} epochs are drawn per curve.")
    return " ".join(parts)


def _outside(rows: Sequence[TrialRow], seen: _Axis) -> str:
    beyond = sum(not seen.low <= point.value <= seen.high for row in rows for point in row.curve)
    return f"Not shown: {count(beyond, 'early or poor epoch')}, beyond the axis." if beyond else ""


def _median(rows: Sequence[TrialRow], direction: Direction) -> list[tuple[int, float]]:
    """Returns the median, at each epoch, of the best values so far.

    Every trial that has ended counts to the last epoch with the best value that it reached, so that the line jumps
    neither where trials stop nor where those end that still run.
    """
    rows = [row for row in rows if row.state in ENDED]
    if not rows:
        return []
    last = max(row.curve[-1].step for row in rows)
    bests: dict[int, list[float]] = {}
    for row in rows:
        points = {point.step: point.value for point in row.curve}
        so_far: float | None = None
        for step in range(1, 1 + last):
            if (value := points.get(step)) is not None:
                so_far = value if so_far is None or direction.better(value, so_far) else so_far
            if so_far is not None:
                bests.setdefault(step, []).append(so_far)
    steps = spread(sorted(step for step, found in bests.items() if len(found) >= 3), MOST_POINTS)
    return [(step, median(bests[step])) for step in steps] if len(steps) >= 2 else []
