"""Finds the trials that ended themselves early, from their rows and the manifest's command. Pure: no I/O.

The trainer ends a training after --patience epochs in a row whose validation is not the best so far, or whose best is
after --hopeless epochs still below that of the unprocessed mixtures (trainer/training/progress.py). To Katib and to the
local engine, such a trial has simply succeeded.
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

BEGIN, HOPELESS = "patience: ", "hopeless: "
"""The beginnings of the reasons of trials that ended themselves."""


def ends_itself(manifest: Manifest) -> bool:
    """Returns whether a trial may end itself before its epochs."""
    return manifest.number(Flags.PATIENCE) is not None or manifest.number(Flags.HOPELESS) is not None


def explained(rows: Iterable[TrialRow], manifest: Manifest, *, direction: Direction) -> list[TrialRow]:
    """Returns the rows, with a reason for those that ended themselves early."""
    epochs, patience = manifest.number(Flags.EPOCHS), manifest.number(Flags.PATIENCE)
    if epochs is None or not ends_itself(manifest):
        return list(rows)

    def why(row: TrialRow) -> str:
        # Where the mixtures' value is known, a trial above it was not hopeless.
        hopeless = manifest.number(Flags.HOPELESS) if row.gain is None or row.gain < 0 else None
        return reason(row.values, epochs, patience, hopeless, direction=direction)

    return [
        replace(row, reason=why(row)) if row.state == "Succeeded" and row.value is not None and not row.reason else row
        for row in rows
    ]


def reason(
    values: Sequence[float],
    epochs: int,
    patience: int | None,
    hopeless: int | None = None,
    *,
    direction: Direction = Direction.MAXIMIZE,
) -> str:
    """Returns why a trial that succeeded ran fewer than `epochs`; empty if it did not end itself.

    `values` are its reports by epoch, from 1; one that is not finite is not better. Of equal bests the first counts.
    Patience comes first. Otherwise a trial that ended after `hopeless` epochs was below the mixtures: their value is
    not needed to know that.
    """
    worth = [direction.sign * value if math.isfinite(value) else -math.inf for value in values]
    if not worth or max(worth) == -math.inf or len(worth) >= epochs:
        return ""
    best = worth.index(max(worth)) + 1
    waited = len(worth) - best
    if patience is not None and waited >= patience:
        return f"{BEGIN}no better epoch than {best} in {count(waited, 'epoch')}"
    if hopeless is not None and len(worth) >= hopeless:
        return f"{HOPELESS}still below the unprocessed mixtures after {count(len(worth), 'epoch')}"
    return ""


def used(table: TrialTable) -> str:
    """Returns a clause on how many of the planned epochs trials used that ended themselves; empty if none did."""
    planned = f" of {table.budget.epochs}" if table.budget else ""
    clauses = []
    for rule, begin in (("patience", BEGIN), ("hopelessness", HOPELESS)):
        rows = [row for row in table.rows if row.state == "Succeeded" and row.reason.startswith(begin)]
        if rows:
            average = fmean(row.epochs for row in rows)
            clauses.append(f"{rule} ended {count(len(rows), 'trial')}, after {average:.3g}{planned} epochs on average")
    return "; ".join(clauses)
