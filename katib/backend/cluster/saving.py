"""Saves the trial table of a search on the cluster before it is deleted, and names the trials that cannot be saved.

Katib's database loses a trial's rows with the trial, so each curve must have been read completely: from the DB manager,
from a pod's log, or from the run directory, which a Job in the namespace reads where the first two lack it.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import Object
from katib.backend.cluster.run_directories import RunDirectory, read
from katib.backend.cluster.table import MANAGER, Gathered, gather
from katib.errors import ClusterError
from katib.table.run_folder import Metrics, history
from katib.table.trial_table import TrialRow, TrialTable, best_first
from katib.trial import objective_value


@dataclass(frozen=True)
class Saving:
    """What can be saved of a search: its table, and a line for each trial whose curve could not be read completely."""

    table: TrialTable
    manifest: Object
    unsaved: tuple[str, ...] = ()
    why: str = ""
    """Why something cannot be saved; empty where everything can."""

    def require_whole(self, refusal: str) -> None:
        """Raises ClusterError where something is unsaved; the message begins with what is not done then."""
        if self.unsaved:
            more = f", and {len(self.unsaved) - 5} more" if len(self.unsaved) > 5 else ""
            raise ClusterError(
                f"{refusal}: {len(self.unsaved)} of {len(self.table.rows)} trials cannot be saved"
                f" ({', '.join(self.unsaved[:5])}{more}): {self.why}; make doctor says what is wrong,"
                " UNSAVED=1 (--unsaved) deletes it all the same, and these epochs are lost"
            )


def saving(cluster: Cluster, experiment: str, say: Callable[[str], None], *, context: str | None = None) -> Saving:
    """Reads every curve of `experiment` from wherever it is. Raises ClusterError where there is no such experiment."""
    gathered = gather(cluster, experiment, context=context, every_log=True)
    if not gathered.doubtful:
        return Saving(gathered.table, gathered.manifest)
    say(f"reads the run directories of {len(gathered.doubtful)} trials, whose epochs are nowhere else")
    unanswered = f"{MANAGER} does not answer ({gathered.why})" if gathered.why else ""
    try:
        directories = {item.trial: item for item in read(cluster, gathered.manifest, experiment)}
    except ClusterError as error:
        reason = f"{unanswered}, and {error}" if unanswered else str(error)
        return Saving(gathered.table, gathered.manifest, _missing(gathered.table, gathered.doubtful), reason)
    table = completed(gathered.table, directories)
    if unanswered:
        table = replace(table, notes=(*table.notes, f"{unanswered}; curves are from pods' logs and run directories"))
    reasons = dict(_unread(table, directories, gathered))
    why = "; ".join(filter(None, [unanswered, *list(reasons.values())[:2]]))
    return Saving(table, gathered.manifest, _missing(table, reasons), why)


def _unread(
    table: TrialTable, directories: Mapping[str, RunDirectory], gathered: Gathered
) -> Iterator[tuple[str, str]]:
    """Yields the doubtful trials whose curves their run directories do not complete either, each with the reason."""
    for row in table.rows:
        if row.trial not in gathered.doubtful:
            continue
        directory, least = directories.get(row.trial), gathered.finished.get(row.trial, 0)
        if directory and directory.problem:
            yield row.trial, f"the summary of {row.trial} cannot be read: {directory.problem}"
        elif (row.curve[-1].step if row.curve else 0) < least:
            epochs = f"its run directory has {directory.epochs}" if directory else "it has no run directory"
            yield row.trial, f"{row.trial} has finished at least {least} epochs, and {epochs}"


def completed(table: TrialTable, directories: Mapping[str, RunDirectory]) -> TrialTable:
    """Returns the table with the curves of those run directories that have more epochs than it."""
    rows = [_completed(row, directories.get(row.trial), table.identity.strategy) for row in table.rows]
    notes = tuple(note for note in table.notes if not note.startswith(MANAGER))
    return replace(table, rows=best_first(rows, table.identity.direction), notes=notes)


def _completed(row: TrialRow, directory: RunDirectory | None, strategy: str) -> TrialRow:
    metrics: Metrics = history(directory.summary, row.objective) if directory else {}
    curve = metrics.get(row.objective, ())
    if len(curve) <= len(row.curve):
        return row
    value = objective_value([point.value for point in curve], strategy)
    best = next((point.step for point in curve if point.value == value), None)
    return replace(row, metrics=metrics, epochs=curve[-1].step, value=value, best_epoch=best)


def _missing(table: TrialTable, trials: Container[str]) -> tuple[str, ...]:
    whole = f" of up to {table.budget.epochs}" if table.budget else ""
    return tuple(f"{row.trial}: {row.epochs}{whole} epochs" for row in table.rows if row.trial in trials)
