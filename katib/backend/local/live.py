"""Draws a local search on a terminal: a headline and its trials, redrawn in place; messages scroll by above them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from time import monotonic, time
from types import MappingProxyType

from rich.console import Group
from rich.live import Live

from katib.backend.local.reasons import may_go_on, told
from katib.backend.local.record import Trial
from katib.backend.local.view import Lines, View
from katib.columns import HEADING_LINES, MISSING_LINES, Column, Styled, fit, missing, without_prefix, wrapped
from katib.eta import ends_at, seconds_left, seconds_of_epochs
from katib.heartbeat import Heartbeat, read_heartbeat
from katib.manifest.experiment import Experiment
from katib.manifest.gpu_hours import gpu_hours
from katib.manifest.object import Manifest
from katib.sparkline import sparklines
from katib.terminal import MARGIN, PAGE_SECONDS, STATES, Output, assembled, output
from katib.text import counted, duration, short, with_unit
from katib.trial import WITHOUT_RESULT, shown

REFRESH_SECONDS = 1.0
FEWEST = 3
"""The number of trials that are shown even on a low terminal."""
MOST_SILENT, REASON = 2, "reason"


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
        self._live, self._begun = Live(console=out.console, auto_refresh=False, transient=True), monotonic()

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
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
            page=int((monotonic() - self._begun) / PAGE_SECONDS),
            blocks=self._out.blocks,
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
    page: int = 0,
    blocks: bool = True,
) -> list[Sequence[Styled]]:
    """Returns the lines of the headline and of the trials: those that run come first, then the best.

    Where not all fit, those that run stay, and the others are shown in pages, of which `page` counts up. `blocks` says
    whether curves can be drawn.
    """
    start = f"{experiment.name}-"
    prefix, _ = without_prefix([trial.name for trial in trials], start)
    head = wrapped(headline(trials, experiment, now, slots=slots, gpu=gpu, beats=beats), width)
    head += wrapped(f"trials {prefix}*", width) if prefix not in ("", start) else []
    ordered = sorted(trials, key=lambda trial: _rank(trial, experiment))
    curves = sparklines([trial.values for trial in ordered], maximize=experiment.search.direction.sign > 0)
    drawn = dict(zip((trial.name for trial in ordered), curves, strict=True)) if blocks else {}
    silent = [line for text in _silent(ordered, prefix, now, beats) for line in wrapped(text, width)]

    def laid(rows: Sequence[Trial], rest: str) -> list[Sequence[Styled]]:
        table = fit(_columns(rows, experiment, prefix, now, beats, drawn), width)
        texts = filter(None, (rest, missing(table.left_out, "", width)))
        below = [line for text in texts for line in wrapped(text, width)]
        below = [*(silent if REASON in table.left_out else ()), *below]
        return [*([(line, "bold")] for line in head), *table.lines, *([(line, "dim")] for line in below)]

    everything = laid(ordered, "") if len(ordered) + len(head) < height else []
    if everything and len(everything) <= height:
        return everything
    goes_on = may_go_on(trials, pauses=experiment.search.pauses)
    # The same number on each page, however many lines its heading takes, so that no trial is left out.
    foot = len(wrapped(_rest(ordered, may_go_on=goes_on, page=0, pages=len(ordered)), width))
    number = max(FEWEST, height - len(head) - HEADING_LINES - MISSING_LINES - foot - len(silent))
    rows, hidden, pages = _turned(ordered, number, page)
    return laid(rows, _rest(hidden, may_go_on=goes_on, page=page % pages, pages=pages))


def _turned(ordered: Sequence[Trial], number: int, page: int) -> tuple[list[Trial], list[Trial], int]:
    """Returns the `number` trials of a page, those that are not on it, and how many pages there are."""
    stay = min(sum(trial.state == "Running" for trial in ordered), number // 2)
    turn = number - stay
    pages = max(1, -(-(len(ordered) - stay) // turn))
    begin = stay + page % pages * turn
    return [*ordered[:stay], *ordered[begin : begin + turn]], [*ordered[stay:begin], *ordered[begin + turn :]], pages


def headline(
    trials: Sequence[Trial],
    experiment: Experiment,
    now: float,
    *,
    slots: int,
    gpu: bool,
    beats: Mapping[str, Heartbeat] = MappingProxyType({}),
) -> str:
    """Returns `dprnn: 3 of 25 trials ended, 2 running, best 3.20 dB, 41 of about 269 GPU-hours, ends Sat 14:05`."""
    ended, planned = [trial for trial in trials if trial.finished], experiment.search.configurations
    parts = [f"{experiment.name}: {len(ended)}{f' of {planned}' if planned else ''} trials ended"]
    running = sum(trial.state == "Running" for trial in trials)
    failed = sum(trial.state in WITHOUT_RESULT for trial in ended)
    parts += [f"{running} running"] if running else []
    parts += [f"{failed} failed"] if failed else []
    paused = sum(trial.state == "EarlyStopped" for trial in ended)
    parts += [f"{paused} paused"] if paused and may_go_on(trials, pauses=experiment.search.pauses) else []
    values = [value for trial in trials if (value := trial.value(experiment.strategy)) is not None]
    if (best := experiment.search.direction.best(values)) is not None:
        parts.append(f"best {with_unit(best, experiment.measure)}")
    parts += _spent(trials, experiment, now, gpu=gpu)
    done = [trial.effort.seconds for trial in ended if trial.state not in WITHOUT_RESULT]
    if done and planned:
        left = _seconds_left(trials, experiment, fmean(done), now, slots=slots)
        parts.append(f"ends {ends_at(left, now)}")
    elif planned and (each := _pace(experiment, beats)):
        left = _seconds_left(trials, experiment, each, now, slots=slots)
        parts.append(f"at this pace ends {ends_at(left, now)} at the latest")
    return ", ".join(parts)


def _spent(trials: Sequence[Trial], experiment: Experiment, now: float, *, gpu: bool) -> list[str]:
    """Returns the GPU-hours so far, of the budget or of what the ended trials let expect; else the training time."""
    seconds = sum(_seconds(trial, now) for trial in trials)
    if not gpu:
        return [f"{duration(seconds)} of training"] if seconds else []
    manifest, planned = Manifest(experiment.spec), experiment.search.configurations
    hours = gpu_hours(sum(trial.effort.held(_running(trial, now)) for trial in trials), manifest.gpus)
    done = [trial.effort.held(0.0) for trial in trials if trial.finished and trial.state not in WITHOUT_RESULT]
    most = ""
    if experiment.gpu_hours is not None:
        most = f" of {experiment.gpu_hours:g}"
    elif done and planned and not experiment.search.pauses:
        expected = gpu_hours(fmean(done) * planned, manifest.gpus)
        most = f" of about {expected:.{0 if expected >= 10 else 2}f}" if expected > hours else ""
    return [f"{hours:.{0 if hours >= 10 else 2}f}{most} GPU-hours"]


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
    trials: Sequence[Trial],
    experiment: Experiment,
    prefix: str,
    now: float,
    beats: Mapping[str, Heartbeat],
    curves: Mapping[str, str],
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
    drawn = [curves.get(trial.name, "") for trial in trials]
    columns += [Column("curve", drawn, 5)] if any(drawn) else []
    for name in dict.fromkeys(name for trial in trials for name in trial.assignments):
        cells = [short(trial.assignments.get(name, "")) for trial in trials]
        columns.append(Column(name, cells, 6, right=True))
    reasons = [trial.stop or trial.reason for trial in trials]
    if goes_on:
        reasons = [told(trial, reason) for trial, reason in zip(trials, reasons, strict=True)]
    quiet = _silences(trials, now, beats)
    reasons = [reason or quiet.get(trial.name, "") for trial, reason in zip(trials, reasons, strict=True)]
    return [*columns, Column(REASON, reasons, 7)] if any(reasons) else columns


def _silences(trials: Sequence[Trial], now: float, beats: Mapping[str, Heartbeat]) -> dict[str, str]:
    """Returns what is told of each trial that takes no steps, by name."""
    known = [(trial.name, beats[trial.name].silence(now)) for trial in trials if trial.name in beats]
    return {name: silence for name, silence in known if silence}


def _silent(trials: Sequence[Trial], prefix: str, now: float, beats: Mapping[str, Heartbeat]) -> list[str]:
    """Returns the lines about trials that take no steps, where the column of reasons does not fit."""
    told = [f"{name.removeprefix(prefix)}: {silence}" for name, silence in _silences(trials, now, beats).items()]
    return [
        *told[:MOST_SILENT],
        *([f"and {len(told) - MOST_SILENT} more, silent too"] if len(told) > MOST_SILENT else []),
    ]


def _rank(trial: Trial, experiment: Experiment) -> tuple[int, float]:
    """Returns the key of an order: trials that run, trials that wait, then the best."""
    value = trial.value(experiment.strategy)
    if trial.state in ("Running", "Created"):
        return (0 if trial.state == "Running" else 1, 0.0)
    return (3, 0.0) if value is None else (2, -experiment.search.direction.sign * value)


def _rest(trials: Sequence[Trial], *, may_go_on: bool, page: int, pages: int) -> str:
    """Returns `and 170 more: 150 Succeeded, 20 Failed; page 1 of 12, next in 10 s`."""
    counts = counted(shown(trial.state, begun=trial.effort.starts > 0, may_go_on=may_go_on) for trial in trials)
    return f"and {len(trials)} more: {counts}; page {page + 1} of {pages}, next in {PAGE_SECONDS:.0f} s"


def _seconds(trial: Trial, now: float) -> float:
    return trial.effort.seconds + _running(trial, now)


def _running(trial: Trial, now: float) -> float:
    running = trial.state == "Running" and trial.effort.started is not None
    return max(0.0, now - (trial.effort.started or 0.0)) if running else 0.0
