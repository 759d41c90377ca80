"""Describes a figure of the report: what is drawn, what it shows in words, and what was left out."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import quantiles

from katib.draw.drawing import Drawing
from katib.measure import Measure
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, with_unit
from katib.trial import Direction, State, in_words

FAR = 3.0
"""A value further beyond the worse quartile than so many times the distance of the quartiles is far out (Tukey 1977):
it would press all others together at the other end of the axis."""
MARGIN = 0.06
"""Of an axis beyond the outermost value."""
WIDE, NARROW, HALF = 1020.0, 360.0, 490.0
"""Pixels of a figure across the page, of the same one on a phone, and of one beside another."""
FEWEST_FINISHED = 3
"""With fewer finished trials, an axis is made for the values of all."""


@dataclass(frozen=True)
class Figure:
    """A figure; `finding` is its caption, and its text for readers who cannot see it.

    It is drawn once, or once for a page and once for a phone. It has no drawing where there is nothing to draw, and
    then the finding says why.
    """

    key: str
    title: str
    finding: str
    drawings: tuple[Drawing, ...] = ()
    note: str = ""
    """What was left out."""


def sized(draw: Callable[[float, float], Drawing], height: float, narrow: float = 0.0) -> tuple[Drawing, Drawing]:
    """Returns a figure that was drawn to the width of a page and to that of a phone, with these heights."""
    return (
        replace(draw(WIDE, height), kind="across"),
        replace(draw(NARROW, narrow or height), kind="narrow"),
    )


@dataclass(frozen=True)
class Span:
    """The values that an axis shows: those of finished trials, without any far out on the worse side."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Returns whether a value is on the axis."""
        return self.low <= value <= self.high

    def held(self, value: float) -> float:
        """Returns where a value is drawn."""
        return min(max(value, self.low), self.high)

    def note(self, values: Iterable[float], metric: Measure, direction: Direction) -> str:
        """Returns a remark about those of the values that are not on the axis; empty where there are none."""
        outside = sum(not self.holds(value) for value in values)
        if not outside:
            return ""
        where = ("below", self.low) if direction is Direction.MAXIMIZE else ("above", self.high)
        return f"{count(outside, 'trial')} {where[0]} {with_unit(where[1], metric)}, drawn as strokes at the edge."

    def range(self, *more: float) -> tuple[float, float]:
        """Returns the ends of an axis, with a margin, wide enough for `more`."""
        low, high = min(self.low, *more, math.inf), max(self.high, *more, -math.inf)
        margin = MARGIN * (high - low) or 0.5
        return low - margin, high + margin


def span(table: TrialTable, expected: Iterable[float] = ()) -> Span:
    """Returns the span of the objective over finished trials; over all, of which one has a value, where few have.

    `expected` are the ends that stopped trials would have come to.
    """
    everything = [row.value for row in table.rows if row.value is not None]
    finished = [row.value for row in table.finished if row.value is not None]
    values = sorted(finished if len(finished) >= FEWEST_FINISHED else everything)
    low, high = values[0], values[-1]
    maximize = table.identity.direction is Direction.MAXIMIZE
    if len(values) >= 4:
        lower, _, upper = quantiles(values, n=4, method="inclusive")
        reach = FAR * (upper - lower)
        if maximize and reach:
            low = max(low, lower - reach)
        elif reach:
            high = min(high, upper + reach)
    # What is better than all finished ones, or would have been, is never at the edge.
    better = [*everything, *expected]
    low, high = (low, max(high, *better)) if maximize else (min(low, *better), high)
    return Span(low, high)


def listed(words: Sequence[str]) -> str:
    """Returns `a`, `a and b`, or `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def name_of(rows: Sequence[TrialRow]) -> str:
    """Returns what trials of one state are called in a legend: `paused or stopped early` where some may go on."""
    return " or ".join(sorted({in_words(row.shown_state) for row in rows}))


def by_state(rows: Sequence[TrialRow]) -> dict[State, list[TrialRow]]:
    """Returns the rows by state, in drawing order: what matters most comes last, and so lies on top."""
    order: tuple[State, ...] = (
        "Created",
        "Failed",
        "MetricsUnavailable",
        "EarlyStopped",
        "Running",
        "Succeeded",
    )
    return {state: found for state in order if (found := [row for row in rows if row.state == state])}
