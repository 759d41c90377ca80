"""Draws a local search on a terminal: a headline and its trials, redrawn in place; messages scroll by above them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import fmean
from time import time
from types import MappingProxyType, TracebackType

from rich.console import Group
from rich.live import Live

from katib.backend.local.reasons import may_go_on, told
from katib.backend.local.record import Trial
from katib.backend.local.view import Lines, View
from katib.columns import Column, Styled, fit, missing, without_prefix, wrapped
from katib.eta import ends_at, seconds_left, seconds_of_epochs
from katib.heartbeat import Heartbeat, read_heartbeat
from katib.manifest.experiment import Experiment
from katib.manifest.gpu_hours import gpu_hours
from katib.manifest.object import Manifest
from katib.terminal import MARGIN, STATES, Output, assembled, output
from katib.text import duration, short, with_unit
from katib.trial import WITHOUT_RESULT, shown

REFRESH_SECONDS = 1.0
FEWEST = 3
"""The number of trials that are shown even on a low terminal."""


def view(experiment: Experiment, folder: Path, *, slots: int, gpu: bool) -> View:
    """Returns the live table on a terminal, lines elsewhere. `slots` trials run at a time, each with a GPU or not.

    Their run directories lie in `folder`.
    """
    out = output()
    return LiveTable(experiment, out, folder, slots=slots, gpu=gpu) if out.live else Lines(experiment)


class LiveTable(Lines):
    """Draws the trials on a terminal."""

    refresh = REFRESH_SECONDS

    def __init__(self, experiment: Experiment, out: Output, folder: Path, *, slots: int, gpu: bool) -> None:
        super().__init__(experiment)
        self._folder = folder
        self._out, self._slots, self._gpu = out, slots, gpu
        self._live = Live(console=out.console, auto_refresh=False, transient=True)

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Prints the text above the table."""
        self._out.words(text)

    def report(self, trial: Trial, step: int) -> None:
        """Prints nothing, since the table shows the report."""

    def stopping(self, trial: Trial) -> None:
        """Prints nothing, since the table shows the reason."""

    def change(self, trial: Trial) -> None:
        """Prints only what went wrong, since the table shows the state."""
        tried_again = trial.state == "Created" and trial.effort.failures > 0 and "; try " in trial.reason
        if trial.state in WITHOUT_RESULT or tried_again:
            super().change(trial)

    def show(self, trials: Sequence[Trial]) -> None:
        """Draws the table as it is now."""
        width, height = self._out.size
        lines = picture(
            trials,
            self._experiment,
            width=width - MARGIN,
            height=height - 1,
            now=time(),
            slots=self._slots,
            gpu=self._gpu,
            beats=heartbeats(trials, self._folder),
        )
        self._live.update(Group(*(assembled(line) for line in lines)), refresh=True)


def heartbeats(trials: Sequence[Trial], folder: Path) -> dict[str, Heartbeat]:
    """Returns how far the running trials are within their epochs, by name, as far as their trainers say so."""
    running = [trial for trial in trials if trial.state == "Running"]
    found = ((trial.name, read_heartbeat(folder / trial.name, trial.effort.started or 0.0)) for trial in running)
    return {name: beat for name, beat in found if beat is not None}


def picture(
    trials: Sequence[Trial],
    experiment: Experiment,
    *,
    width: int,
    height: int,
    now: float,
    slots: int,
    gpu: bool,
    beats: Mapping[str, Heartbeat] = MappingProxyType({}),
) -> list[Sequence[Styled]]:
    """Returns the lines of the headline and of as many trials as fit: those that run come first, then the best."""
    start = f"{experiment.name}-"
    prefix, _ = without_prefix([trial.name for trial in trials], start)
    head = wrapped(headline(trials, experiment, now, slots=slots, gpu=gpu, beats=beats), width)
    head += wrapped(f"trials {prefix}*", width) if prefix not in ("", start) else []
    ordered = sorted(trials, key=lambda trial: _rank(trial, experiment))
    goes_on = may_go_on(trials, pauses=experiment.search.pauses)
    number = len(ordered)
    while True:
        table = fit(_columns(ordered[:number], experiment, prefix, now, beats), width)
        below = [
            line
            for text in (_rest(ordered[number:], may_go_on=goes_on), missing(table.left_out, "", width))
            if text
            for line in wrapped(text, width)
        ]
        over = len(head) + len(table.lines) + len(below) - height
        if over <= 0 or number <= FEWEST:
            break
        number = max(FEWEST, number - over)
    return [
        *([(line, "bold")] for line in head),
        *table.lines,
        *([(line, "dim")] for line in below),
    ]


def headline(
    trials: Sequence[Trial],
    experiment: Experiment,
    now: float,
    *,
    slots: int,
    gpu: bool,
    beats: Mapping[str, Heartbeat] = MappingProxyType({}),
) -> str:
    """Returns `series3-dprnn: 3 of 25 trials, best 3.20 dB, 41 GPU-hours, ends Sat 14:05`."""
    ended = [trial for trial in trials if trial.finished]
    planned = f" of {experiment.search.configurations}" if experiment.search.configurations else ""
    parts = [f"{experiment.name}: {len(ended)}{planned} trials"]
    failed = sum(trial.state in WITHOUT_RESULT for trial in ended)
    parts += [f"{failed} failed"] if failed else []
    values = [value for trial in trials if (value := trial.value(experiment.strategy)) is not None]
    if (best := experiment.search.direction.best(values)) is not None:
        parts.append(f"best {with_unit(best, experiment.measure)}")
    spent = sum(_seconds(trial, now) for trial in trials)
    if gpu:
        held = sum(trial.effort.held(_running(trial, now)) for trial in trials)
        hours = gpu_hours(held, Manifest(experiment.spec).gpus)
        parts.append(f"{hours:.{0 if hours >= 10 else 2}f} GPU-hours")
    elif spent:
        parts.append(f"{duration(spent)} of training")
    done = [trial.effort.seconds for trial in ended if trial.state not in WITHOUT_RESULT]
    if done and experiment.search.configurations:
        left = _seconds_left(trials, experiment, fmean(done), now, slots=slots)
        parts.append(f"ends {ends_at(left, datetime.fromtimestamp(now).astimezone())}")
    elif experiment.search.configurations and (each := _pace(experiment, beats)):
        left = _seconds_left(trials, experiment, each, now, slots=slots)
        parts.append(f"at this pace ends {ends_at(left, datetime.fromtimestamp(now).astimezone())} at the latest")
    return ", ".join(parts)


def _pace(experiment: Experiment, beats: Mapping[str, Heartbeat]) -> float | None:
    """Returns the seconds that a trial takes by what is measured within the current epochs; None before that."""
    each = [beat.epoch_seconds * beat.epochs for beat in beats.values() if beat.epoch_seconds]
    return fmean(each) if each else None


def _seconds_left(trials: Sequence[Trial], experiment: Experiment, each: float, now: float, *, slots: int) -> float:
    """Returns the seconds until the search ends if a trial takes `each` of them.

    With promote, where many trials are short, each epoch is expected to take as long as so far.
    """
    running = [trial for trial in trials if not trial.finished]
    configurations, epochs = experiment.search.configurations or 0, sum(len(trial.values) for trial in trials)
    if (most := Manifest(experiment.spec).epochs_each) is not None and epochs:
        spent = sum(_seconds(trial, now) for trial in trials)
        return seconds_of_epochs(configurations * most - epochs, spent / epochs, len(running), slots)
    begun = [_seconds(trial, now) for trial in running]
    return seconds_left(each, begun, max(0, configurations - len(trials)), slots)


def _columns(
    trials: Sequence[Trial], experiment: Experiment, prefix: str, now: float, beats: Mapping[str, Heartbeat]
) -> list[Column]:
    goes_on = may_go_on(trials, pauses=experiment.search.pauses)
    states = [shown(trial.state, begun=trial.effort.starts > 0, may_go_on=goes_on) for trial in trials]
    values = [trial.value(experiment.strategy) for trial in trials]
    best = ["" if value is None else with_unit(value, experiment.measure) for value in values]
    spent = [_seconds(trial, now) for trial in trials]
    done = [(beats.get(trial.name), len(trial.values)) for trial in trials]
    epochs = [beat.epochs_after(finished) if beat else str(finished or "") for beat, finished in done]
    columns = [
        Column("trial", [trial.name.removeprefix(prefix) for trial in trials]),
        Column("state", states, 1, styles=[STATES[state] for state in states]),
        Column("epoch", epochs, 3, right=True),
        Column("best", best, 2, right=True),
        Column("time", [duration(seconds) if seconds else "" for seconds in spent], 4, right=True),
    ]
    for name in dict.fromkeys(name for trial in trials for name in trial.assignments):
        cells = [short(trial.assignments.get(name, "")) for trial in trials]
        columns.append(Column(name, cells, 5, right=True))
    reasons = [trial.stop or trial.reason for trial in trials]
    if goes_on:
        reasons = [told(trial, reason) for trial, reason in zip(trials, reasons, strict=True)]
    silences = [beat.silence(now) if beat else "" for beat, _ in done]
    reasons = [reason or silence for reason, silence in zip(reasons, silences, strict=True)]
    return [*columns, Column("reason", reasons, 6)] if any(reasons) else columns


def _rank(trial: Trial, experiment: Experiment) -> tuple[int, float]:
    """Returns the key of an order: trials that run, trials that wait, then the best."""
    value = trial.value(experiment.strategy)
    if trial.state in ("Running", "Created"):
        return (0 if trial.state == "Running" else 1, 0.0)
    return (3, 0.0) if value is None else (2, -experiment.search.direction.sign * value)


def _rest(trials: Sequence[Trial], *, may_go_on: bool) -> str:
    """Returns `and 170 more: 150 Succeeded, 20 Failed`; empty where no trial is left out."""
    states = Counter(shown(trial.state, begun=trial.effort.starts > 0, may_go_on=may_go_on) for trial in trials)
    counts = ", ".join(f"{number} {state}" for state, number in states.items())
    return f"and {len(trials)} more: {counts}" if trials else ""


def _seconds(trial: Trial, now: float) -> float:
    return trial.effort.seconds + _running(trial, now)


def _running(trial: Trial, now: float) -> float:
    running = trial.state == "Running" and trial.effort.started is not None
    return max(0.0, now - (trial.effort.started or 0.0)) if running else 0.0
