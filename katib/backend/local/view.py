"""Shows the events of a local search, here as lines for a log file or a pipe; live.py draws them on a terminal."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from katib.backend.local.record import Trial
from katib.manifest.experiment import Experiment
from katib.text import count, duration, settings_text, with_unit


class View(AbstractContextManager["View"], Protocol):
    """The user's view of a search, to which the engine reports."""

    refresh: float | None
    """The seconds after which it has to be shown the trials again; None: only when something happens."""

    def say(self, text: str) -> None:
        """Shows a message about the search as a whole."""

    def report(self, trial: Trial, step: int) -> None:
        """Shows that `trial` has reported `step`."""

    def change(self, trial: Trial) -> None:
        """Shows that `trial` has another state."""

    def stopping(self, trial: Trial) -> None:
        """Shows that `trial` is stopped early."""

    def show(self, trials: Sequence[Trial]) -> None:
        """Shows all trials as they are now."""


class Lines:
    """Prints one line per event, for a log file or a pipe."""

    refresh: float | None = None

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *exception: object) -> None:
        """Does nothing: a line needs no end."""

    def say(self, text: str) -> None:
        """Prints the text."""
        print(text, flush=True)

    def report(self, trial: Trial, step: int) -> None:
        """Prints `trial demo-ab12cd34  epoch 3  val_si_snr 1.23 dB`."""
        metric = self._experiment.measure
        self.say(f"trial {trial.name}  epoch {step}  {metric} {with_unit(trial.values[step - 1], metric)}")

    def change(self, trial: Trial) -> None:
        """Prints `trial demo-ab12cd34  Succeeded  10 epochs in 35 s, best val_si_snr 1.23 dB`."""
        self.say(f"trial {trial.name}  {trial.state}  {story(trial, self._experiment)}".rstrip())

    def stopping(self, trial: Trial) -> None:
        """Prints `trial demo-ab12cd34  stopping  best of epoch 4, ...`, or `pausing` where it may go on."""
        self.say(f"trial {trial.name}  {'pausing' if self._experiment.search.pauses else 'stopping'}  {trial.stop}")

    def show(self, trials: Sequence[Trial]) -> None:
        """Prints nothing, since each change had its line."""


def story(trial: Trial, experiment: Experiment) -> str:
    """Returns the details of a trial's state: its settings when it starts, and how it went when it ends."""
    if trial.state == "Created" and not trial.reason:
        return settings_text(trial.assignments)
    parts = [trial.reason] if trial.reason and trial.reason != trial.stop else []
    if trial.finished:
        parts.append(f"{count(len(trial.values), 'epoch')} in {duration(trial.effort.seconds)}")
        value = trial.value(experiment.strategy)
        if value is not None:
            parts.append(f"best {experiment.search.metric} {with_unit(value, experiment.measure)}")
    elif trial.values:
        parts.append(f"resumes after epoch {len(trial.values)}")
    return ", ".join(parts)
