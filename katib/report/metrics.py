"""Draws every other metric by epoch, small, so that training can be compared with validation."""

from collections.abc import Sequence

from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import dot, line
from katib.draw.scale import Linear, Log
from katib.report.figure import HALF, Figure
from katib.table.sample import foremost, spread
from katib.table.trial_table import Point, TrialRow, TrialTable
from katib.trainer_contract import METRIC

MOST_CURVES, MOST_POINTS, MOST_METRICS, HEIGHT = 60, 40, 16, 220.0
DECADES = 30.0
"""Values whose greatest is so many times the least, all above 0, have a logarithmic axis."""
LOSS = "train_loss"
"""Our trainer's loss is the negative SI-SNR of what it trains on."""


MEANINGS = {
    LOSS: "The negative SI-SNR in dB of the mixtures trained on.",
    "lr": "The learning rate.",
    "grad_norm": "The norm of the gradient before clipping, mean over the steps.",
    "seconds": "The seconds that an epoch took, with its validation.",
    "mixtures": "The mixtures trained on in an epoch.",
    "waited": "The seconds of an epoch in which training waited for data.",
    "nonfinite_batches": "The batches of an epoch that were skipped: their loss or gradient was not finite.",
    "steps": "The steps of the optimizer in an epoch.",
}
"""What our trainer's metrics are."""


def metric_figures(table: TrialTable) -> list[Figure]:
    """Returns a figure for each metric but the objective, the best trial thick."""
    names = dict.fromkeys(name for row in table.rows for name in row.metrics if name != row.objective)
    found = (_figure(name, table) for name in list(names)[:MOST_METRICS])
    return [figure for figure in found if figure is not None]


def _figure(name: str, table: TrialTable) -> Figure | None:
    rows = foremost([row for row in table.rows if row.metrics.get(name)], MOST_CURVES)
    values = [point.value for row in rows for point in row.metrics[name]]
    if not values or min(values) == max(values):
        return None
    # The loss of the best trial is drawn beside its validation, in the loss's own sign.
    beside = table.best if name == LOSS and table.identity.metric == METRIC else None
    if beside is not None:
        values += [-point.value for point in beside.curve]
    low, high = _middle(values)
    log = low > 0 and max(values) > DECADES * min(values) > 0
    margin = 0.04 * (high - low) or 0.5
    scale = Log(min(values), max(values)) if log else Linear(low - margin, high + margin)
    entries = [Entry("best trial", "best thick", "line"), Entry("others", "v2", "line")]
    entries += [Entry(f"best trial, -{METRIC}", "baseline dashed", "line")] if beside else []
    last = max(point.step for row in rows for point in row.metrics[name])
    frame = Frame(HALF, HEIGHT, Linear(0, last, whole=True), scale, "epoch", "", tuple(entries))
    marks = [_curve(row.metrics[name], frame, "thin v2", row) for row in reversed(rows) if row is not table.best]
    if beside is not None:
        turned = [Point(point.step, -point.value, None) for point in beside.curve]
        marks.append(_curve(turned, frame, "baseline dashed", beside))
    marks += [_curve(row.metrics[name], frame, "best thick", row) for row in rows if row is table.best]
    finding = _finding(name, table, beside)
    return Figure(f"metric-{name}", name, finding, (frame.drawing(name, finding, [frame.inside(marks)]),))


def _curve(points: Sequence[Point], frame: Frame, kind: str, row: TrialRow) -> str:
    places = [frame.at(point.step, point.value) for point in spread(points, MOST_POINTS)]
    # A line of one point cannot be seen, and yet the axis is made for its value.
    return dot(*places[0], kind, row.trial, radius=2) if len(places) == 1 else line(places, kind, row.trial)


def _middle(values: Sequence[float]) -> tuple[float, float]:
    """Returns the ends of an axis without the outermost hundredth at each side, where there are so many."""
    ordered = sorted(values)
    cut = len(ordered) // 100
    return ordered[cut], ordered[-1 - cut]


def _finding(name: str, table: TrialTable, beside: TrialRow | None) -> str:
    best = table.best
    points = best.metrics.get(name, ()) if best else ()
    if not points or best is None:
        return f"{name} by epoch."
    at, last = best.at_best(name), points[-1].value
    at = last if at is None else at
    words = f"The best trial: {at:.4g} at its best epoch, {last:.4g} at its last."
    if beside is not None:
        gap = -at - (beside.value or 0.0)
        words += (
            f" At its best epoch it separates the mixtures trained on {abs(gap):.2f} dB"
            f" {'better' if gap > 0 else 'worse'} than those of the validation."
        )
    meaning = MEANINGS.get(name, "") if table.identity.metric == METRIC else ""
    return f"{meaning} {words}".lstrip()
