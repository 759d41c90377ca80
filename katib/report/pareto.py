"""Plots an architecture sweep: result against each cost, with Pareto's front, in one HTML file that works offline."""

from collections.abc import Mapping, Sequence

from katib.conclude.architecture import Cost, Variant, front
from katib.conclude.plan import FollowUpPlan
from katib.measure import Measure
from katib.report.document import document
from katib.report.figure import Figure, drawing, plain
from katib.report.style import BEST, STATES
from katib.text import with_unit
from katib.trial import Direction

AXES: Mapping[Cost, tuple[str, float]] = {
    "parameters": ("parameters, millions", 1e-6),
    "multiply_adds": ("multiply-adds of one mixture, G", 1e-9),
    "step_seconds": ("training step, s", 1.0),
    "epoch_seconds": ("epoch, s", 1.0),
}
"""Title of each cost's axis, and what its numbers are multiplied with."""
HEIGHT = 380


def page(
    plan: FollowUpPlan, found: Sequence[Variant], metric: Measure, *, direction: Direction = Direction.MAXIMIZE
) -> str:
    """Returns the page, with a figure per cost; a cost that no variant has is left out, with a remark."""
    figures = [_figure(plan, found, cost, metric, direction=direction) for cost in axes(found)]
    return document(
        "pareto.html.j2",
        figures,
        title=f"{plan.search}: {plan.field}",
        subtitle=f"Mean over the seeds {', '.join(map(str, plan.seeds))}, with its 95 % interval, for what each "
        "variant costs",
        costs=figures,
    )


def axes(found: Sequence[Variant]) -> list[Cost]:
    """Returns the costs that a variant is weighed by: an epoch's time where no run tells its steps."""
    steps = any(one.step_seconds is not None for one in found) or all(one.epoch_seconds is None for one in found)
    return [cost for cost in AXES if cost != ("epoch_seconds" if steps else "step_seconds")]


def _figure(
    plan: FollowUpPlan, found: Sequence[Variant], cost: Cost, metric: Measure, *, direction: Direction
) -> Figure:
    title, factor = AXES[cost]
    known = [one for one in found if one.mean is not None and getattr(one, cost) is not None]
    heading = title.split(",")[0].capitalize()
    if not known:
        return Figure(cost, heading, "Not enough data: this cost is not known for any variant that has a value.")
    chosen = front(known, cost, direction=direction)
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [getattr(one, cost) * factor for one in chosen],
        "y": [one.mean for one in chosen],
        "line": {"color": BEST, "dash": "dot"},
        "marker": {"size": 18, "symbol": "circle-open", "color": BEST, "line": {"width": 2}},
        "name": "no other is better and cheaper",
        "hoverinfo": "skip",
    }
    layout = {
        "xaxis": {"title": {"text": title}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": str(metric)}},
        "showlegend": True,
    }
    values = ", ".join(f"{one.value} ({with_unit(one.mean or 0.0, metric)})" for one in chosen)
    return Figure(
        cost,
        heading,
        f"No other {plan.field} is both better and cheaper than {values}.",
        drawing([line, _points(plan, known, cost, factor, metric)], layout),
        HEIGHT,
    )


def _points(
    plan: FollowUpPlan, known: Sequence[Variant], cost: Cost, factor: float, metric: Measure
) -> dict[str, object]:
    colour = STATES["Succeeded"]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [getattr(one, cost) * factor for one in known],
        "y": [one.mean for one in known],
        "error_y": {
            "type": "data",
            "array": [one.half_width for one in known],
            "color": colour,
            "thickness": 1,
        },
        "text": [plain(one.value) for one in known],
        "textposition": "middle right",
        "cliponaxis": False,
        "hoverinfo": "text",
        "hovertext": [
            "<br>".join(
                [
                    f"{plain(plan.field)} {plain(one.value)}",
                    *(f"seed {seed}: {with_unit(value, metric)}" for seed, value in one.seeds.items()),
                ]
            )
            for one in known
        ],
        "marker": {"size": 10, "color": colour},
        "name": "mean, 95 % interval",
    }
