"""What a place that runs searches offers: the table and the manifest of an experiment, and a page that shows it.

The verbs ask for their backend once (katib/backend/choice.py) and go through `Backend` from there on, so that another
place to run searches is one more class, and no verb changes.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

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


class Backend(Protocol):
    """Where searches run and their results are."""

    def has(self, experiment: str) -> bool:
        """Returns whether there is an experiment of this name."""

    def table(self, experiment: str) -> TrialTable:
        """Returns the trial table of `experiment`. Raises SepsweepError where it is not there or cannot be read."""

    def manifest(self, experiment: str) -> str | None:
        """Returns the Experiment manifest that `experiment` runs or ran with, as text; None where there is none."""

    def page(self, experiment: str | None, port: int) -> AbstractContextManager[Page]:
        """Returns the page of `experiment`, or of the latest one or of all, at `port` of this machine."""
