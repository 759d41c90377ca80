"""Draws the value of each trial against each searched parameter by itself, and what the search's model makes of it."""

from collections.abc import Sequence

from katib.conclude.belief import Belief, Slice
from katib.draw.frame import Frame
from katib.draw.marks import band, line
from katib.draw.scale import Linear
from katib.report.axes import MARGIN, Line, axes
from katib.report.figure import HALF, Figure, Span, by_state, span
from katib.report.log import at_bounds
from katib.report.trial_marks import NOTHING, baseline_mean, baseline_rule, trial_mark
from katib.table.sample import foremost
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import short, with_unit

MOST_POINTS, MOST_SLICES, HEIGHT = 600, 12, 300.0
PIECE, BESIDE = 0.3, 14.0
"""Half of what the model takes of the room of a value without neighbours, and the pixels to either side of it that its
trials take, so that they do not cover each other."""
GOLDEN = 0.618034
FAR = 9999.0
"""Pixels beyond which nothing is drawn, so that no coordinate is endless."""


def slices(table: TrialTable, belief: Belief = NOTHING) -> list[Figure]:
    """Returns a figure per parameter; none where no trial has a value."""
    if table.best is None:
        return []
    return [_slice(one, table, belief) for one in axes(table)[:MOST_SLICES]]


def _slice(axis: Line, table: TrialTable, belief: Belief) -> Figure:
    valued = [row for row in table.rows if row.value is not None and axis.name in row.assignments]
    kept, seen, model = foremost(valued, MOST_POINTS), span(table, belief.expected), belief.slices.get(axis.name)
    finding = _finding(axis, valued, table, model)
    frame = Frame(
        HALF,
        HEIGHT,
        axis.scale(MARGIN),
        Linear(*seen.range(*baseline_mean(table))),
        axis.name,
        table.identity.measure.title,
        bottom=10,
    )
    marks = [baseline_rule(table, frame), *(_model(model, axis, frame, seen) if model else [])]
    for rows in by_state(kept[1:]).values():
        marks += [_mark(row, axis, frame, seen, belief, beside=_beside(axis, place)) for place, row in enumerate(rows)]
    marks += [_mark(row, axis, frame, seen, belief, best=True) for row in kept[:1]]
    left_out = f"{MOST_POINTS} of {len(valued)} trials are drawn." if len(valued) > MOST_POINTS else ""
    return Figure(f"slice-{axis.name}", axis.name, finding, (frame.drawing(axis.name, finding, marks),), left_out)


def _mark(
    row: TrialRow, axis: Line, frame: Frame, seen: Span, belief: Belief, *, best: bool = False, beside: float = 0.0
) -> str:
    if axis.place(row.assignments[axis.name]) is None:
        return ""
    return trial_mark(row, frame.across(row.assignments[axis.name]) + beside, frame, seen, belief, best=best)


def _beside(axis: Line, place: int) -> float:
    """Returns the pixels by which a trial lies beside its listed value: always others, and evenly spread."""
    return BESIDE * (2 * (GOLDEN * (place + 1) % 1) - 1) if axis.listed else 0.0


def _model(model: Slice, axis: Line, frame: Frame, seen: Span) -> list[str]:
    """Returns the model's mean with a band of one deviation; a piece of both at each value that has no neighbours."""

    def up(value: float) -> float:
        # A line that left the axis and was held at its edge would look level there: it is cut off instead.
        return min(max(frame.up(value), -FAR), FAR)

    points = [
        (frame.across(one.text), up(one.mean - one.sd), up(one.mean + one.sd), up(one.mean))
        for one in model.estimates
        if axis.place(one.text) is not None
    ]
    half = PIECE * (frame.end - frame.left) / max(1, len(points))
    pieces = (
        [points]
        if model.ordered
        else [[(x - half, low, high, mean), (x + half, low, high, mean)] for x, low, high, mean in points]
    )
    marks = []
    for piece in filter(None, pieces):
        marks.append(band([(x, low, high) for x, low, high, _ in piece], "model"))
        marks.append(line([(x, mean) for x, _, _, mean in piece], "model"))
    return [frame.inside(marks)] if marks else []


def _finding(axis: Line, valued: Sequence[TrialRow], table: TrialTable, model: Slice | None) -> str:
    edge = at_bounds(table, table.best.assignments).get(axis.name, "") if table.best else ""
    best = short(valued[0].assignments[axis.name]) if valued else ""
    found = (edge or f"The best trial (star) has {axis.name} {best}") + "."
    if model is None:
        return found
    if not model.told:
        return f"{found} The model sees no effect of {axis.name} beyond its own uncertainty."
    metric, most = table.identity.measure, "most" if table.identity.maximize else "least"
    return f"{found} The model expects the {most} at {short(model.best.text)}: {with_unit(model.best.mean, metric)}."
