"""Finds the trials that patience ended, from their rows and the manifest's command. Pure: no I/O.

The trainer ends a training after --patience epochs in a row whose validation is not the best so far
(trainer/training/progress.py). To Katib and to the local engine, such a trial has simply succeeded.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from katib.manifest.object import Manifest
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count
from katib.trainer_contract import Flags
from katib.trial import Direction

BEGIN = "patience: "
"""The beginning of the reason of a trial that patience ended."""


def patience_of(manifest: Manifest) -> int | None:
    """Returns the patience that the manifest's command gives to the trainer, or None."""
    return manifest.number(Flags.PATIENCE)


def explained(rows: Iterable[TrialRow], manifest: Manifest, *, direction: Direction) -> list[TrialRow]:
    """Returns the rows, with a reason for those that patience ended."""
    epochs, patience = manifest.number(Flags.EPOCHS), patience_of(manifest)
    if epochs is None or patience is None:
        return list(rows)
    return [
        replace(row, reason=reason(row.values, epochs, patience, direction=direction))
        if row.state == "Succeeded" and row.value is not None and not row.reason
        else row
        for row in rows
    ]


def reason(values: Sequence[float], epochs: int, patience: int, *, direction: Direction = Direction.MAXIMIZE) -> str:
    """Returns why a trial that succeeded ran fewer than `epochs`; empty if patience did not end it.

    `values` are its reports by epoch, from 1; one that is not finite is not better. Of equal bests the first counts.
    """
    worth = [direction.sign * value if math.isfinite(value) else -math.inf for value in values]
    if not worth or max(worth) == -math.inf or len(worth) >= epochs:
        return ""
    best = worth.index(max(worth)) + 1
    waited = len(worth) - best
    return f"{BEGIN}no better epoch than {best} in {count(waited, 'epoch')}" if waited >= patience else ""


def ended_by_patience(table: TrialTable) -> list[TrialRow]:
    """Returns the trials that patience ended."""
    return [row for row in table.rows if row.state == "Succeeded" and row.reason.startswith(BEGIN)]


def used(table: TrialTable) -> str:
    """Returns a clause on how many of the planned epochs patience left; empty if it ended no trial."""
    rows = ended_by_patience(table)
    if not rows:
        return ""
    planned = f" of {table.budget.epochs}" if table.budget else ""
    average = fmean(row.epochs for row in rows)
    return f"patience ended {count(len(rows), 'trial')}, after {average:.3g}{planned} epochs on average"
