"""Reads the trials of earlier searches, which the setting warm_start names, from their folders beside a search's own.

A folder holds a study, the table of a search that `make delete` removed from a cluster, or a table of trials that
another program has run.
"""

from collections.abc import Iterator
from pathlib import Path

from katib.backend.local.old_results import FILE, old_results
from katib.backend.local.proposals import observation
from katib.backend.local.record import DATABASE, read
from katib.errors import ManifestError, SepsweepError, nearest
from katib.manifest.experiment import Experiment
from katib.manifest.search import Search
from katib.search.history import OUTCOMES, Observation
from katib.search.warm_start import earlier_names
from katib.table import export
from katib.trial import Identity
from katib.untrusted import is_name


def earlier_trials(runs: Path, experiment: Experiment) -> list[Observation]:
    """Returns the trials of the earlier searches below `runs`; none where the manifest names none.

    Raises ManifestError for one that is missing, damaged, without trials, or of another objective.
    """
    observations: list[Observation] = []
    for name in earlier_names(experiment.search):
        if name == experiment.name:
            raise ManifestError(f"warm_start: '{name}' is this search itself; name earlier ones")
        try:
            identity, listed = _read(runs, name, experiment.search)
        except ManifestError:
            raise
        except SepsweepError as error:
            what = str(error).partition("; move ")[0]
            raise ManifestError(f"warm_start: {what}; leave '{name}' out, or restore its folder") from None
        search = experiment.search
        if identity and (identity.metric, identity.direction) != (search.metric, search.direction):
            raise ManifestError(
                f"warm_start: '{name}' has the objective {identity.direction.value} {identity.metric}, and this search"
                f" {search.direction.value} {search.metric}; leave it out"
            )
        if not listed:
            raise ManifestError(f"warm_start: {runs / name}: has no trial yet; leave '{name}' out")
        observations += listed
    return observations


def _read(runs: Path, name: str, search: Search) -> tuple[Identity | None, list[Observation]]:
    """Returns what an earlier search was, which a table of another program does not say, and its trials."""
    folder = runs / name
    if is_name(name) and (folder / DATABASE).exists():
        identity, trials = read(folder)
        return identity, [observation(trial, identity.strategy) for trial in trials]
    if is_name(name) and (folder / export.JSON).exists():
        table = export.read(folder)
        return table.identity, [
            Observation(row.assignments, OUTCOMES[row.state], row.value, tuple(point.value for point in row.curve))
            for row in table.rows
        ]
    if is_name(name) and (folder / FILE).exists():
        return None, old_results(folder / FILE, search)
    known = sorted(set(_searches(runs)))
    hint = nearest(name, known) if known else "there is none yet"
    raise ManifestError(f"warm_start: {runs}: no experiment '{name}': {hint}")


def _searches(runs: Path) -> Iterator[str]:
    for file in (DATABASE, export.JSON, FILE):
        yield from (path.parent.name for path in runs.glob(f"*/{file}"))
