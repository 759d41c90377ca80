"""What the user sees of a local search: a live table on a terminal, one line an event elsewhere. Called by the engine."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from time import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from katib.experiment import Experiment
from katib.local.record import State, Trial
from katib.text import count as count
from katib.text import with_unit as with_unit

REFRESH_SECONDS = 1.0
STYLES: dict[State, str] = {
    "Created": "dim",
    "Running": "cyan",
    "Succeeded": "green",
    "EarlyStopped": "yellow",
    "Failed": "red",
    "MetricsUnavailable": "red",
}
PLACES: tuple[State, ...] = (
    "Running",
    "Created",
    "Succeeded",
    "EarlyStopped",
    "Failed",
    "MetricsUnavailable",
)


class View(AbstractContextManager["View"], Protocol):
    """Where the engine tells what happens."""

    refresh: float | None
    """Seconds after which it wants to be shown the trials again; None: only when something happens."""

    def say(self, text: str) -> None:
        """Something about the search as a whole."""

    def report(self, trial: Trial, step: int) -> None:
        """`trial` has reported `step`."""

    def change(self, trial: Trial) -> None:
        """`trial` has another state."""

    def stopping(self, trial: Trial) -> None:
        """`trial` has been asked to save and end, for good."""

    def show(self, trials: Sequence[Trial]) -> None:
        """All trials as they are now."""


class Lines:
    """One line an event, for a log file or a pipe."""

    refresh: float | None = None

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def __enter__(self) -> "Lines":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def say(self, text: str) -> None:
        """The line as it is."""
        print(text, flush=True)

    def report(self, trial: Trial, step: int) -> None:
        """`trial demo-ab12cd34  epoch 3  val_si_snr 1.23 dB`."""
        metric = self._experiment.metric
        self.say(f"trial {trial.name}  epoch {step}  {metric} {with_unit(trial.values[step - 1], metric)}")

    def change(self, trial: Trial) -> None:
        """`trial demo-ab12cd34  Succeeded  after 10 epochs in 35 s, best val_si_snr 1.23 dB`."""
        self.say(f"trial {trial.name}  {trial.state}  {story(trial, self._experiment)}".rstrip())

    def stopping(self, trial: Trial) -> None:
        """`trial demo-ab12cd34  stopping  best of epoch 4, ...`."""
        self.say(f"trial {trial.name}  stopping  {trial.stop}")

    def show(self, trials: Sequence[Trial]) -> None:
        """Nothing: each change had its line."""


class LiveTable(Lines):
    """The trials as a table that is drawn anew; what concerns the whole search scrolls by above it."""

    refresh = REFRESH_SECONDS

    def __init__(self, experiment: Experiment, console: Console) -> None:
        super().__init__(experiment)
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> "LiveTable":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """Above the table."""
        self._console.print(text, markup=False, highlight=False)

    def report(self, trial: Trial, step: int) -> None:
        """The table shows it."""

    def stopping(self, trial: Trial) -> None:
        """The table at the end has the reason."""

    def change(self, trial: Trial) -> None:
        """The table shows the state; only what went wrong is kept in sight."""
        if trial.state in ("Failed", "MetricsUnavailable"):
            super().change(trial)

    def show(self, trials: Sequence[Trial]) -> None:
        """Running ones first."""
        # A terminal shows no more than it has lines; what does not fit its width is cut off the settings alone.
        fitting = sorted(trials, key=lambda trial: PLACES.index(trial.state))[
            : max(3, self._console.height - 3)
        ]
        name = max((len(trial.name) for trial in fitting), default=0)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("trial", no_wrap=True, min_width=name)
        table.add_column("state", no_wrap=True, min_width=max(map(len, STYLES)))
        for heading, width in (("epoch", 5), ("best", 9), ("time", 9)):
            table.add_column(heading, justify="right", no_wrap=True, min_width=width)
        table.add_column("", no_wrap=True)
        for trial in fitting:
            value = trial.value(self._experiment.strategy)
            best = "" if value is None else with_unit(value, self._experiment.metric)
            settings = "  ".join(f"{key} {short(text)}" for key, text in trial.assignments.items())
            state = f"[{STYLES[trial.state]}]{trial.state}[/]"
            table.add_row(
                trial.name, state, str(len(trial.values) or ""), best, _time(trial), escape(settings)
            )
        self._live.update(table, refresh=True)


def view(experiment: Experiment) -> View:
    """The live table where there is a terminal to draw it on, lines elsewhere."""
    console = Console()
    return LiveTable(experiment, console) if console.is_terminal else Lines(experiment)


def story(trial: Trial, experiment: Experiment) -> str:
    """What there is to say of a trial's state: its settings as it begins, how it went as it ends."""
    if trial.state == "Created" and not trial.reason:
        return ", ".join(f"{name} {short(text)}" for name, text in trial.assignments.items())
    parts = [trial.reason] if trial.reason and trial.reason != trial.stop else []
    if trial.finished:
        parts.append(f"{count(len(trial.values), 'epoch')} in {duration(trial.effort.seconds)}")
        value = trial.value(experiment.strategy)
        if value is not None:
            parts.append(f"best {experiment.metric} {with_unit(value, experiment.metric)}")
    elif trial.values:
        parts.append(f"goes on after epoch {len(trial.values)}")
    return ", ".join(parts)


def short(text: str) -> str:
    """A number to four digits, for reading; anything else as it is."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text


def duration(seconds: float) -> str:
    """`35 s`, `12 min`, `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def _time(trial: Trial) -> str:
    running = trial.state == "Running" and trial.effort.started is not None
    spent = trial.effort.seconds + (max(0.0, time() - (trial.effort.started or 0)) if running else 0)
    return duration(spent) if spent else ""
