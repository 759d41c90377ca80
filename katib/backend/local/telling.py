"""Has the news of a local search told, beside the view that the user sees."""

import time
from collections.abc import Sequence
from pathlib import Path

from katib.backend.local.ending import Halt
from katib.backend.local.live import heartbeats
from katib.backend.local.record import Trial
from katib.backend.local.view import Lines, View
from katib.backend.news import Search, Standing, beginning, ending, news
from katib.manifest.experiment import Experiment
from katib.notify import Notifier

LOOK_SECONDS, LONGEST_SECONDS = 1.0, 60.0
"""The shortest time between two looks at the trials, and the longest where they say nothing."""


class Telling(Lines):
    """A view that shows what another one does, and tells the news by a notifier."""

    def __init__(self, view: View, notifier: Notifier, experiment: Experiment, folder: Path) -> None:
        super().__init__(experiment)
        self._view, self._notifier, self._folder = view, notifier, folder
        self._strategy = experiment.strategy
        search = experiment.search
        self._search = Search(
            experiment.name, experiment.measure, search.direction, search.configurations, pauses=search.pauses
        )
        self._known: dict[str, Standing] | None = None
        self._looked = 0.0
        self.refresh = min(view.refresh or LONGEST_SECONDS, LONGEST_SECONDS)

    def __enter__(self) -> "Telling":
        self._view.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._view.__exit__(None, None, None)

    def say(self, text: str) -> None:
        """Shows the text."""
        self._view.say(text)

    def report(self, trial: Trial, step: int) -> None:
        """Shows the report."""
        self._view.report(trial, step)

    def change(self, trial: Trial) -> None:
        """Shows the change."""
        self._view.change(trial)

    def stopping(self, trial: Trial) -> None:
        """Shows that the trial is stopped."""
        self._view.stopping(trial)

    def show(self, trials: Sequence[Trial]) -> None:
        """Shows the trials, and tells what is new since the last time."""
        self._view.show(trials)
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        now = time.time()
        silences = {name: beat.silence(now) for name, beat in heartbeats(trials, self._folder).items()}
        self._tell({trial.name: self._standing(trial, silences.get(trial.name, "")) for trial in trials})

    def begin(self, trials: Sequence[Trial]) -> None:
        """Tells that the search begins with these trials."""
        self._known = {trial.name: self._standing(trial) for trial in trials}
        self._notifier.tell(beginning(self._search, self._known))

    def end(self, trials: Sequence[Trial], halt: Halt | None) -> None:
        """Tells the last news and that the search has ended, and waits a limited time until all is delivered."""
        now = {trial.name: self._standing(trial) for trial in trials}
        self._tell(now)
        self._notifier.tell(ending(self._search, now, halt.reason if halt else ""))
        self._notifier.close(self._view.say)
        self._complain()

    def _tell(self, now: dict[str, Standing]) -> None:
        for text in news(self._search, self._known or {}, now):
            self._notifier.tell(text)
        self._known = now
        self._complain()

    def _complain(self) -> None:
        if problem := self._notifier.problem():
            self._view.say(f"note: {problem}")

    def _standing(self, trial: Trial, silence: str = "") -> Standing:
        return Standing(trial.state, trial.value(self._strategy), trial.stop or trial.reason, silence)
