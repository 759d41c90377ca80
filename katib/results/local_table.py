"""The trial table of a search on this machine: its store, and what the runs have written about themselves.

Called by the verbs results, local and ui, and by whoever draws a conclusion.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from katib.errors import FolderError, nearest
from katib.local.store import DATABASE, Identity, Store, Trial, objective_value
from katib.results.table import Point, Row, TrialTable

SUMMARY = "summary.json"
"""The trainer's own account of a run, in its folder (trainer/progress.py)."""


def read_table(runs: Path, experiment: str) -> TrialTable:
    """The trial table of `experiment` below `runs`. Raises FolderError where there is none."""
    folder = find(runs, experiment)
    store = Store(folder)
    try:
        return table(store.identity, store.trials(), folder)
    finally:
        store.close()


def find(runs: Path, experiment: str) -> Path:
    """The folder of `experiment`. Raises FolderError that names those there are."""
    there = experiments(runs)
    if experiment not in there:
        hint = nearest(experiment, there) if there else "there is none yet; `make local MODEL=...` starts one"
        raise FolderError(f"{runs}: no experiment '{experiment}': {hint}")
    return runs / experiment


def experiments(runs: Path) -> list[str]:
    """The names of all experiments below `runs`."""
    return sorted(path.parent.name for path in runs.glob(f"*/{DATABASE}"))


def table(identity: Identity, trials: Sequence[Trial], folder: Path) -> TrialTable:
    """The table of these trials, whose run directories lie in `folder`."""
    sign = -1 if identity.maximize else 1
    rows = [_row(trial, identity, folder / trial.name / SUMMARY) for trial in trials]
    rows.sort(key=lambda row: (row.value is None, sign * (row.value or 0)))
    return TrialTable(identity, tuple(rows))


def _row(trial: Trial, identity: Identity, summary: Path) -> Row:
    value = objective_value(trial.values, identity.strategy)
    mixture = _mixture(summary, identity.metric)
    points = tuple(
        Point(step, value, None) for step, value in enumerate(trial.values, 1) if abs(value) < float("inf")
    )
    return Row(
        trial=trial.name,
        state=trial.state,
        reason=trial.reason,
        assignments=dict(trial.assignments),
        value=value,
        best_epoch=None if value is None else trial.values.index(value) + 1,
        epochs=len(trial.values),
        seconds=trial.effort.seconds,
        gain=None if value is None or mixture is None else value - mixture,
        objective=identity.metric,
        metrics={identity.metric: points},
        gpu_hours=trial.effort.seconds / 3600,
        restarts=trial.effort.failures,
    )


def _mixture(summary: Path, metric: str) -> float | None:
    """What the unprocessed mixtures score, where the run wrote it down."""
    try:
        found = json.loads(summary.read_text()).get(f"mixture_{metric}")
    except (OSError, ValueError, AttributeError):
        return None
    return float(found) if isinstance(found, int | float) else None
