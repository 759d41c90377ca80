"""Draws the best value so far by what had been spent when it came: hours of all devices, and the time that passed.

Two searches, of other rules or on other clusters, are compared by these, and not by the number of trials.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.marks import dot, line
from katib.draw.scale import Linear
from katib.report.cost import SHORT_HOURS, hours
from katib.report.figure import HALF, Figure, span
from katib.report.trial_marks import baseline_mean, baseline_rule
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import SECONDS_AN_HOUR, with_unit

HEIGHT = 260.0
LONG_HOURS = 72.0
"""Above so many hours that passed they are counted in days."""


@dataclass(frozen=True)
class Step:
    """A trial that was better than all before it, and the hours from the search's start to its best epoch's end."""

    trial: str
    value: float
    spent: float
    """Hours of all devices together."""
    passed: float


def spent_figures(table: TrialTable) -> list[Figure]:
    """Returns the best value so far by hours of the devices and by time that passed; none where no time is known."""
    found = steps(table)
    if not found:
        return []
    start, *_, end = sorted(_times(table))
    used, passed = table.hours_used, (end - start) / SECONDS_AN_HOUR
    short, long = used < SHORT_HOURS, passed > LONG_HOURS
    figures = []
    if used > 0:
        factor, unit = (60.0, "minutes") if short else (1.0, "hours")
        points = [(factor * one.spent, one) for one in found]
        last = f"{hours(found[-1].spent)} of {hours(used)} of {table.device} time"
        figures.append(_figure(table, "spent", f"{table.device}-{unit}", points, factor * used, last))
    if passed > 0:
        factor, unit = (60.0, "minutes") if passed < SHORT_HOURS else (1 / 24, "days") if long else (1.0, "hours")
        points = [(factor * one.passed, one) for one in found]
        last = f"{factor * found[-1].passed:.1f} of {factor * passed:.1f} {unit}"
        figures.append(_figure(table, "passed", f"{unit} since the first trial began", points, factor * passed, last))
    return figures


def steps(table: TrialTable) -> list[Step]:
    """Returns the trials that were better than all before them, in time; a trial counts from its best epoch's end."""
    reached = [(at, row) for row in table.rows if row.value is not None and (at := _reached(row)) is not None]
    start = min(_times(table), default=0.0)
    found: list[Step] = []
    for at, row in sorted(reached, key=lambda pair: pair[0]):
        value = row.value or 0.0
        if not found or table.identity.direction.better(value, found[-1].value):
            spent = sum(_used(one, at) for one in table.rows)
            found.append(Step(row.trial, value, spent, (at - start) / SECONDS_AN_HOUR))
    return found


def _figure(
    table: TrialTable, key: str, unit: str, points: Sequence[tuple[float, Step]], most: float, last: str
) -> Figure:
    title = f"Best so far by {unit}"
    best = with_unit(points[-1][1].value, table.identity.measure)
    finding = f"The best value, {best}, came after {last}."
    return Figure(f"history-{key}", title, finding, (_drawing(table, title, unit, points, most, finding),))


def _drawing(
    table: TrialTable, title: str, unit: str, points: Sequence[tuple[float, Step]], most: float, finding: str
) -> Drawing:
    seen = span(table)
    up = Linear(*seen.range(*baseline_mean(table)))
    frame = Frame(HALF, HEIGHT, Linear(0, 1.02 * most), up, unit, table.identity.measure.title)
    corners = [(x, one.value) for x, one in points]
    corners.append((most, corners[-1][1]))
    marks = [baseline_rule(table, frame), frame.inside([line([frame.at(*one) for one in corners], "best", steps=True)])]
    marks += [dot(*frame.at(x, one.value), "s-Succeeded", one.trial) for x, one in points if seen.holds(one.value)]
    return frame.drawing(title, finding, marks)


def _times(table: TrialTable) -> list[float]:
    """Returns all times at which a trial began, ended, or ended an epoch."""
    ends = [time for row in table.rows for time in (row.started, row.ended) if time is not None]
    return [*ends, *(time for row in table.rows for time in _epochs(row))]


def _epochs(row: TrialRow) -> list[float]:
    return [point.time for point in row.curve if point.time is not None]


def _reached(row: TrialRow) -> float | None:
    """Returns when a trial had its value; where no epoch has a time, that is its end."""
    times = (point.time for point in row.curve if point.step == row.best_epoch)
    return next((time for time in times if time is not None), row.ended)


def _used(row: TrialRow, until: float) -> float:
    """Returns the hours that a trial had used by then: in proportion to its epochs, between which it may have paused.

    Where no epoch has a time, all of its hours count when it has ended.
    """
    times = _epochs(row) or [until if row.ended is None else row.ended]
    return row.gpu_hours * sum(time <= until for time in times) / len(times)
