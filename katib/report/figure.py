"""Describes a figure of the report: what is drawn, what it shows in words, and what was left out."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

from katib.measure import Measure
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import short, with_unit
from katib.trial import Direction, State

DIGITS = 5
FAR = 3.0
"""A value further beyond the worse quartile than so many times the distance of the quartiles is far out (Tukey 1977):
it would press all others together at the other end of the axis."""
MARGIN = 0.06
"""Of an axis beyond the outermost value."""


@dataclass(frozen=True)
class Figure:
    """A figure; `finding` is its caption, and its text for readers who cannot see it.

    `drawing` is Plotly's JSON. It is empty where there is nothing to draw, and then the finding says why.
    """

    key: str
    title: str
    finding: str
    drawing: str = ""
    height: int = 0
    """Pixels on a screen."""
    note: str = ""
    """What was left out."""


@dataclass(frozen=True)
class Span:
    """The values that an axis shows; values far out on the worse side are drawn at its end."""

    low: float
    high: float
    outside: int
    """So many are far out."""

    def held(self, value: float) -> float:
        """Returns where a value is drawn."""
        return min(max(value, self.low), self.high)

    def note(self, metric: Measure, direction: Direction) -> str:
        """Returns a remark about values far out; empty where there are none."""
        if not self.outside:
            return ""
        where = ("below", self.low) if direction is Direction.MAXIMIZE else ("above", self.high)
        who = "1 trial" if self.outside == 1 else f"{self.outside} trials"
        return f"{who} {where[0]} {with_unit(where[1], metric)}, far from the others, drawn at the edge."

    def range(self, *more: float) -> list[float]:
        """Returns the ends of an axis, with a margin, wide enough for `more`."""
        low, high = min(self.low, *more, math.inf), max(self.high, *more, -math.inf)
        margin = MARGIN * (high - low) or 0.5
        return [low - margin, high + margin]


def span(table: TrialTable) -> Span:
    """Returns the span of the objective over all trials, at least one of which has a value."""
    values = sorted(row.value for row in table.rows if row.value is not None)
    low, high = values[0], values[-1]
    if len(values) >= 4:
        lower, _, upper = quantiles(values, n=4, method="inclusive")
        reach = FAR * (upper - lower)
        if table.identity.direction is Direction.MAXIMIZE and reach:
            low = max(low, lower - reach)
        elif reach:
            high = min(high, upper + reach)
    return Span(low, high, sum(not low <= value <= high for value in values))


def drawing(traces: Sequence[Mapping[str, object]], layout: Mapping[str, object]) -> str:
    """Returns Plotly's JSON of these traces; the page has the templates of both colour schemes."""
    return json.dumps(_rounded({"data": list(traces), "layout": layout}), allow_nan=False, separators=(",", ":"))


def _rounded(value: object) -> object:
    """Returns numbers with a few digits, which is all that a figure shows and keeps the file small.

    A value that is not finite becomes a gap.
    """
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value


def about(row: TrialRow, table: TrialTable) -> str:
    """Returns what a pointer over a trial shows, in Plotly's own few tags; names from outside lose theirs."""
    metric = table.identity.measure
    lines = [f"<b>{plain(row.trial)}</b> {row.state}"]
    if row.value is not None:
        lines.append(f"{plain(str(metric))} {with_unit(row.value, metric)}, epoch {row.best_epoch} of {row.epochs}")
    lines += [f"{plain(name)} {plain(short(text))}" for name, text in row.assignments.items()]
    if row.reason:
        lines.append(plain(row.reason[:120]))
    return "<br>".join(lines)


def plain(text: str) -> str:
    """Returns a text that Plotly shows as it is, although it reads tags and entities in what it draws."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unit_of(table: TrialTable) -> str:
    """Returns the objective as an axis title."""
    metric = table.identity.measure
    return f"{metric} ({metric.unit})" if metric.unit else str(metric)


def listed(words: Sequence[str]) -> str:
    """Returns `a`, `a and b`, or `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


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
