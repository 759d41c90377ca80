"""What a place that runs searches offers: the table and the manifest of an experiment, a page that shows it, and runs.

The verbs ask for their backend once (katib/backend/choice.py) and go through `Backend` from there on, so that another
place to run searches is one more class, and no verb changes.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from katib.errors import SepsweepError
from katib.table.trial_table import TrialTable


class Page(Protocol):
    """A page that is served on this machine."""

    @property
    def title(self) -> str:
        """Its address, behind the name of the experiment where that was not asked for."""

    @property
    def notes(self) -> Sequence[str]:
        """What whoever opens it should know."""

    def serve(self) -> None:
        """Serves it until Ctrl-C. Raises ClusterError where the connection is lost."""


@dataclass(frozen=True)
class RunResult:
    """How a run went: the exit code of the verb that started it, and its trials where it was waited for."""

    code: int = 0
    table: TrialTable | None = None


class PreparedRun(Protocol):
    """An Experiment that is ready to run: it is shown first, then the user is asked, then it runs."""

    @property
    def question(self) -> str:
        """What the user is asked."""

    @property
    def retries(self) -> bool:
        """Whether trials that have failed are to run again."""

    def show(self) -> None:
        """Prints what it will do and cost. Raises SepsweepError where it could not run."""

    def run(self) -> RunResult:
        """Runs it: to its end on this machine; on a cluster, until the cluster has taken it over."""


class Backend(Protocol):
    """Where searches run and their results are."""

    @property
    def error(self) -> type[SepsweepError]:
        """What it raises where an experiment is missing or not the expected one."""

    def has(self, experiment: str) -> bool:
        """Returns whether there is an experiment of this name."""

    def begun(self, experiment: str) -> bool:
        """Returns whether there is a record of trials of `experiment`, so that it has a table."""

    def settled(self, experiment: str) -> bool:
        """Returns whether `experiment` stays as it is; until then, another one of its name may take its place."""

    def table(self, experiment: str) -> TrialTable:
        """Returns the trial table of `experiment`. Raises SepsweepError where it is not there or cannot be read."""

    def manifest(self, experiment: str) -> str | None:
        """Returns the Experiment manifest that `experiment` runs or ran with, as text; None where there is none."""

    def prepare(
        self, name: str, manifest: str, search: str, data: Path | None, *, named: bool = False
    ) -> PreparedRun | None:
        """Returns the run of the Experiment `name`, which follows from `search`; None where it is already running.

        `data` is the corpus; by default the one that the search was trained on. `named` says that the manifest comes
        from a file that the user has named, and so may run any program.
        """

    def again(self, word: str, data: Path | None, *, every: bool) -> PreparedRun:
        """Returns the run of the failed trial `word`, or of `every` failed trial of the experiment `word`.

        Each goes on from its checkpoint and stays one row of its table. Raises SepsweepError where there is none.
        """

    def run_directory(self, experiment: str, trial: str) -> AbstractContextManager[Path]:
        """Yields the run directory of a trial, or a copy of what describes its model: weights, settings, scores.

        Raises SepsweepError where it cannot be read.
        """

    def corpus_check(self) -> str:
        """Returns what is known of the check of the corpus that searches find there; empty where each is told its own.

        Raises SepsweepError where the place cannot be reached.
        """

    @property
    def look_seconds(self) -> float:
        """How often a look at an experiment may show something new, in s."""

    def experiments(self) -> Sequence[str]:
        """Returns the names of its experiments, the latest first. Raises SepsweepError where it cannot be reached."""

    def version(self, experiment: str) -> str | None:
        """Returns a text that is another one once `experiment` may have changed; None where only its table tells."""

    def halted(self, experiment: str) -> str:
        """Returns why a search with trials under way stands still, and how it goes on; empty where it does not."""

    def last_lines(self, experiment: str, trial: str, most: int) -> Sequence[str]:
        """Returns at most so many of the last lines that a trial has printed; none where they are gone."""

    def page(self, experiment: str | None, port: int) -> AbstractContextManager[Page]:
        """Returns the page of `experiment`, or of the latest one or of all, at `port` of this machine."""
