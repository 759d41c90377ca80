"""Estimates how long a running search will still take, from the time of its trials so far. Pure: no I/O."""

from statistics import fmean

from katib.budget.promotion import epochs_ahead, spending
from katib.budget.schedule import Load, makespan
from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.manifest.search import Algorithm
from katib.search.promotion import Promote
from katib.search.stop_rules import stop_rule
from katib.stop_settings import PROMOTE
from katib.table.trial_table import TrialTable
from katib.text import SECONDS_AN_HOUR


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
    ended = [row for row in table.rows if row not in table.under_way and row.epochs and row.seconds]
    if not trials or not ended:
        return None
    slots = table.slots or Manifest(table.identity.spec).parallel
    each = fmean(row.seconds for row in ended)
    epoch = sum(row.seconds for row in ended) / sum(row.epochs for row in ended)
    begun = [max(each - row.seconds, epoch) for row in table.under_way]
    new = max(0, trials - len(table.rows))
    ahead = [*begun, *[each] * new]
    if (rule := _promote(table)) is not None:
        rest = trials * spending(rule, trials, _whole(table), slots).epochs - sum(row.epochs for row in table.rows)
        ahead = [epoch * epochs for epochs in epochs_ahead(rest, len(begun), new)]
    hours = tuple(seconds / SECONDS_AN_HOUR for seconds in ahead)
    return makespan([Load(hours, slots, 1)], slots)


def _promote(table: TrialTable) -> Promote | None:
    """Returns the rule promote of the search; None with another rule, or with settings that it does not take."""
    manifest = Manifest(table.identity.spec)
    if not manifest.pauses:
        return None
    try:
        rule = stop_rule(Algorithm(PROMOTE, manifest.stop_settings), table.identity.direction, table.identity.measure)
    except ManifestError:
        return None
    return rule if isinstance(rule, Promote) else None


def _whole(table: TrialTable) -> float:
    """Returns the epochs of a trial that nothing but its patience ends: those of the completed ones, or else all."""
    completed = [row.epochs for row in table.rows if row.state == "Succeeded" and row.epochs]
    longest = max(row.epochs for row in table.rows)
    return fmean(completed) if completed else float(table.budget.epochs if table.budget else longest)
