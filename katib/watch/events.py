"""Tells what has happened in a search, from its table alone, so that no restart of anything loses an event."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np

from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, difference, with_unit
from katib.trial import WITHOUT_RESULT
from katib.watch.view import View

Kind = Literal["best", "failed", "stopped", "paused", "resumed", "finished"]
MOST = 200
FAILURES = 8
"""The number of failed trials whose last lines are shown."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a trial at `time`, a Unix time in s."""

    time: float
    kind: Kind
    trial: str
    text: str
    fix: str = ""
    lines: Sequence[str] = ()
    """The last lines of a trial that failed."""


def events(view: View) -> list[Event]:
    """Returns the newest events, the last one first."""
    found = [*_bests(view), *(event for row in view.table.rows for event in _of(row, view))]
    return sorted(found, key=lambda event: (-event.time, event.trial, event.kind))[:MOST]


def failed_last(table: TrialTable) -> list[TrialRow]:
    """Returns the trials that failed last, whose last lines are worth reading."""
    failed = [row for row in table.rows if row.state in WITHOUT_RESULT]
    return sorted(failed, key=lambda row: -(row.ended or 0.0))[:FAILURES]


def _of(row: TrialRow, view: View) -> Iterator[Event]:
    metric, curve = view.table.identity.measure, view.curve(row)
    times = dict(zip(curve.steps, curve.times, strict=True))
    for epoch in row.pauses:
        after = times.get(epoch + 1)
        if after is not None and isfinite(after):
            yield Event(after, "resumed", row.trial, f"continued after its pause at epoch {epoch}")
    end = view.ended(row)
    if end is None:
        return
    if row.state in WITHOUT_RESULT:
        what = row.reason or "no reason is recorded"
        yield Event(end, "failed", row.trial, f"failed: {what}", row.fix, view.tails.get(row.trial, ()))
    elif row.state == "EarlyStopped":
        kind: Kind = "paused" if row.may_go_on else "stopped"
        yield Event(end, kind, row.trial, f"{kind} after {count(row.epochs, 'epoch')}: {row.reason}".rstrip(": "))
    else:
        value = "" if row.value is None else f", {with_unit(row.value, metric)}"
        why = f" ({row.reason})" if row.reason else ""
        yield Event(end, "finished", row.trial, f"finished {count(row.epochs, 'epoch')}{value}{why}")


def _bests(view: View) -> Iterator[Event]:
    """Yields an event for each trial that was the best one for a while, at the last epoch that made it better."""
    table = view.table
    metric, direction = table.identity.measure, table.identity.direction
    rows = [row for row in table.rows if row.value is not None and len(view.curve(row).values)]
    if not rows:
        return
    curves = [view.curve(row) for row in rows]
    times = np.concatenate([np.asarray(curve.times, float) for curve in curves])
    values = np.concatenate([np.asarray(curve.values, float) for curve in curves]) * direction.sign
    steps = np.concatenate([np.asarray(curve.steps, int) for curve in curves])
    whose = np.repeat(np.arange(len(rows)), [len(curve.values) for curve in curves])
    known = np.isfinite(times) & np.isfinite(values)
    order = np.flatnonzero(known)[np.argsort(times[known], kind="stable")]
    reached = np.maximum.accumulate(values[order]) if len(order) else values[order]
    better = np.flatnonzero(np.diff(reached, prepend=-np.inf) > 0)
    before: float | None = None
    for place, position in enumerate(better):
        index = order[position]
        last = place + 1 == len(better) or whose[order[better[place + 1]]] != whose[index]
        if not last:
            continue
        value = float(direction.sign * values[index])
        gain = "" if before is None else f", {difference(value - before, metric)}"
        text = f"new best: {with_unit(value, metric)} at epoch {steps[index]}{gain}"
        yield Event(float(times[index]), "best", rows[whose[index]].trial, text)
        before = value
