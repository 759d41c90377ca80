"""Plots an architecture sweep: result against each cost, with Pareto's front, in one HTML file that works offline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from katib.conclude.architecture import Cost, Variant, front
from katib.conclude.plan import FollowUpPlan
from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.labels import Entry, Label, free, written
from katib.draw.marks import dot, line, whisker
from katib.draw.scale import Linear
from katib.measure import Measure
from katib.report.document import document
from katib.report.figure import Figure, sized
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
    values = ", ".join(f"{one.value} ({with_unit(one.mean or 0.0, metric)})" for one in chosen)
    finding = f"No other {plan.field} is both better and cheaper than {values}."
    points = [_Point(one, getattr(one, cost) * factor, one.mean or 0.0) for one in known]

    def draw(width: float, height: float) -> Drawing:
        return _drawing(points, [points[known.index(one)] for one in chosen], title, metric, width, height, finding)

    return Figure(cost, heading, finding, sized(draw, HEIGHT, 320))


@dataclass(frozen=True)
class _Point:
    """A variant at its cost, in the unit of the axis, and its mean."""

    variant: Variant
    cost: float
    mean: float


def _drawing(
    points: Sequence[_Point],
    chosen: Sequence[_Point],
    title: str,
    metric: Measure,
    width: float,
    height: float,
    finding: str,
) -> Drawing:
    ends = [one.mean + side * (one.variant.half_width or 0.0) for one in points for side in (-1, 1)]
    margin = 0.08 * (max(ends) - min(ends)) or 0.5
    frame = Frame(
        width,
        height,
        Linear(0, 1.15 * max(one.cost for one in points) or 1.0),
        Linear(min(ends) - margin, max(ends) + margin),
        title,
        metric.title,
        (Entry("mean, 95 % interval", "s-Succeeded"), Entry("no other is better and cheaper", "best dotted", "line")),
    )
    marks = [line([frame.at(one.cost, one.mean) for one in chosen], "best dotted")]
    places = [frame.at(one.cost, one.mean) for one in points]
    for one, (x, y) in zip(points, places, strict=True):
        seeds = ", ".join(f"seed {seed}: {with_unit(value, metric)}" for seed, value in one.variant.seeds.items())
        if half := one.variant.half_width:
            marks.append(whisker(x, frame.up(one.mean - half), frame.up(one.mean + half), "s-Succeeded", cap=5))
        marks.append(dot(x, y, "s-Succeeded", radius=5, tip=f"{one.variant.value}: {seeds}"))
    marks += [dot(*frame.at(one.cost, one.mean), "best ring", radius=9) for one in chosen]
    labels = [Label(x, y, one.variant.value, "name") for one, (x, y) in zip(points, places, strict=True)]
    return frame.drawing(str(metric), finding, [*marks, written(free(labels, places, width, frame.floor))])
