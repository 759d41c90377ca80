"""Draws the importance of each hyperparameter, with the level that chance alone reaches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from katib.report.figure import Figure, drawing, listed, plain
from katib.report.style import STATES
from katib.table.trial_table import TrialTable
from katib.text import count

if TYPE_CHECKING:
    from katib.table.importance import Importance


def importance_figure(table: TrialTable) -> Figure:
    """Returns a bar per parameter, and a mark at the level that chance reaches."""
    from katib.table.importance import importances  # loads NumPy, which --help need not wait for

    key, title = "importance", "Hyperparameter importance"
    try:
        found = importances(table)
    except ValueError as reason:
        return Figure(key, title, f"Not enough data: {reason}.")
    names = [plain(one.name) for one in found]
    bars = {
        "type": "bar",
        "orientation": "h",
        "name": "importance",
        "x": [100 * one.share for one in found],
        "y": names,
        "marker": {"color": [STATES["Succeeded" if one.significant else "EarlyStopped"] for one in found]},
        "hovertemplate": "%{y}: %{x:.0f} %<extra></extra>",
    }
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "level of chance",
        "x": [100 * one.chance for one in found],
        "y": names,
        "marker": {"symbol": "line-ns", "size": 22, "line": {"width": 3}},
        "hovertemplate": "chance reaches %{x:.0f} %<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "share of all importance (%)"}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed"},
    }
    valued = sum(row.value is not None for row in table.rows)
    return Figure(key, title, _finding(found, valued), drawing([bars, marks], layout), 110 + 44 * len(found))


def _finding(found: "Sequence[Importance]", trials: int) -> str:
    important = [f"{one.name} ({100 * one.share:.0f} %)" for one in found if one.significant]
    if not important:
        return f"{count(trials, 'trial')} are too few to distinguish the importance of any parameter from chance."
    rest = [one.name for one in found if not one.significant]
    words = f"Most important: {listed(important)}."
    if rest:
        words += f" Not distinguishable from chance (grey bars that end before the mark): {listed(rest)}."
    return words
