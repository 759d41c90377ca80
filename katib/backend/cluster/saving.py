"""Saves the trial table of a search on the cluster before the search is deleted, and says what of it cannot be saved.

Katib's database loses a trial's rows with the trial. So each curve must have been read whole: from the DB manager, from
a pod's log, or from the run directory, which a Job in the namespace reads where the first two do not have it.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, replace

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import Object
from katib.backend.cluster.run_directories import RunDirectory, read
from katib.backend.cluster.table import MANAGER, Gathered, gather
from katib.errors import ClusterError
from katib.table.run_folder import Metrics, history
from katib.table.trial_table import Row, TrialTable, best_first
from katib.trial import objective_value


@dataclass(frozen=True)
class Saving:
    """What can be saved of a search: its table, and one line for each trial whose curve could not be read whole."""

    table: TrialTable
    manifest: Object
    unsaved: tuple[str, ...] = ()
    why: str = ""
    """Why not, where something is unsaved."""

    def require_whole(self, what: str) -> None:
        """Raises ClusterError where something is unsaved; `what` is not done then."""
        if self.unsaved:
            more = f", and {len(self.unsaved) - 5} more" if len(self.unsaved) > 5 else ""
            raise ClusterError(
                f"{what}: {len(self.unsaved)} of {len(self.table.rows)} trials cannot be saved"
                f" ({', '.join(self.unsaved[:5])}{more}): {self.why}; make doctor says what is wrong,"
                " UNSAVED=1 (--unsaved) gives these epochs up"
            )


def saving(cluster: Cluster, experiment: str, say: Callable[[str], None], *, context: str | None = None) -> Saving:
    """Reads every curve of `experiment` from wherever it is. Raises ClusterError where `experiment` is not there."""
    found = gather(cluster, experiment, context=context, every_log=True)
    if not found.doubtful:
        return Saving(found.table, found.manifest)
    say(f"reads the run directories of {len(found.doubtful)} trials, whose epochs are nowhere else")
    try:
        directories = {item.trial: item for item in read(cluster, found.manifest, experiment)}
    except ClusterError as error:
        why = f"{MANAGER} does not answer ({found.why}), and {error}" if found.why else str(error)
        unsaved = _missing(found.table, found.doubtful)
        return Saving(found.table, found.manifest, unsaved, why)
    made = completed(found.table, directories)
    if found.why:
        note = f"{MANAGER} does not answer ({found.why}); curves are from pods' logs and run directories"
        made = replace(made, notes=(*made.notes, note))
    bad = dict(_unread(made, directories, found))
    reasons = [found.why and f"{MANAGER} does not answer ({found.why})", *list(bad.values())[:2]]
    return Saving(made, found.manifest, _missing(made, bad), "; ".join(filter(None, reasons)))


def _unread(table: TrialTable, directories: Mapping[str, RunDirectory], found: Gathered) -> Iterator[tuple[str, str]]:
    """Yields the doubtful trials that their run directories do not make whole, each with the reason."""
    for row in table.rows:
        if row.trial not in found.doubtful:
            continue
        directory, least = directories.get(row.trial), found.finished.get(row.trial, 0)
        if directory and directory.problem:
            yield row.trial, f"the summary of {row.trial} cannot be read: {directory.problem}"
        elif (row.curve[-1].step if row.curve else 0) < least:
            where = f"its run directory has {directory.epochs}" if directory else "it has no run directory"
            yield row.trial, f"{row.trial} has finished {least} epochs at least, and {where}"


def completed(table: TrialTable, directories: Mapping[str, RunDirectory]) -> TrialTable:
    """Returns the table with the curves of run directories that know more epochs than it does."""
    rows = [_completed(row, directories.get(row.trial), table.identity.strategy) for row in table.rows]
    notes = [note for note in table.notes if not note.startswith(MANAGER)]
    return replace(table, rows=best_first(rows, table.identity.direction), notes=tuple(notes))


def _completed(row: Row, directory: RunDirectory | None, strategy: str) -> Row:
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
