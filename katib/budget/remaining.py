"""How long a search that is under way will still take, at what its trials have taken so far. Pure."""

from statistics import fmean

from katib.budget.schedule import Load, makespan
from katib.manifest.object import Manifest
from katib.table.trial_table import TrialTable
from katib.text import SECONDS_AN_HOUR


def planned_trials(table: TrialTable) -> int | None:
    """Returns how many trials the search may have; None where nothing sets a limit."""
    found = table.identity.spec.get("maxTrialCount")
    return found if isinstance(found, int) else table.budget.trials if table.budget else None


def hours_left(table: TrialTable) -> float | None:
    """Returns the hours until the last trial ends.

    None where no trial has ended or nobody knows how many there will be.

    A trial is expected to take what the ended ones took on average, and one that has passed that as long as one epoch
    more.
    """
    trials = planned_trials(table)
    ended = [row for row in table.rows if row not in table.under_way and row.epochs and row.seconds]
    if trials is None or not ended:
        return None
    each = fmean(row.seconds for row in ended)
    epoch = sum(row.seconds for row in ended) / sum(row.epochs for row in ended)
    begun = [max(each - row.seconds, epoch) for row in table.under_way]
    ahead = [*begun, *[each] * max(0, trials - len(table.rows))]
    slots = table.slots or Manifest(table.identity.spec).parallel
    hours = tuple(seconds / SECONDS_AN_HOUR for seconds in ahead)
    return makespan([Load(hours, slots, 1)], slots)
