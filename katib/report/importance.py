"""The figure of the hyperparameters' importances, with the mark that chance alone reaches."""

from collections.abc import Sequence

from katib.report.figure import Figure, drawing, listed, plain
from katib.report.style import STATES
from katib.table.importance import Importance, importances
from katib.table.trial_table import TrialTable


def importance_figure(table: TrialTable) -> Figure:
    """Returns a bar a parameter, and the mark that chance reaches."""
    key, title = "importance", "Hyperparameter importance"
    try:
        found = importances(table)
    except ValueError as reason:
        return Figure(key, title, f"Nothing to draw: {reason}.")
    names = [plain(one.name) for one in found]
    bars = {
        "type": "bar",
        "orientation": "h",
        "name": "importance",
        "x": [100 * one.share for one in found],
        "y": names,
        "marker": {"color": [STATES["Succeeded" if one.told else "EarlyStopped"] for one in found]},
        "hovertemplate": "%{y}: %{x:.0f} %<extra></extra>",
    }
    marks = {
        "type": "scatter",
        "mode": "markers",
        "name": "what chance reaches",
        "x": [100 * one.chance for one in found],
        "y": names,
        "marker": {"symbol": "line-ns", "size": 22, "line": {"width": 3}},
        "hovertemplate": "chance reaches %{x:.0f} %<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "share of all importance (%)"}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed"},
    }
    return Figure(key, title, _finding(found), drawing([bars, marks], layout), 110 + 44 * len(found))


def _finding(found: Sequence[Importance]) -> str:
    told = [f"{one.name} ({100 * one.share:.0f} %)" for one in found if one.told]
    if not told:
        return "No parameter is told from chance: with so many trials, none can be said to have mattered."
    rest = [one.name for one in found if not one.told]
    words = f"What told good trials from bad ones: {listed(told)}."
    if rest:
        words += f" Not told from chance (grey bars that end before the mark): {listed(rest)}."
    return words
