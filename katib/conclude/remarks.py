"""Remarks on a trial table: what is unusual about it, how far it is, and how it differs from its baseline."""

from collections.abc import Iterator, Mapping

from katib.budget.remaining import hours_left, planned_trials
from katib.manifest.gpu_hours import spent
from katib.manifest.object import Manifest
from katib.table.evaluation import sentences
from katib.table.trial_table import TrialTable
from katib.text import count, roughly, with_unit
from katib.trial import WITHOUT_RESULT
from katib.untrusted import clean


def remarks(table: TrialTable, *, metrics: bool = False) -> Iterator[str]:
    """Yields what is unusual: no trial, only one, none that has succeeded, or no difference between them.

    With `metrics`, every trial's metrics are read, and those that some trials have not reported are listed too.
    """
    name, rows = table.identity.name, table.rows
    values = [row.value for row in rows if row.value is not None]
    if not rows:
        yield f"{name}: no trial yet"
    elif all(row.state in WITHOUT_RESULT for row in rows):
        first = rows[0]
        fix = f"; {first.fix}" if first.fix else ""
        number = "its one trial" if len(rows) == 1 else f"all {len(rows)} trials"
        yield f"{name}: {number} failed, {first.trial}: {first.reason or first.state}{fix}"
    elif not values:
        yield f"{name}: no trial has reported {table.identity.metric} yet"
    elif len(values) > 1 and len(set(values)) == 1:
        yield (
            f"{name}: all {len(values)} values are {with_unit(values[0], table.identity.measure)}, so that none is "
            f"better; do the settings reach the trial's command?"
        )
    elif not table.finished:
        yield f"{name}: no trial has run to its end; values are those so far"
    elif len(values) == 1:
        yield f"{name}: one trial has a value, with nothing to compare it with"
    if any(row.state not in WITHOUT_RESULT for row in rows) and (why := too_many_failures(table)):
        yield f"{name}: {why}"
    if line := spent(table.hours_used, table.identity.gpu_hours, table.device):
        yield f"{name}: {line}"
    if metrics:
        yield from _missing(table)
    if table.best is not None and table.folder is not None:
        yield from (f"{table.best.trial}: {line}" for line in sentences(table.folder / table.best.trial))


def too_many_failures(table: TrialTable) -> str:
    """Returns that failed trials have ended the search; empty where they have not.

    As in Katib, maxFailedTrialCount failures end a search, unless it has reached its goal before.
    """
    manifest, best = Manifest(table.identity.spec), table.best.value if table.best else None
    allowed, goal = manifest.spec.get("maxFailedTrialCount"), manifest.goal
    failed = sum(row.state in WITHOUT_RESULT for row in table.rows)
    if not isinstance(allowed, int) or not failed or failed < allowed:
        return ""
    if goal is not None and best is not None and table.identity.direction.reaches(best, goal):
        return ""
    return f"{count(failed, 'failed trial')} ended the search, and maxFailedTrialCount is {allowed}"


def progress(table: TrialTable) -> str:
    """Returns how far a search with trials under way has come, in one sentence."""
    running = len(table.under_way)
    trials, left = planned_trials(table), hours_left(table)
    planned = f" of {trials}" if trials else ""
    ahead = f", about {roughly(left)} left" if left else ""
    so_far = ""
    if table.best is not None and table.best.value is not None:
        so_far = f"; best so far {with_unit(table.best.value, table.identity.measure)} ({table.best.trial})"
    if why := too_many_failures(table):
        return f"Failed: {why}; {running} of {count(len(table.rows), 'trial')} did not end{so_far}."
    return f"In progress: {len(table.rows) - running}{planned} trials have ended, {running} under way{ahead}{so_far}."


def no_baseline(table: TrialTable) -> str:
    """Returns why there is nothing to compare with; empty where there is a baseline."""
    if table.spec is None and not Manifest(table.identity.spec).trains_ours:
        return "no baseline: the trials are not of this trainer"
    if table.spec is None:
        return "no baseline: the settings match no spec"
    if table.spec.baseline is None:
        return f"no baseline in spec '{table.spec.name}'"
    if table.baseline is None and table.identity.metric != table.spec.objective[0]:
        return (
            f"no baseline: that of '{table.spec.name}' is known in {table.spec.objective[0]}, and this search goes "
            f"by {table.identity.metric}"
        )
    if table.baseline is None and table.budget:
        return (
            f"no baseline: that of '{table.spec.name}' was trained for {count(table.spec.epochs, 'epoch')}, these "
            f"trials for {table.budget.epochs}"
        )
    return ""


def differences(table: TrialTable, baseline: Mapping[int, float] | None = None) -> str:
    """Returns, in two sentences, how the spec's baseline was trained differently from the search; empty if it was not.

    `baseline` holds the values that were compared with, by seed; those that a user gave have no known differences.
    """
    own = table.baseline
    if own is None or not own.differences or (baseline is not None and dict(baseline) != own.seeds):
        return ""
    return (
        f"Besides what was searched, the baseline was trained with {'; with '.join(map(clean, own.differences))}."
        " A difference from it may be due to these as well (docs/series3.md)."
    )


def _missing(table: TrialTable) -> Iterator[str]:
    """Yields the metrics that some trials with epochs have reported and others have not."""
    with_epochs = [row for row in table.rows if row.epochs]
    names = dict.fromkeys(name for row in with_epochs for name in row.metrics)
    lacking = [row.trial for row in with_epochs if set(names) - set(row.metrics)]
    gaps = [row.trial for row in with_epochs if len(row.curve) < row.epochs]
    if lacking:
        absent = [name for name in names if any(name not in row.metrics for row in with_epochs)]
        yield (
            f"{table.identity.name}: {count(len(lacking), 'trial')} of {len(with_epochs)} lack {', '.join(absent)}:"
            f" {lacking[0]} for one"
        )
    if gaps:
        yield (
            f"{table.identity.name}: {count(len(gaps), 'trial')} with epochs whose {table.identity.metric} is no "
            f"finite number: {gaps[0]} for one"
        )
