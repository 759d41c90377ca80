"""Chooses the failed trials that run again, by their rows in the trial table. Pure: no I/O."""

from collections.abc import Sequence

from katib.errors import SepsweepError
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count
from katib.trial import WITHOUT_RESULT, meant

NAMED = 3
"""How many trials a message names."""


def named_trial(table: TrialTable, word: str) -> TrialRow | None:
    """Returns the row of the trial `word`, which may be the end of a name, as in tables; None where there is none."""
    rows = {name: row for row in table.rows for name in (row.trial, *row.continuations)}
    named = meant(word, rows)
    return rows[named[0]] if len(named) == 1 else None


def failed_trial(row: TrialRow) -> TrialRow:
    """Returns the row if its trial has failed and may run again. Raises SepsweepError otherwise."""
    if row.state not in WITHOUT_RESULT:
        raise SepsweepError(f"trial '{row.trial}' has not failed: it is {row.shown_state}")
    if _diverged(row):
        raise SepsweepError(
            f"trial '{row.trial}' diverged, and would diverge again from its checkpoint; {row.fix or 'it stays failed'}"
        )
    return row


def failed_trials(table: TrialTable, *, every: bool) -> list[TrialRow]:
    """Returns all trials that have failed and may run again; those that diverged would do so again.

    Raises SepsweepError where there is none, or where not `every` one was asked for, but none by name either.
    """
    failed = [row for row in table.rows if row.state in WITHOUT_RESULT]
    rows, name = [row for row in failed if not _diverged(row)], table.identity.name
    if not rows:
        why = f"its {count(len(failed), 'failed trial')} diverged, and would again" if failed else "no trial has failed"
        raise SepsweepError(f"experiment '{name}': {why}; there is nothing to run again")
    if not every:
        raise SepsweepError(
            f"experiment '{name}' has {count(len(rows), 'failed trial')} ({_names(rows)}): name one of them, or all"
            " with FAILED=1 (--failed)"
        )
    return rows


def _diverged(row: TrialRow) -> bool:
    return row.reason.startswith("diverged")


def _names(rows: Sequence[TrialRow]) -> str:
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return ", ".join(row.trial for row in rows[:NAMED]) + more
