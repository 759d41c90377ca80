"""Draws the importance of each hyperparameter, with the level that chance alone reaches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import line, rect
from katib.draw.scale import Category, Linear
from katib.report.figure import Figure, listed, sized
from katib.table.trial_table import TrialTable
from katib.text import count

if TYPE_CHECKING:
    from katib.table.importance import Importance

KEY, TITLE = "importance", "Hyperparameter importance"
THICK = 22.0


def importance_figure(table: TrialTable) -> Figure:
    """Returns a bar per parameter, and a mark at the level that chance reaches."""
    from katib.table.importance import importances  # loads NumPy, which --help need not wait for

    try:
        found = importances(table)
    except ValueError as reason:
        return Figure(KEY, TITLE, f"Not enough data: {reason}.")
    finding = _finding(found, sum(row.value is not None for row in table.rows))
    height = 84.0 + 40 * len(found)
    return Figure(
        KEY, TITLE, finding, sized(lambda wide, high: _drawing(found, wide, high, finding), height, height + 20)
    )


def _drawing(found: "Sequence[Importance]", width: float, height: float, finding: str) -> Drawing:
    entries = (
        Entry("more than chance", "s-Succeeded", "bar"),
        Entry("not distinguishable", "s-EarlyStopped", "bar"),
        Entry("level of chance", "baseline thick", "line"),
    )
    scale = Category(tuple(one.name for one in reversed(found)))
    most = max(max(one.share, one.chance) for one in found)
    frame = Frame(width, height, Linear(0, min(100.0, 105 * most)), scale, "share of all importance (%)", "", entries)
    marks = []
    for one in found:
        y, kind = frame.up(one.name), "s-Succeeded" if one.significant else "s-EarlyStopped"
        wide, x = frame.across(100 * one.share) - frame.left, frame.across(min(100 * one.chance, 100.0))
        tip = f"{one.name}: {100 * one.share:.0f} %, chance reaches {100 * one.chance:.0f} %"
        marks.append(rect(frame.left, y - THICK / 2, wide, THICK, kind, radius=2, tip=tip))
        marks.append(line([(x, y - 14), (x, y + 14)], "baseline thick"))
    return frame.drawing(TITLE, finding, marks)


def _finding(found: "Sequence[Importance]", trials: int) -> str:
    important = [f"{one.name} ({100 * one.share:.0f} %)" for one in found if one.significant]
    if not important:
        return f"{count(trials, 'trial')} are too few to distinguish the importance of any parameter from chance."
    rest = [one.name for one in found if not one.significant]
    words = f"Most important: {listed(important)}."
    if rest:
        words += f" Not distinguishable from chance (grey bars that end before the mark): {listed(rest)}."
    return words
