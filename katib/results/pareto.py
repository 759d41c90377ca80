"""The plot of an architecture sweep: result against each cost, with Pareto's front, in one HTML file that needs no network.

Called by the verb arch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from katib.results.architecture import Cost, Variant, front
from katib.results.fixed_runs import Plan

AXES: Mapping[Cost, tuple[str, float]] = {
    "parameters": ("parameters, millions", 1e-6),
    "multiply_adds": ("multiply-adds of one mixture, G", 1e-9),
    "step_seconds": ("training step, s", 1.0),
}
"""Title of each cost's axis, and what its numbers are multiplied with."""
COLOUR, LINE = "#1a7fc4", "#d55e00"


def page(plan: Plan, found: Sequence[Variant], metric: str, *, maximize: bool = True) -> str:
    """The page. A cost that no variant has is left out; without any there is only the result."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    costs = [cost for cost in AXES if any(getattr(one, cost) is not None for one in found)]
    figure = make_subplots(rows=1, cols=max(1, len(costs)), shared_yaxes=True, horizontal_spacing=0.03)
    for column, cost in enumerate(costs, 1):
        title, factor = AXES[cost]
        chosen = front(found, cost, maximize=maximize)
        figure.add_trace(
            go.Scatter(
                x=[getattr(one, cost) * factor for one in chosen],
                y=[one.mean for one in chosen],
                mode="lines+markers",
                line={"color": LINE, "dash": "dot"},
                marker={"size": 18, "symbol": "circle-open", "color": LINE, "line": {"width": 2}},
                name="no other is better and cheaper",
                showlegend=column == 1,
                hoverinfo="skip",
            ),
            row=1,
            col=column,
        )
        figure.add_trace(_points(plan, found, cost, factor, go), row=1, col=column)
        figure.update_xaxes(title_text=title, rangemode="tozero", row=1, col=column)
    figure.update_yaxes(title_text=f"{metric}, mean over seeds", row=1, col=1)
    heading = f"{plan.search}: {plan.field}, seeds {', '.join(map(str, plan.seeds))}"
    figure.update_layout(
        title=heading, template="plotly_white", legend={"orientation": "h", "y": -0.2}, showlegend=bool(costs)
    )
    text: str = figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False})
    return text.replace("<html>", '<html lang="en">', 1).replace(
        "<head>", f"<head><title>{heading}</title>", 1
    )


def _points(plan: Plan, found: Sequence[Variant], cost: Cost, factor: float, go: Any) -> Any:
    known = [one for one in found if one.mean is not None and getattr(one, cost) is not None]
    return go.Scatter(
        x=[getattr(one, cost) * factor for one in known],
        y=[one.mean for one in known],
        error_y={"type": "data", "array": [one.half_width for one in known], "color": COLOUR, "thickness": 1},
        mode="markers+text",
        text=[one.value for one in known],
        textposition="middle right",
        cliponaxis=False,
        hovertext=[
            f"{plan.field} {one.value}<br>"
            + "<br>".join(f"seed {seed}: {value:.2f}" for seed, value in one.seeds.items())
            for one in known
        ],
        marker={"size": 10, "color": COLOUR},
        name="mean, 95 % interval",
        showlegend=cost == next(iter(AXES)),
    )
