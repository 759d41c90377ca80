"""Draws what the search's model expects over the two parameters that matter most, and nothing where it cannot know."""

from katib.conclude.belief import Belief, Cell, Plane
from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import dot, rect
from katib.report.axes import Line, axes
from katib.report.figure import HALF, Figure
from katib.table.sample import foremost
from katib.table.trial_table import TrialTable
from katib.text import short, with_unit

MOST_POINTS, HEIGHT, SHADES = 200, 330.0, 8
SURE = 0.5
"""A cell is blank where the deviation is more than this share of the differences between all cells."""


def contours(table: TrialTable, belief: Belief) -> list[Figure]:
    """Returns one figure; none where the model sees no effect of any parameter."""
    lines = {one.name: one for one in axes(table)}
    plane = belief.plane
    if plane is None or not {plane.x, plane.y} <= lines.keys():
        return []
    if any(lines[name].axis.parameter.distribution in ("normal", "logNormal") for name in (plane.x, plane.y)):
        # The shares of a bell are no places on the drawn axis.
        return []
    return [_figure(table, plane, lines[plane.x], lines[plane.y])]


def _figure(table: TrialTable, plane: Plane, across: Line, up: Line) -> Figure:
    sign, metric = table.identity.direction.sign, table.identity.measure
    low, high = min(cell.mean for cell in plane.cells), max(cell.mean for cell in plane.cells)
    known = [cell for cell in plane.cells if cell.sd <= SURE * (high - low)]
    title = f"{plane.x} and {plane.y} together"
    best = max(known, key=lambda cell: sign * cell.mean, default=None)
    if best is None:
        return Figure("contour", title, "The model is not sure enough of any point to draw them together.")
    worst, top = min(known, key=lambda cell: sign * cell.mean), best
    entries = [Entry(f"{with_unit(one.mean, metric)}", kind, "bar") for one, kind in ((worst, "v0"), (top, "v7"))]
    frame = Frame(
        HALF, HEIGHT, across.scale(), up.scale(), plane.x, plane.y, (*entries, Entry("trial", "", hollow=True))
    )
    side = round(len(plane.cells) ** 0.5)
    wide, tall = (frame.end - frame.left) / side, (frame.floor - frame.top) / side
    marks = []
    for cell in known:
        x, y = frame.left + cell.x * (frame.end - frame.left), frame.floor - cell.y * (frame.floor - frame.top)
        # A little wider than its room: no seam shows between two cells.
        kind = f"v{_level(cell, worst.mean, top.mean)}"
        marks.append(rect(x - wide / 2, y - tall / 2, wide + 0.4, tall + 0.4, kind))
    for row in reversed(foremost([row for row in table.rows if row.value is not None], MOST_POINTS)):
        texts = row.assignments.get(plane.x), row.assignments.get(plane.y)
        if across.place(texts[0]) is not None and up.place(texts[1]) is not None:
            shape = "best" if row is table.best else ""
            marks.append(dot(*frame.at(texts[0] or "", texts[1] or ""), shape, row.trial, hollow=True, radius=3.5))
    finding = (
        f"The model expects the {'most' if sign > 0 else 'least'} at {plane.x} {_value(across, best.x)} and"
        f" {plane.y} {_value(up, best.y)}: "
        f"{with_unit(best.mean, metric)}, with the other parameters as in the most promising configuration."
    )
    if len(known) < len(plane.cells):
        finding += " It is blank where the model is not sure."
    return Figure("contour", title, finding, (frame.drawing(title, finding, marks),))


def _level(cell: Cell, worst: float, best: float) -> int:
    """Returns the shade of a cell, 0 for the worst."""
    share = (cell.mean - worst) / (best - worst) if best != worst else 1.0
    return min(SHADES - 1, int(share * SHADES))


def _value(line: Line, share: float) -> str:
    return short(line.axis.at(share))
