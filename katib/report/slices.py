"""Draws the value of each trial against each searched parameter by itself."""

from katib.report.axes import Line, axes
from katib.report.figure import Figure, about, by_state, drawing, plain, span, unit_of
from katib.report.log import at_bounds
from katib.report.search import baseline_line, baseline_mean
from katib.report.style import BEST, marker
from katib.table.sample import foremost
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import short

MOST_POINTS, MOST_SLICES = 600, 12


def slices(table: TrialTable) -> list[Figure]:
    """Returns a figure per parameter; none where no trial has a value."""
    if table.best is None:
        return []
    return [_slice(line, table) for line in axes(table)[:MOST_SLICES]]


def _slice(line: Line, table: TrialTable) -> Figure:
    valued = [row for row in table.rows if row.value is not None and line.name in row.assignments]
    kept = foremost(valued, MOST_POINTS)
    traces = [
        _points(rows, line, table) | {"name": state, "marker": marker(state) | {"size": 7}}
        for state, rows in by_state(kept[1:]).items()
    ]
    if kept:
        star = {"symbol": "star", "size": 14, "color": BEST, "line": {"width": 0}}
        traces.append(_points(kept[:1], line, table) | {"name": "best trial", "marker": star})
    seen, base = span(table), baseline_line(table)
    layout = {
        "xaxis": {"title": {"text": f"<b>{plain(line.name)}</b>"}, **line.layout()},
        "yaxis": {"title": {"text": plain(unit_of(table))}, "range": seen.range(*baseline_mean(table))},
        "showlegend": False,
        **{key: value for key, value in base.items() if key == "shapes"},
    }
    edge = at_bounds(table, table.best.assignments).get(line.name, "") if table.best else ""
    best = short(valued[0].assignments[line.name]) if valued else ""
    finding = (edge or f"The best trial (star) has {line.name} {best}") + "."
    left_out = f"{MOST_POINTS} of {len(valued)} trials are drawn." if len(valued) > MOST_POINTS else ""
    return Figure(f"slice-{line.name}", line.name, finding, drawing(traces, layout), 300, left_out)


def _points(rows: list[TrialRow], line: Line, table: TrialTable) -> dict[str, object]:
    texts, seen = [row.assignments[line.name] for row in rows], span(table)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": texts if line.listed else [float(text) for text in texts],
        "y": [seen.held(row.value or 0.0) for row in rows],
        "text": [about(row, table) for row in rows],
        "hoverinfo": "text",
    }
