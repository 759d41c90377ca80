"""Estimates how long a running search will still take, from the time of its trials so far. Pure: no I/O."""

from statistics import fmean

from katib.budget.schedule import Load, makespan
from katib.manifest.object import Manifest
from katib.search.spending import epochs_ahead, spending
from katib.search.stop_rules import promotion
from katib.table.trial_table import TrialTable
from katib.text import SECONDS_AN_HOUR
from katib.trial import ENDED


def planned_trials(table: TrialTable) -> int | None:
    """Returns how many rows the search may have, or None if nothing limits them."""
    found = Manifest(table.identity.spec).configurations
    return found if found is not None else table.budget.trials if table.budget else None


def hours_left(table: TrialTable) -> float | None:
    """Returns the hours until the last trial ends; None if no trial has ended, or if their number is not limited.

    A trial is expected to take the average time of those that have ended; one that has passed it, an epoch more. With
    promote, a simulation of the rule says what all of them have yet to spend.
    """
    trials = planned_trials(table)
    ended = [row for row in table.rows if row.state in ENDED and row.epochs and row.seconds]
    if not trials or not ended:
        return None
    manifest = Manifest(table.identity.spec)
    slots = table.slots or manifest.parallel
    each = fmean(row.seconds for row in ended)
    epoch = sum(row.seconds for row in ended) / sum(row.epochs for row in ended)
    begun = [max(each - row.seconds, epoch) for row in table.under_way]
    new = max(0, trials - len(table.rows))
    ahead = [*begun, *[each] * new]
    if (rule := promotion(manifest, table.identity.direction, table.identity.measure)) is not None:
        rest = trials * spending(rule, trials, _whole(table), slots).epochs - sum(row.epochs for row in table.rows)
        ahead = [epoch * epochs for epochs in epochs_ahead(rest, len(begun), new)]
    hours = tuple(seconds / SECONDS_AN_HOUR for seconds in ahead)
    return makespan([Load(hours, slots, 1)], slots)


def _whole(table: TrialTable) -> float:
    """Returns the epochs of a trial that nothing but its patience ends: those of the completed ones, or else all."""
    completed = [row.epochs for row in table.rows if row.state == "Succeeded" and row.epochs]
    longest = max(row.epochs for row in table.rows)
    return fmean(completed) if completed else float(table.budget.epochs if table.budget else longest)
