"""The trial table of a search on this machine: its store, and what the runs have written about themselves.

The store has the trials' values; when each was reported, and every other metric, is in the run's own folder.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from math import isfinite
from pathlib import Path

from katib.backend.causes import DIVERGENCE, OOM_GPU
from katib.backend.local import record
from katib.backend.local.reasons import may_go_on, told
from katib.backend.local.record import DATABASE, MANIFEST, Trial, read
from katib.backend.local.running import seen_for
from katib.errors import EngineError, FolderError, SepsweepError, nearest
from katib.heartbeat import read_heartbeat
from katib.manifest.experiment import load_experiment
from katib.manifest.gpu_hours import gpu_hours
from katib.manifest.object import Manifest
from katib.table import export
from katib.table.origin import budget, origin
from katib.table.patience import explained
from katib.table.run_folder import Later, Metrics, history, printed, read_json, wandb_link
from katib.table.smaller import recorded, with_smaller
from katib.table.trial_table import Point, TrialRow, TrialTable, best_first, with_pauses
from katib.trainer_contract import CONFIG, FAULTS, FINISHED, OUTPUT, SUMMARY, Exit
from katib.trial import Direction, Identity, State
from katib.untrusted import clean, finite, is_name, read_text

_ENDS: Mapping[str, State] = {FINISHED: "Succeeded", **dict.fromkeys(FAULTS, "Failed")}
"""The state of a trial by that of its run's summary."""


@dataclass
class Known(record.Known):
    """A table as it was read last: whoever looks again and again reads only what has changed since."""

    rows: dict[str, tuple[Trial, int, TrialRow]] = field(default_factory=dict)
    """The rows of the trials that have ended, with what they were made from: the trial, and its GPUs."""
    config: Mapping[str, object] = field(default_factory=dict)
    """The first trial's configuration that was found."""


def read_table(runs: Path, experiment: str, known: Known | None = None) -> TrialTable:
    """Returns the trial table of `experiment` below `runs`; of a search deleted from a cluster, as it was saved then.

    `known` is of the same experiment, and learns what is read. Where the store is damaged or missing, the table holds
    what the runs themselves have written, and a note says so.
    Raises FolderError where there is no such experiment, EngineError where nothing of it can be read.
    """
    if Path(experiment).name != experiment:
        find(runs, experiment)  # a path that leads elsewhere names no experiment
    folder = runs / experiment
    notes: tuple[str, ...] = ()
    if (folder / DATABASE).exists() or (folder / MANIFEST).exists():
        try:
            identity, trials = read(folder, known)
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
    return replace(table(identity, trials, folder, known), folder=folder, notes=notes)


def find(runs: Path, experiment: str) -> Path:
    """Returns the folder of `experiment`. Raises FolderError, which names the nearest one, where it has none."""
    names = experiments(runs)
    if experiment not in names:
        hint = nearest(experiment, names) if names else "there is none yet; `make local MODEL=...` starts one"
        raise FolderError(f"{runs}: no experiment '{experiment}': {hint}")
    return runs / experiment


def experiments(runs: Path) -> list[str]:
    """Returns the names of all experiments below `runs`."""
    return sorted(path.parent.name for path in runs.glob(f"*/{DATABASE}"))


def table(identity: Identity, trials: Sequence[Trial], folder: Path, known: Known | None = None) -> TrialTable:
    """Returns the table of `trials`, whose run directories lie in `folder`."""
    known = Known() if known is None else known
    gpus, manifest = _gpus(identity, trials, folder, known), Manifest(identity.spec)
    sharers = max((trial.effort.sharers for trial in trials), default=1)
    stay = [
        found[2] if (found := known.rows.get(trial.name)) and found[0] is trial and found[1] == gpus else None
        for trial in trials
    ]
    new = [trial for trial, row in zip(trials, stay, strict=True) if row is None]
    made = iter(_rows(new, identity, folder, gpus, manifest))
    rows = [row or next(made) for row in stay]
    known.rows = {trial.name: (trial, gpus, row) for trial, row in zip(trials, rows, strict=True) if trial.finished}
    if may_go_on(trials, pauses=manifest.pauses):
        rows = [replace(row, reason=told(trial, row.reason)) for trial, row in zip(trials, rows, strict=True)]
    source = origin(manifest, identity.own_spec)
    return TrialTable(
        identity,
        best_first(with_pauses(rows, pauses=manifest.pauses), identity.direction),
        model=manifest.model,
        spec=source,
        budget=budget(manifest, source),
        gpus=gpus if sharers == 1 else gpus / sharers,
        slots=sum(trial.state == "Running" for trial in trials),
        paces=tuple(seconds for row in rows if row.heartbeat and (seconds := row.heartbeat.epoch_seconds)),
    )


def _rows(
    trials: Sequence[Trial], identity: Identity, folder: Path, gpus: int, manifest: Manifest
) -> Iterator[TrialRow]:
    """Yields the row of each trial, with a reason where it ended itself or went on with smaller batches."""
    ours = manifest.trains_ours
    made = (_row(trial, identity, folder / trial.name, gpus, ours) for trial in trials)
    for row in explained(made, manifest, direction=identity.direction):
        yield with_smaller(row, recorded(folder / row.trial))


def _gpus(identity: Identity, trials: Sequence[Trial], folder: Path, known: Known) -> int:
    """Returns the GPUs of one trial: those that the manifest asks for.

    They are none where the engine had none to give, or where a run says that it trained without.
    """
    if not known.config:
        configs = (read_json(folder / trial.name / CONFIG) for trial in trials if trial.name not in known.rows)
        known.config = next(filter(None, configs), {})
    on_cpu = known.config.get("device") == "cpu"
    given = [trial.effort.gpu for trial in trials if trial.effort.gpu is not None]
    return 0 if on_cpu or (given and not any(given)) else Manifest(identity.spec).gpus


def _row(trial: Trial, identity: Identity, folder: Path, gpus: int, ours: bool) -> TrialRow:
    value = trial.value(identity.strategy)
    mixture = _mixture(folder / SUMMARY, f"mixture_{identity.metric}")
    since = trial.effort.started if trial.state == "Running" else None
    # Until the last output, and not until now, because an engine that was killed leaves its trials Running.
    at_work = 0.0 if since is None else seen_for(folder, since)
    return TrialRow(
        trial=trial.name,
        state=trial.state,
        reason=trial.reason,
        assignments=dict(trial.assignments),
        value=value,
        best_epoch=None if value is None else trial.values.index(value) + 1,
        epochs=len(trial.values),
        seconds=trial.effort.seconds + at_work,
        gain=_gain(value, mixture, identity.direction),
        objective=identity.metric,
        metrics=Later(partial(_metrics, trial, identity, folder)),
        reports=trial.values,
        gpu_hours=gpu_hours(trial.effort.held(at_work), gpus),
        node=trial.effort.node,
        restarts=max(trial.effort.starts - 1 - len(trial.pauses), 0),
        pauses=tuple(pause.epoch for pause in trial.pauses),
        wandb=wandb_link(folder),
        started=trial.proposed,
        ended=trial.ended,
        heartbeat=None if since is None else read_heartbeat(folder, since),
        fix=_fix(trial, folder, ours=ours),
    )


def _mixture(summary: Path, name: str) -> float | None:
    """Returns the value of the unprocessed mixtures in the summary of a run; None where it has none."""
    try:
        found = summary.stat(follow_symlinks=False)
    except OSError:
        return None
    return _mixture_of(summary, name, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=1 << 14)
def _mixture_of(summary: Path, name: str, _written: int, _size: int) -> float | None:
    """Returns what `_mixture` does, once for each content: a page that looks every second reads 2 000 of them."""
    return finite(read_json(summary).get(name))


def _gain(value: float | None, mixture: float | None, direction: Direction) -> float | None:
    """Returns how much better `value` is than that of the unprocessed mixture; None where either is missing."""
    if value is None or mixture is None:
        return None
    return direction.sign * (value - mixture)


def _metrics(trial: Trial, identity: Identity, folder: Path) -> Metrics:
    """Returns the objective from the store, with the times and the other metrics that the run has written."""
    metrics = history(read_json(folder / SUMMARY), identity.metric)
    if not metrics:
        manifest = Manifest(identity.spec)
        metrics = printed(folder / OUTPUT, manifest.filters, manifest.metrics)
    times = {point.step: point.time for point in metrics.get(identity.metric, ())}
    metrics[identity.metric] = tuple(
        Point(step, value, times.get(step)) for step, value in enumerate(trial.values, 1) if isfinite(value)
    )
    return metrics


def _fix(trial: Trial, folder: Path, *, ours: bool) -> str:
    """Returns what to do about a trial that failed; empty where it did not."""
    if trial.state == "MetricsUnavailable":
        return f"{folder / OUTPUT} shows the output; `make check` tests the filter"
    if trial.state != "Failed":
        return ""
    if ours and trial.reason.startswith("diverged"):
        return DIVERGENCE.fix
    if ours and trial.reason.startswith(f"exit code {Exit.OUT_OF_MEMORY}:"):
        return OOM_GPU.fix
    if ours and "out of memory" in trial.reason:
        return "lower batch_size in the spec, or run fewer trials at a time (PARALLEL=)"
    return f"{folder / OUTPUT} shows the output"


def _from_runs(folder: Path, error: EngineError) -> tuple[Identity, list[Trial]]:
    """Returns the search according to its manifest and its runs' own files.

    Raises `error` without a manifest, and where trials ran that have written no summary: their values are lost with the
    store, and the search would look as if it had not begun.
    """
    try:
        experiment = load_experiment(read_text(folder / MANIFEST), str(folder / MANIFEST))
    except (OSError, UnicodeDecodeError, SepsweepError):
        raise error from None
    trials = []
    runs = sorted(path.parent for path in folder.glob(f"*/{SUMMARY}") if is_name(path.parent.name))
    if not runs and next(folder.glob(f"*/{OUTPUT}"), None):
        raise error from None
    for number, run in enumerate(runs):
        summary, config = read_json(run / SUMMARY), read_json(run / CONFIG)
        curve = history(summary, experiment.search.metric).get(experiment.search.metric, ())
        end = clean(str(summary.get("state")), 1000)
        state = _ENDS.get(end, "Created")
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
                "" if state == "Succeeded" else f"the run says: {end}",
                values=tuple(point.value for point in curve),
            )
        )
    return experiment.identity(), trials
