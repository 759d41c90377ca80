"""Draws how the search went: its trials as lines over all parameters, and one after the other in time."""

from collections.abc import Sequence
from typing import Literal

from katib.report.axes import Line, axes, place, ticks
from katib.report.figure import (
    Figure,
    Span,
    about,
    by_state,
    drawing,
    listed,
    plain,
    span,
    unit_of,
)
from katib.report.style import BEST, STATES, marker, shade
from katib.table.sample import foremost
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, short, with_unit

MOST_LINES, MOST_POINTS, SHADES = 300, 1500, 8


def parallel(table: TrialTable) -> Figure:
    """Returns each trial as a line over the searched axes, bluer where it is better, and the best one thick."""
    key, title = "parallel", "Parallel coordinates"
    lines = axes(table)
    best = table.best
    if best is None or not lines:
        return Figure(key, title, "Not enough data: no trial has reported a value yet.")
    valued = [row for row in table.rows if row.value is not None]
    shown = foremost(valued, MOST_LINES)
    without = [row for row in table.rows if row.value is None][: MOST_LINES // 4]
    seen = span(table)
    places = {row.trial: _places(row, lines, seen) for row in (*shown, *without)}
    traces = [*_grouped(shown[1:], places, table), _valueless(without, places, table)]
    traces.append(_line([best], places, table, color=BEST, width=4) | {"name": "best trial"})
    settings = ", ".join(f"{name} {short(text)}" for name, text in best.assignments.items())
    return Figure(
        key,
        title,
        f"Each line is a trial, the bluer the better; the thick orange one is the best, {best.trial}: {settings}. "
        + _near(shown, lines),
        drawing(traces, _frame(lines, table, seen)),
        420,
        " ".join(
            filter(
                None,
                (
                    f"Of {len(valued)} trials with a value the best {MOST_LINES // 2} are drawn, "
                    f"and {MOST_LINES // 2} evenly from the others."
                    if len(valued) > len(shown)
                    else "",
                    seen.note(table.identity.measure, table.identity.direction),
                ),
            )
        ),
    )


def history(table: TrialTable) -> Figure:
    """Returns each trial's value by start time, and the best value so far."""
    key, title = "history", "Search history"
    order = sorted(table.rows, key=lambda row: (row.started is None, row.started or 0.0))
    numbers = {row.trial: number for number, row in enumerate(order, 1)}
    valued = [row for row in order if row.value is not None]
    best = table.best
    if best is None:
        return Figure(key, title, "Not enough data: no trial has reported a value yet.")
    kept = {row.trial for row in foremost([row for row in table.rows if row.value is not None], MOST_POINTS)}
    seen = span(table)
    traces: list[dict[str, object]] = [_best_so_far(valued, numbers, table)]
    for state, rows in by_state([row for row in valued if row.trial in kept]).items():
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": state,
                "x": [numbers[row.trial] for row in rows],
                "y": [seen.held(row.value or 0.0) for row in rows],
                "text": [about(row, table) for row in rows],
                "hoverinfo": "text",
                "marker": marker(state),
            }
        )
    layout = {
        "xaxis": {"title": {"text": "trial (by start time)"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": plain(unit_of(table))}, "range": seen.range(*baseline_mean(table))},
        **baseline_line(table),
    }
    where = numbers[best.trial]
    flat = " All trials reached the same value." if len(valued) > 1 and seen.low == seen.high else ""
    return Figure(
        key,
        title,
        f"The best value, {with_unit(best.value or 0.0, table.identity.measure)}, came with trial {where} of "
        f"{len(order)}.{flat}{_versus_baseline(table)}",
        drawing(traces, layout),
        380,
        " ".join(
            filter(
                None,
                (
                    f"{MOST_POINTS} of {len(valued)} trials are drawn." if len(valued) > MOST_POINTS else "",
                    seen.note(table.identity.measure, table.identity.direction),
                ),
            )
        ),
    )


def baseline_line(table: TrialTable, side: Literal["left", "right"] = "right") -> dict[str, object]:
    """Returns a line at the baseline's mean as part of a layout, where there is one; `side` has its label."""
    baseline = table.baseline
    if baseline is None:
        return {}
    line = {"width": 1.5, "dash": "dash"}
    text = f"baseline {with_unit(baseline.mean, table.identity.measure)}"
    return {
        "shapes": [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": baseline.mean,
                "y1": baseline.mean,
                "line": line,
            }
        ],
        "annotations": [
            {
                "xref": "paper",
                "x": int(side == "right"),
                "xanchor": side,
                "y": baseline.mean,
                "yanchor": "bottom",
                "text": text,
            }
        ],
    }


def baseline_mean(table: TrialTable) -> tuple[float, ...]:
    """Returns the baseline's mean for an axis that has to show it; empty where there is none."""
    return () if table.baseline is None else (table.baseline.mean,)


def _versus_baseline(table: TrialTable) -> str:
    baseline, best = table.baseline, table.best
    if baseline is None or best is None or best.value is None:
        return " There is no baseline to compare it with."
    seeds = count(len(baseline.seeds), "seed")
    side = "above" if best.value >= baseline.mean else "below"
    difference = f"{with_unit(abs(best.value - baseline.mean), table.identity.measure)} {side}"
    return (
        f" That is {difference} the baseline's mean of {seeds}; but the best of many single runs is also a lucky one; "
        "only more seeds show by how much."
    )


def _best_so_far(rows: Sequence[TrialRow], numbers: dict[str, int], table: TrialTable) -> dict[str, object]:
    x: list[int] = []
    y: list[float] = []
    for row in rows:
        value = row.value if row.value is not None else 0.0
        if not y or table.identity.direction.better(value, y[-1]):
            x.append(numbers[row.trial])
            y.append(value)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": [*x, max(numbers.values())],
        "y": [*y, y[-1]],
        "line": {"shape": "hv", "color": BEST, "width": 2},
        "hoverinfo": "skip",
    }


def _places(row: TrialRow, lines: Sequence[Line], seen: Span) -> list[float | None]:
    """Returns the height of the trial on each axis, the value's last."""
    value = None
    if row.value is not None:
        value = place(seen.held(row.value), seen.low, seen.high, logarithmic=False)
    return [*(line.place(row.assignments.get(line.name)) for line in lines), value]


def _grouped(
    rows: Sequence[TrialRow], places: dict[str, list[float | None]], table: TrialTable
) -> list[dict[str, object]]:
    """Returns the trials as one trace per shade of rank, the worst first: a trace per trial would be slow."""
    groups: dict[int, list[TrialRow]] = {}
    for rank, row in enumerate(rows):
        groups.setdefault(SHADES * rank // len(rows), []).append(row)
    return [
        _line(groups[level], places, table, color=shade(1 - level / (SHADES - 1)), width=1.5)
        for level in sorted(groups, reverse=True)
    ]


def _line(
    rows: Sequence[TrialRow], places: dict[str, list[float | None]], table: TrialTable, *, color: str, width: float
) -> dict[str, object]:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for row in rows:
        heights = places[row.trial]
        x += [*range(len(heights)), None]
        y += [*heights, None]
        text += [about(row, table)] * len(heights) + [""]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "text": text,
        "hoverinfo": "text",
        "line": {"color": color, "width": width},
        "showlegend": False,
    }


def _valueless(rows: Sequence[TrialRow], places: dict[str, list[float | None]], table: TrialTable) -> dict[str, object]:
    colour, width = STATES["Failed"], 1.2
    dotted = {"color": colour, "width": width, "dash": "dot"}
    made = _line(rows, places, table, color=colour, width=width)
    return made | {"line": dotted, "name": "no value", "showlegend": bool(rows)}


def _frame(lines: Sequence[Line], table: TrialTable, seen: Span) -> dict[str, object]:
    """Returns the axes: per parameter a vertical line with its name above and its numbers at its side."""
    marks = [line.ticks() for line in lines] + [ticks(seen.low, seen.high, logarithmic=False)]
    names = [*(line.name for line in lines), unit_of(table)]
    shapes = [
        {"type": "line", "x0": index, "x1": index, "y0": 0, "y1": 1, "layer": "below", "line": {"width": 1}}
        for index in range(len(names))
    ]
    labels = [
        {
            "x": index,
            "y": where,
            "text": plain(text),
            "xanchor": "left",
            "xshift": 3,
            "font": {"size": 11},
        }
        for index, found in enumerate(marks)
        for where, text in found
    ]
    headings = [
        {
            "x": index,
            "y": 1,
            "yanchor": "bottom",
            "yshift": 12,
            "text": f"<b>{_broken(name)}</b>",
            "font": {"size": 12},
        }
        for index, name in enumerate(names)
    ]
    hidden = {"visible": False, "fixedrange": True}
    return {
        "xaxis": hidden | {"range": [-0.3, len(names) - 0.5]},
        "yaxis": hidden | {"range": [-0.05, 1.05]},
        "margin": {"l": 4, "r": 4, "t": 56, "b": 8},
        "shapes": shapes,
        "annotations": [*headings, *labels],
        "legend": {"y": -0.02, "yanchor": "top"},
    }


def _broken(name: str) -> str:
    """Returns a long name on several lines, because five axes have to fit on a phone."""
    lines = [""]
    for part in plain(name).replace("_", "_\n").replace(" ", " \n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > 10:
            lines.append("")
        lines[-1] += part
    return "<br>".join(line.strip() for line in lines)


def _near(rows: Sequence[TrialRow], lines: Sequence[Line]) -> str:
    """Returns the parameters on which the five best agree: those where they lie within a quarter of the axis."""
    if len(rows) < 10:
        return ""
    agreed = []
    for line in lines:
        found = [where for row in rows[:5] if (where := line.place(row.assignments.get(line.name))) is not None]
        if len(found) == 5 and max(found) - min(found) < 0.25 and not line.listed:
            texts = sorted((row.assignments[line.name] for row in rows[:5]), key=float)
            agreed.append(f"{line.name} ({short(texts[0])} to {short(texts[-1])})")
    if not agreed:
        return "The five best have no parameter in common: they lie far apart on every axis."
    return f"The five best lie close together in {listed(agreed)}."
