"""The trial table of a search on this machine: its store, and what the runs have written about themselves.

The store says what the trials' values are; when each came, and every other metric, is in the run's own folder. Called
by the verbs results, local and ui, and by whoever draws a conclusion.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from katib.backend.cluster.causes import DIVERGENCE, OOM_GPU
from katib.backend.local.record import DATABASE, MANIFEST, Trial, read
from katib.errors import EngineError, FolderError, SepsweepError, nearest
from katib.manifest.experiment import load_experiment
from katib.manifest.object import Manifest
from katib.table import export
from katib.table.origin import budget, origin
from katib.table.patience import explained
from katib.table.run_folder import (
    CONFIG,
    OUTPUT,
    SUMMARY,
    Later,
    Metrics,
    history,
    printed,
    read_json,
    wandb_link,
)
from katib.table.trial_table import Point, Row, TrialTable, best_first
from katib.text import SECONDS_AN_HOUR
from katib.trial import Direction, Identity, State
from katib.untrusted import clean, finite, is_name, read_text

_ENDS: Mapping[str, State] = {
    "finished": "Succeeded",
    "diverged": "Failed",
    "data fault": "Failed",
    "out of memory": "Failed",
}
"""How a run ended in the trainer's own words (trainer/training/fit.py), where the store cannot say it."""


def read_table(runs: Path, experiment: str) -> TrialTable:
    """Returns the trial table of `experiment` below `runs`.

    Of one that was deleted from the cluster, as it was written then.

    Where the store is damaged or away, what the runs themselves have written; a note says so. Raises FolderError where
    there is no such experiment, EngineError where nothing of it can be read.
    """
    if Path(experiment).name != experiment:
        find(runs, experiment)  # a path that leads elsewhere is the name of none
    folder = runs / experiment
    notes: tuple[str, ...] = ()
    if (folder / DATABASE).exists() or (folder / MANIFEST).exists():
        try:
            identity, trials = read(folder)
        except EngineError as error:
            identity, trials = _from_runs(folder, error)
            notes = (f"{error}; what follows is what its runs have written themselves",)
    elif (folder / export.JSON).exists():
        return replace(export.read(folder), folder=folder)
    else:
        find(runs, experiment)
        raise FolderError(f"{folder}: holds no experiment")
    if identity.name != experiment:
        notes += (f"{folder}: holds an experiment that was run as '{identity.name}'; it may be a copy",)
    if (folder / export.JSON).exists():
        notes += (f"{folder / export.JSON}: a search on a cluster had the same name; this is the local one",)
    return replace(table(identity, trials, folder), folder=folder, notes=notes)


def find(runs: Path, experiment: str) -> Path:
    """Returns the folder of `experiment`. Raises FolderError that names those there are."""
    there = experiments(runs)
    if experiment not in there:
        hint = nearest(experiment, there) if there else "there is none yet; `make local MODEL=...` starts one"
        raise FolderError(f"{runs}: no experiment '{experiment}': {hint}")
    return runs / experiment


def experiments(runs: Path) -> list[str]:
    """Returns the names of all experiments below `runs`."""
    return sorted(path.parent.name for path in runs.glob(f"*/{DATABASE}"))


def table(identity: Identity, trials: Sequence[Trial], folder: Path) -> TrialTable:
    """Returns the table of these trials, whose run directories lie in `folder`."""
    gpus, manifest = _gpus(identity, trials, folder), Manifest(identity.spec)
    rows = explained(
        (_row(trial, identity, folder / trial.name, gpus) for trial in trials),
        manifest,
        direction=identity.direction,
    )
    source = origin(manifest)
    return TrialTable(
        identity,
        best_first(rows, identity.direction),
        model=manifest.model,
        spec=source,
        budget=budget(manifest, source),
        gpus=gpus,
        slots=sum(trial.state == "Running" for trial in trials),
    )


def _gpus(identity: Identity, trials: Sequence[Trial], folder: Path) -> int:
    """Of one trial on this machine: as many as the manifest asks for, unless the engine had none to give or a run says
    that it trained without.
    """
    asked = Manifest(identity.spec).gpus
    configs = (read_json(folder / trial.name / CONFIG) for trial in trials)
    without = next(filter(None, configs), {}).get("device") == "cpu"
    given = [trial.effort.gpu for trial in trials if trial.effort.gpu is not None]
    return 0 if without or (given and not any(given)) else asked


def _row(trial: Trial, identity: Identity, folder: Path, gpus: int) -> Row:
    value = trial.value(identity.strategy)
    mixture = finite(read_json(folder / SUMMARY).get(f"mixture_{identity.metric}"))
    seconds = trial.effort.seconds + _at_work(trial, folder)
    return Row(
        trial=trial.name,
        state=trial.state,
        reason=trial.reason,
        assignments=dict(trial.assignments),
        value=value,
        best_epoch=None if value is None else trial.values.index(value) + 1,
        epochs=len(trial.values),
        seconds=seconds,
        gain=_better(value, mixture, identity.direction),
        objective=identity.metric,
        metrics=Later(partial(_metrics, trial, identity, folder)),
        reports=trial.values,
        gpu_hours=max(1, gpus) * seconds / SECONDS_AN_HOUR,
        node=trial.effort.node,
        restarts=max(trial.effort.starts - 1, 0),
        wandb=wandb_link(folder),
        started=trial.proposed,
        ended=trial.ended,
        remedy=_remedy(trial, folder, ours=Manifest(identity.spec).trains_ours),
    )


def _better(value: float | None, mixture: float | None, direction: Direction) -> float | None:
    """Returns how much better `value` is than that of the unprocessed mixture."""
    if value is None or mixture is None:
        return None
    return direction.sign * (value - mixture)


def _metrics(trial: Trial, identity: Identity, folder: Path) -> Metrics:
    """Returns the store's values of the objective, with the times and the other metrics that the run has written."""
    found = history(read_json(folder / SUMMARY), identity.metric)
    if not found:
        manifest = Manifest(identity.spec)
        found = printed(folder / OUTPUT, manifest.filters, manifest.metrics)
    times = {point.step: point.time for point in found.get(identity.metric, ())}
    found[identity.metric] = tuple(
        Point(step, value, times.get(step)) for step, value in enumerate(trial.values, 1) if abs(value) < float("inf")
    )
    return found


def _at_work(trial: Trial, folder: Path) -> float:
    """Seconds since the start of the process that is at work.

    To its last output, because an engine that was killed leaves its trials Running.
    """
    if trial.state != "Running" or trial.effort.started is None:
        return 0.0
    try:
        last = (folder / OUTPUT).stat(follow_symlinks=False).st_mtime
    except OSError:
        return 0.0
    return max(0.0, min(last, time.time()) - trial.effort.started)


def _remedy(trial: Trial, folder: Path, *, ours: bool) -> str:
    if trial.state == "MetricsUnavailable":
        return f"{folder / OUTPUT} shows what it printed; `make check` the filter"
    if trial.state != "Failed":
        return ""
    if ours and trial.reason.startswith("diverged"):
        return DIVERGENCE.fix
    if ours and trial.reason.startswith("exit code 4:"):
        return OOM_GPU.fix
    if ours and "out of memory" in trial.reason:
        return "lower batch_size in the spec, or run fewer trials at a time (PARALLEL=)"
    return f"{folder / OUTPUT} shows what it printed"


def _from_runs(folder: Path, error: EngineError) -> tuple[Identity, list[Trial]]:
    """Returns the search as its manifest and its runs' own files have it. Raises `error` where there is no manifest."""
    try:
        experiment = load_experiment(read_text(folder / MANIFEST), str(folder / MANIFEST))
    except (OSError, UnicodeDecodeError, SepsweepError):
        raise error from None
    trials = []
    there = sorted(path.parent for path in folder.glob(f"*/{SUMMARY}"))
    for number, run in enumerate(path for path in there if is_name(path.name)):
        summary, config = read_json(run / SUMMARY), read_json(run / CONFIG)
        curve = history(summary, experiment.search.metric).get(experiment.search.metric, ())
        state = _ENDS.get(str(summary.get("state")), "Created")
        trials.append(
            Trial(
                number,
                run.name,
                {
                    axis.name: clean(str(config[axis.name]), 1000)
                    for axis in experiment.search.parameters
                    if axis.name in config
                },
                state,
                "" if state == "Succeeded" else f"the run says: {clean(str(summary.get('state')), 1000)}",
                values=tuple(point.value for point in curve),
            )
        )
    return experiment.identity(), trials
