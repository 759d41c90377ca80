"""Draws trials by state, the same in every figure: filled where finished, hollow where their end is an estimate.

Whatever matters differs by shape or line as well as by colour.
"""

from collections.abc import Mapping, Sequence

from katib.conclude.belief import Belief
from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import Shape, dot, line, marked, rug, text, whisker
from katib.report.figure import Span, by_state, name_of
from katib.table.ends import End
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import with_unit
from katib.trial import Direction, State

SHAPES: Mapping[State, Shape] = {
    "Succeeded": "circle",
    "EarlyStopped": "cross",
    "Running": "triangle",
    "Created": "triangle",
    "Failed": "plus",
    "MetricsUnavailable": "plus",
}
NOTHING = Belief()


def trial_mark(row: TrialRow, x: float, frame: Frame, seen: Span, belief: Belief, *, best: bool = False) -> str:
    """Returns a trial with a value at `x` pixels: a dot, a hollow one with a whisker, or a stroke at the edge."""
    value, end = row.value or 0.0, belief.ends.get(row.trial)
    kind = "best" if best else f"s-{row.state}"
    if end is not None:
        return _expected(row, end, x, frame, seen)
    if not seen.holds(value):
        return _at_edge(row, x, value < seen.low, frame)
    if best:
        return dot(x, frame.up(value), kind, row.trial, shape="star")
    return dot(x, frame.up(value), kind, row.trial, shape=SHAPES[row.state])


def _expected(row: TrialRow, end: End, x: float, frame: Frame, seen: Span) -> str:
    if not seen.holds(end.value):
        return _at_edge(row, x, end.value < seen.low, frame)
    # What goes on beyond the axis has no bar at its end.
    low, high = end.value - end.sd, end.value + end.sd
    ends = [frame.up(one) for one in (low, high) if seen.holds(one)]
    line = whisker(x, min(frame.up(low), frame.floor), max(frame.up(high), frame.top), ends=ends)
    return marked(f"s-{row.state}", row.trial, line, dot(x, frame.up(end.value), hollow=True, radius=3.5))


def _at_edge(row: TrialRow, x: float, below: bool, frame: Frame) -> str:
    return rug(x, frame.floor if below else frame.top + 8, f"s-{row.state}", row.trial)


def entries(rows: Sequence[TrialRow], belief: Belief) -> tuple[Entry, ...]:
    """Returns the legend of these trials' marks."""
    found = []
    for state, members in reversed(by_state(rows).items()):
        expected = [row for row in members if row.trial in belief.ends]
        if len(expected) < len(members):
            found.append(Entry(name_of(members), f"s-{state}", SHAPES[state]))
        if expected:
            found.append(Entry(f"{name_of(expected)}: its expected end ± sd", f"s-{state}", hollow=True))
    return tuple(found)


def baseline_rule(table: TrialTable, frame: Frame) -> str:
    """Returns a line at the baseline's mean, with its label beyond the frame; empty where there is none."""
    baseline = table.baseline
    if baseline is None:
        return ""
    y = frame.up(baseline.mean)
    words = ["baseline", with_unit(baseline.mean, table.identity.measure)]
    if frame.right < BASELINE_ROOM:
        return line([(frame.left, y), (frame.end, y)], "rule baseline")
    label = "".join(text(frame.end + 5, y - 2 + 14 * index, one, "note") for index, one in enumerate(words))
    return line([(frame.left, y), (frame.end, y)], "rule baseline") + label


BASELINE_ROOM = 60.0
"""Pixels at the right of a frame for the baseline's label."""


def room(table: TrialTable) -> float:
    """Returns the room at the right of a frame."""
    return BASELINE_ROOM if table.baseline else 12.0


def baseline_mean(table: TrialTable) -> tuple[float, ...]:
    """Returns the baseline's mean for an axis that has to show it; empty where there is none."""
    return () if table.baseline is None else (table.baseline.mean,)


def worth(row: TrialRow, belief: Belief) -> float | None:
    """Returns what a trial reached, or is expected to have reached at its end."""
    end = belief.ends.get(row.trial)
    return row.value if end is None else end.value


def best_first(rows: Sequence[TrialRow], belief: Belief, direction: Direction) -> list[TrialRow]:
    """Returns the trials with a value by what they reached or would have reached, the best first."""
    valued = [(value, row) for row in rows if (value := worth(row, belief)) is not None]
    return [row for _, row in sorted(valued, key=lambda pair: -direction.sign * pair[0])]
