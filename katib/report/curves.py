"""Draws the learning curves, and shows where and why trials were stopped early."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from katib.report.figure import (
    MARGIN,
    Figure,
    about,
    by_state,
    drawing,
    plain,
    span,
    unit_of,
)
from katib.report.search import baseline_line, baseline_mean
from katib.report.style import BEST, STATES
from katib.table.patience import used
from katib.table.sample import foremost, spread
from katib.table.trial_table import Point, TrialRow, TrialTable
from katib.text import count, with_unit
from katib.trial import Direction

MOST_CURVES, MOST_POINTS = 120, 120
STEEP = 10
"""The worst one of so many values does not count for the length of the axis."""


def curves(table: TrialTable) -> Figure:
    """Returns each trial's objective by epoch, with a cross where it was stopped, and the stop rule's median.

    A circle marks each epoch after which a trial paused and went on.
    """
    key, title = "curves", "Learning curves"
    drawn = [row for row in table.rows if row.curve]
    if not drawn:
        return Figure(key, title, "Not enough data: no trial has reported an epoch yet.")
    kept = foremost(drawn, MOST_CURVES)
    best = table.best if table.best and table.best.curve else None
    traces = [_lines(rows, table, state) for state, rows in by_state([row for row in kept if row is not best]).items()]
    if middle := _median(drawn, table.identity.direction):
        traces.append(middle)
    if best:
        traces.append(_line(best, table))
    stopped = [row for row in kept if row.state == "EarlyStopped"]
    traces += [_crosses(stopped, table)] if stopped else []
    traces += [_circles(resumed, table)] if (resumed := [row for row in kept if row.pauses]) else []
    seen = _interesting(kept, table)
    layout = {
        "xaxis": {"title": {"text": "epoch"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": plain(unit_of(table))}, **seen},
        **baseline_line(table, side="left"),
    }
    thinned = any(len(row.curve) > MOST_POINTS for row in kept)
    return Figure(
        key,
        title,
        _finding(table),
        drawing(traces, layout),
        440,
        f"{_left_out(len(drawn), len(kept), thinned)} {_outside(kept, seen)}".strip(),
    )


def _finding(table: TrialTable) -> str:
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
            f"{len(stopped)} of {count(len(table.rows), 'trial')} (grey, a cross at the end) were stopped early, "
            f"after {after}."
        )
    else:
        parts.append("No trial was stopped early.")
    if resumed := sum(bool(row.pauses) for row in table.rows):
        parts.append(f"{count(resumed, 'trial')} paused at a circle and went on.")
    if clause := used(table):
        parts.append(f"{clause[0].upper()}{clause[1:]}.")
    parts.append(
        "The dotted line is the median, over all trials, of the best value so far; the median rule stops trials by it."
    )
    return " ".join(parts)


def _interesting(rows: Sequence[TrialRow], table: TrialTable) -> dict[str, list[float]]:
    """Returns the part of the axis in which the curves differ.

    They begin far below, and that steep part would squeeze the rest together. Every trial's final value stays visible.
    """
    values = sorted(point.value for row in rows for point in row.curve)
    ends = [seen.held(row.curve[-1].value) for seen in [span(table)] for row in rows]
    if table.identity.direction is Direction.MAXIMIZE:
        low, high = min(values[len(values) // STEEP], *ends), max(values[-1], *ends, *baseline_mean(table))
    else:
        low, high = (
            min(values[0], *ends, *baseline_mean(table)),
            max(values[-1 - len(values) // STEEP], *ends),
        )
    margin = MARGIN * (high - low)
    return {"range": [low - margin, high + margin]} if margin else {}


def _left_out(curves: int, kept: int, thinned: bool) -> str:
    parts = []
    if kept < curves:
        parts.append(
            f"Of {curves} curves the best {kept // 2} are drawn, and {kept - kept // 2} evenly from the others."
        )
    if thinned:
        parts.append(f"At most {MOST_POINTS} epochs are drawn per curve.")
    return " ".join(parts)


def _outside(rows: Sequence[TrialRow], seen: Mapping[str, Sequence[float]]) -> str:
    low, high = seen.get("range", (-math.inf, math.inf))
    beyond = sum(not low <= point.value <= high for row in rows for point in row.curve)
    return f"Not shown: {count(beyond, 'early epoch')}, far below the rest." if beyond else ""


def _lines(rows: Sequence[TrialRow], table: TrialTable, state: str) -> dict[str, object]:
    """Returns the curves of one state as one trace, with gaps between them."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        points = spread(row.curve, MOST_POINTS)
        x += [*(point.step for point in points), None]
        y += [*(point.value for point in points), None]
        # One text a curve, at its end: one a point would be most of the file.
        text += [*[""] * (len(points) - 1), about(row, table), ""]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": state,
        "x": x,
        "y": y,
        "text": text,
        "hoverinfo": "text",
        "line": {"color": STATES[rows[0].state], "width": 1.2},
        "opacity": 0.75,
        "showlegend": rows[0].state != "EarlyStopped",  # their crosses have an entry
    }


def _line(best: TrialRow, table: TrialTable) -> dict[str, object]:
    points = spread(best.curve, MOST_POINTS)
    metric = table.identity.measure
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best trial",
        "x": [point.step for point in points],
        "y": [point.value for point in points],
        "text": [f"epoch {point.step}: {with_unit(point.value, metric)}" for point in points],
        "hoverinfo": "text",
        "line": {"color": BEST, "width": 3},
    }


def _crosses(rows: Sequence[TrialRow], table: TrialTable) -> dict[str, object]:
    ends: list[Point] = [row.curve[-1] for row in rows]
    colour = STATES["EarlyStopped"]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "EarlyStopped",
        "x": [point.step for point in ends],
        "y": [point.value for point in ends],
        "text": [about(row, table) for row in rows],
        "hoverinfo": "text",
        "marker": {"symbol": "x-thin", "size": 9, "line": {"color": colour, "width": 2}},
    }


def _circles(rows: Sequence[TrialRow], table: TrialTable) -> dict[str, object]:
    """Returns a circle at each epoch after which a trial paused and went on."""
    marks = [(row, point) for row in rows for point in row.curve if point.step in row.pauses]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "paused, went on",
        "x": [point.step for _, point in marks],
        "y": [point.value for _, point in marks],
        "text": [about(row, table) for row, _ in marks],
        "hoverinfo": "text",
        "marker": {"symbol": "circle-open", "size": 8, "color": STATES["EarlyStopped"]},
    }


def _median(rows: Sequence[TrialRow], direction: Direction) -> dict[str, object] | None:
    """Returns the median, at each epoch, of the best values so far: what a stop rule compares a trial with.

    It counts all trials that got as far as the epoch or ended by themselves before it.
    """
    last = max(row.curve[-1].step for row in rows)
    bests: dict[int, list[float]] = {}
    for row in rows:
        points = {point.step: point.value for point in row.curve}
        so_far: float | None = None
        for step in range(1, 1 + (last if row.state == "Succeeded" else max(points))):
            if (value := points.get(step)) is not None:
                so_far = value if so_far is None or direction.better(value, so_far) else so_far
            if so_far is not None:
                bests.setdefault(step, []).append(so_far)
    steps = spread(sorted(step for step, found in bests.items() if len(found) >= 3), MOST_POINTS)
    if len(steps) < 2:
        return None
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "median",
        "x": steps,
        "y": [median(bests[step]) for step in steps],
        "line": {"dash": "dot", "width": 2},
        "hoverinfo": "skip",
    }
