"""Compares what the search cost with what it was planned to cost, and shows what early stopping saved."""

from dataclasses import dataclass
from math import ceil
from statistics import fmean

from katib.budget.estimate import as_run, plan
from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import rect
from katib.draw.scale import Category, Linear
from katib.manifest.gpu_hours import SPENT
from katib.manifest.object import Manifest
from katib.report.figure import Figure, by_state, name_of, sized
from katib.table.patience import ends_itself, used
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import SECONDS_AN_HOUR, count, duration
from katib.trainer_contract import Flags

THICK = 28.0
"""Pixels of a bar."""
SHORT_HOURS = 2.0
"""Below so many GPU-hours they are counted in minutes."""


@dataclass(frozen=True)
class Cost:
    """The GPU-hours of an experiment."""

    planned: float | None
    """At most, every epoch of every trial; None where nobody has said how long one takes, and no trial has shown it."""
    expected: float | None
    """With patience and early stopping as they are assumed beforehand (katib/budget/estimate.py)."""
    planned_by: str
    """Where both come from."""
    used: float
    saved: float


def cost(table: TrialTable) -> Cost:
    """Returns the experiment's GPU-hours so far, as a figure and in words."""
    planned, expected, by = _planned(table)
    epochs = _epochs(table)
    return Cost(planned, expected, by, table.hours_used, sum(_saved(row, epochs) or 0.0 for row in table.rows))


def saved(row: TrialRow, table: TrialTable) -> float | None:
    """Returns the GPU-hours that stopping a trial early saved, at the rate of its own epochs.

    None where it was not stopped, or only because the budget was spent, where it has finished no epoch, or where nobody
    knows how many it would have run.
    """
    return _saved(row, _epochs(table))


def _saved(row: TrialRow, epochs: float | None) -> float | None:
    if row.state != "EarlyStopped" or SPENT in row.reason or not row.epochs or epochs is None:
        return None
    return max(0.0, epochs - row.epochs) * row.gpu_hours / row.epochs


def cost_figure(table: TrialTable) -> Figure:
    """Returns planned and used GPU-hours as two bars, the second divided by how the trials ended."""
    key, title = "cost", "Plan against actual"
    found = cost(table)
    if not found.used:
        return Figure(key, title, "Not enough data: no trial has used any time yet.")
    finding = _finding(table, found)
    return Figure(key, title, finding, sized(lambda wide, high: _drawing(table, found, wide, high, finding), 200, 260))


def hours(value: float) -> str:
    """Returns `12.5 GPU-hours`, or a duration where there are fewer than two."""
    return f"{value:.1f} h" if value >= SHORT_HOURS else duration(value * SECONDS_AN_HOUR)


def _finding(table: TrialTable, found: Cost) -> str:
    parts = [f"{hours(found.used)} of {table.device} time in {count(len(table.rows), 'trial')}."]
    if found.planned is not None:
        patience = "patience and " if Manifest(table.identity.spec).number(Flags.PATIENCE) else ""
        expected = (
            "" if found.expected is None else f", about {hours(found.expected)} expected with {patience}early stopping"
        )
        parts.append(
            f"Running every epoch of every trial would take {hours(found.planned)}{expected} ({found.planned_by}): "
            f"{100 * found.used / found.planned:.0f} % of that was used so far."
        )
    else:
        parts.append("There is no estimate of a trial's duration, so there is no plan to compare with.")
    if clause := used(table):
        parts.append(f"{clause[0].upper()}{clause[1:]}.")
    if found.saved:
        share = found.saved / (found.used + found.saved)
        parts.append(
            f"Early stopping saved {hours(found.saved)}, {100 * share:.0f} % of what these trials would have used."
        )
    else:
        parts.append("Early stopping has saved nothing.")
    return " ".join(parts)


def _drawing(table: TrialTable, found: Cost, width: float, height: float, finding: str) -> Drawing:
    """Returns a bar per line: what was used, by how the trials ended, and what was planned."""
    longest = max(found.planned or 0.0, found.used + found.saved)
    factor, unit = (60.0, "minutes") if longest < SHORT_HOURS else (1.0, "hours")
    parts: list[tuple[str, str, float]] = [
        (name_of(rows), f"s-{state}", sum(row.gpu_hours for row in rows))
        for state, rows in reversed(by_state(table.rows).items())
    ]
    parts += [("saved by early stopping", "hollow s-EarlyStopped", found.saved)] if found.saved else []
    bars = {"actual": [part for part in parts if part[2]]}
    if found.planned is not None:
        bars["planned"] = [("planned", "planned", found.planned)]
    if found.expected is not None:
        bars["expected"] = [("expected", "planned", found.expected)]
    frame = Frame(
        width,
        height,
        Linear(0, factor * longest),
        Category(tuple(reversed(bars))),
        f"{table.device}-{unit}",
        "",
        tuple(Entry(name, kind, "bar") for name, kind, _ in bars["actual"]),
        20,
    )
    marks = list[str]()
    for bar, each in bars.items():
        so_far = 0.0
        for name, kind, length in each:
            x, wide = frame.across(factor * so_far), frame.across(factor * length) - frame.left
            tip = f"{name}: {hours(length)}"
            marks.append(rect(x, frame.up(bar) - THICK / 2, wide, THICK, kind, tip=tip))
            so_far += length
    return frame.drawing("Plan against actual", finding, marks)


def _planned(table: TrialTable) -> tuple[float | None, float | None, str]:
    """Returns the GPU-hours of all trials run to their end, those expected with early stopping, and their source."""
    spec = as_run(table)
    if spec is not None and not table.gpus and any(row.gpu_hours for row in table.rows):
        # The spec's estimate is one of GPU-hours, and says nothing of a processor.
        made = plan([spec], {spec.name: table}, gpus=1, gpus_per_trial=1, site_parallel=1)
        if not made.models[0].measured:
            return None, None, ""
        return made.gpu_hours, made.gpu_hours_stopping, "at what an epoch took in the trials that ended"
    if spec is not None:
        gpus, parts = ceil(table.gpus) or 1, round(1 / min(1, table.gpus or 1))
        made = plan([spec], {}, gpus=gpus, gpus_per_trial=gpus, site_parallel=1, trials_per_gpu=parts)
        return made.gpu_hours, made.gpu_hours_stopping, "the spec's estimate"
    budget = table.budget
    ended = [row.gpu_hours / row.epochs for row in table.rows if row.state == "Succeeded" and row.epochs]
    if budget is None or not ended:
        return None, None, ""
    hours = budget.trials * budget.epochs * sum(ended) / len(ended)
    return hours, None, "at what an epoch took in the finished trials"


def _epochs(table: TrialTable) -> float | None:
    """Returns the epochs of a trial that nothing stops.

    Where trials may end themselves, that is as many as others ran to their own end, or as the spec expects.
    """
    completed = [row.epochs for row in table.rows if row.state == "Succeeded"]
    if table.budget is None:
        return max(completed, default=None)
    if not ends_itself(Manifest(table.identity.spec)):
        return table.budget.epochs
    expected = table.spec.epochs_with_patience if table.spec else None
    return fmean(completed) if completed else min(expected or table.budget.epochs, table.budget.epochs)
