"""Reads the configurations of a search, and finds those whose failed trial was asked to run again.

Who asks writes the trial's name into an annotation of the Experiment (katib/manifest/again.py). The configuration goes
on as a trial of its own, as after a pause: with the same assignments, the label sepsweep/continues, and the name
`<first trial>-2`, `-3` …, in the first trial's run directory.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from katib.errors import ClusterError
from katib.search.families import families
from katib.search.next_step import Step
from katib.services.kubernetes_api import KubernetesApi
from katib.services.objects import TrialObject
from katib.services.requests import MOST_TRIALS
from katib.services.stubs import Message
from katib.trial import ENDED, WITHOUT_RESULT, State, state_of

WAIT_SECONDS = 20.0
"""Seconds that a call waits for the end of an ended trial's pod: Katib asks when the trial is marked, a moment before
that, and gives a call a minute. After a refusal it asks again, at once for the first few times."""
END_SECONDS = 180.0
"""Seconds after its mark in which a pod ends, also on a busy node; one that runs on has lost its node, perhaps."""
POLL_SECONDS = 0.5


def deadline() -> float:
    """Returns when a wait that begins now is over, in s on the monotonic clock."""
    return time.monotonic() + WAIT_SECONDS


def wait(left: Callable[[], set[str]], end: float) -> set[str]:
    """Returns what is left at `end`, or sooner once nothing is."""
    while (listed := left()) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return listed


class NothingYetError(ClusterError):
    """Nothing is to be done until a trial reports: Katib asks again later, and whenever a trial ends."""


class KnownTrial(NamedTuple):
    """What counts of a trial, whose object has some 10 KB."""

    assignments: Mapping[str, str]
    state: State
    continues: str
    marked: datetime | None
    """When it was marked as stopped early, or when it has ended."""

    @classmethod
    def of(cls, trial: TrialObject) -> "KnownTrial":
        """Returns it of a Trial object."""
        return cls(trial.assignments, state_of(trial.states), trial.continues, trial.marked or trial.completed)


@dataclass(frozen=True)
class Configurations:
    """The trials of a search by their configurations, as the API server has them now."""

    api: KubernetesApi
    asked: Collection[str]
    """The failed trials that are to run again."""
    trials: Mapping[str, KnownTrial]
    families: Mapping[str, Sequence[str]]
    """The trials of each configuration by the name of its first one."""

    @classmethod
    def read(cls, api: KubernetesApi, experiment: str, asked: Collection[str] = ()) -> "Configurations":
        """Reads the trials of an experiment. Raises ClusterError."""
        trials = {trial.name: KnownTrial.of(trial) for trial in islice(api.trials(experiment), MOST_TRIALS)}
        return cls(api, asked, trials, families({name: trial.continues for name, trial in trials.items()}))

    @property
    def continuations(self) -> int:
        """The number of trials that went on with a configuration of an earlier one."""
        return len(self.trials) - len(self.families)

    def newest(self, trials: Sequence[Message]) -> list[Message]:
        """Returns the `trials` of a request without those with whose configuration a later one of them goes on."""
        known = {trial.name for trial in trials}
        listed = [[name for name in names if name in known] for names in self.families.values()]
        replaced = {name for names in listed for name in names[:-1]}
        return [trial for trial in trials if trial.name not in replaced]

    def reruns(self, count: int, proposed: int) -> list[Step]:
        """Returns the trials that go on with failed ones, at most `count`, after `proposed` trials so far.

        Raises NothingYetError where one of the proposed trials does not exist yet, which may be the one that would be
        proposed again, or where the last pod of a failed trial may end yet.
        """
        due = [
            first
            for first, names in self.families.items()
            if names[-1] in self.asked and self.trials[names[-1]].state in WITHOUT_RESULT
        ][:count]
        if not due:
            return []
        self.require_all(proposed)
        left = wait(lambda: {first for first in due if not self.has_gone(first)}, deadline())
        self.require_ended(left)
        return [self.named(Step(self.trials[first].assignments, continues=first)) for first in due if first not in left]

    def require_ended(self, left: Collection[str]) -> None:
        """Raises NothingYetError where the last pod of one of these configurations may end yet."""
        for first in sorted(left):
            marked = self.trials[self.families[first][-1]].marked
            if marked is not None and (datetime.now(UTC) - marked).total_seconds() < END_SECONDS:
                raise NothingYetError(f"trial '{first}' goes on once its last pod has ended; ask again")

    def require_all(self, proposed: int) -> None:
        """Raises NothingYetError where one of the `proposed` trials does not exist yet."""
        if proposed > len(self.trials):
            # One of them may be the continuation that would be proposed again.
            raise NothingYetError(f"{proposed - len(self.trials)} of the proposed trials do not exist yet; ask again")

    def has_gone(self, first: str) -> bool:
        """Returns whether the newest trial of a configuration and its pods have ended. Raises ClusterError."""
        newest = self.families[first][-1]
        return self.trials[newest].state in ENDED and self.api.has_gone(newest)

    def named(self, step: Step) -> Step:
        """Returns the step with the name of the trial that goes on; a new configuration has one already, or none."""
        if not step.continues:
            return step
        number = len(self.families[step.continues]) + 1
        while f"{step.continues}-{number}" in self.trials:
            number += 1
        return replace(step, trial=f"{step.continues}-{number}")
