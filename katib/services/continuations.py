"""Finds the next trials of a search with the stop rule promote: new configurations, or continuations of paused ones.

On Katib a continuation is a trial of its own: with the assignments of the paused one, the name of the configuration's
first trial in the label sepsweep/continues, and `<that name>-2`, `-3` … as its name. Its pod trains in the first
trial's run directory, so it is proposed only when no pod of an earlier one is left.

The trials come from the API server: a request of Katib has no labels, and lacks trials without metrics.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple

from katib.errors import ClusterError
from katib.manifest.search import Search
from katib.search.families import families, joined
from katib.search.history import OUTCOMES, Observation
from katib.search.next_step import Step, next_steps, room_for
from katib.search.promotion import Promote
from katib.search.sampler import Sampler
from katib.search.stopping import Curve
from katib.services.kubernetes_api import KubernetesApi
from katib.services.objects import TrialObject
from katib.services.observations import observation_logs
from katib.services.requests import MOST_TRIALS
from katib.trial import ENDED, Direction, State, state_of

WAIT_SECONDS = 20.0
"""Seconds that a call waits for the end of a paused trial's pod: Katib asks when the trial is marked, a moment before
that, and gives a call a minute. After a refusal it asks again, at once for the first few times."""
END_SECONDS = 180.0
"""Seconds after its mark in which a pod ends, also on a busy node; one that runs on has lost its node, perhaps."""
POLL_SECONDS = 0.5


class NothingYetError(ClusterError):
    """Nothing is to be done until a trial reports: Katib asks again later, and whenever a trial ends."""


@dataclass(frozen=True)
class Continuations:
    """The configurations of a search, as the API server and the DB manager have them now."""

    api: KubernetesApi
    rule: Promote
    sampler: Sampler
    trials: "Mapping[str, _Trial]"
    families: Mapping[str, Sequence[str]]
    """The trials of each configuration by the name of its first one."""
    observations: Sequence[Observation]

    @classmethod
    def read(
        cls, search: Search, rule: Promote, sampler: Sampler, api: KubernetesApi, db_manager: str
    ) -> "Continuations":
        """Reads the trials of a search. Raises ClusterError, or AWAY where the DB manager does not answer."""
        trials = {trial.name: _Trial.of(trial) for trial in islice(api.trials(search.name), MOST_TRIALS)}
        curves = observation_logs(db_manager).curves(trials, search.metric)
        listed = families({name: trial.continues for name, trial in trials.items()})
        observations = [
            _observation(first, [(trials[name], curves[name]) for name in names], search.direction)
            for first, names in listed.items()
        ]
        return cls(api, rule, sampler, trials, listed, observations)

    def next(self, count: int, proposed: int, earlier: Sequence[Observation] = ()) -> list[Step]:
        """Returns the next `count` steps; fewer only where the space has no untried point left.

        `proposed` is the number of trials that were proposed so far. Raises NothingYetError where fewer are to be done
        until a trial reports: Katib takes exactly `count`, or none.
        """
        if proposed > len(self.trials):
            # One of them may be the continuation that would be proposed again.
            raise NothingYetError(f"{proposed - len(self.trials)} of the proposed trials do not exist yet; ask again")
        known = self._with_pods(count)
        room, names = room_for(self.rule, len(self.families), None), self.trials.keys()
        steps = next_steps(self.sampler, self.rule, known, count, room=room, earlier=earlier, names=names)
        if len(steps) < count:
            steps += islice(self._others(known, steps), count - len(steps))
        if len(steps) < count:
            points = self.sampler.propose(known, count - len(steps), earlier=earlier, names=names)
            steps += [Step(point, trial=self.sampler.trial_name(point)) for point in points]
        return [self._named(step) for step in steps]

    def _with_pods(self, count: int) -> list[Observation]:
        """Returns the configurations; a paused one that is to go on, and whose pod does not end, counts as running.

        Raises NothingYetError while a pod may end yet.
        """
        known = list(self.observations)
        end = time.monotonic() + WAIT_SECONDS
        while True:
            going_on = next_steps(self.sampler, self.rule, known, count, room=0)
            left = {step.continues for step in going_on if not self._has_gone(step.continues)}
            if not left:
                return known
            if time.monotonic() < end:
                time.sleep(POLL_SECONDS)
                continue
            if ending := sorted(first for first in left if self._may_end(first)):
                raise NothingYetError(f"trial '{ending[0]}' goes on once its last pod has ended; ask again")
            known = [replace(each, outcome="running") if each.name in left else each for each in known]

    def _may_end(self, first: str) -> bool:
        """Returns whether the newest trial of a configuration was marked so short ago that its pod may end yet."""
        marked = self.trials[self.families[first][-1]].marked
        return marked is not None and (datetime.now(UTC) - marked).total_seconds() < END_SECONDS

    def _others(self, known: Sequence[Observation], steps: Sequence[Step]) -> Iterator[Step]:
        """Yields what a free slot does at the end of a search, where the rule has nothing left for it.

        Katib runs maxTrialCount trials, whatever a service replies. Completed configurations go on, the best first:
        their trainers report their history again and end. Without any, paused ones go on. That waits until nothing
        else runs, except beside a step that must not wait. Raises NothingYetError.
        """
        taken = {step.continues for step in steps}
        runs = any(each.outcome == "running" for each in known)
        sign = self.sampler.direction.sign
        best_first = sorted(known, key=lambda each: -sign * (each.worth or 0.0))
        completed = [each for each in best_first if each.outcome == "completed"]
        farthest = sorted(best_first, key=lambda each: -len(each.values))
        paused = [each for each in farthest if each.outcome == "stopped"]
        if steps or not runs:
            for each in [*completed, *([] if runs else paused)]:
                if each.name not in taken and self._has_gone(each.name):
                    yield Step(each.assignments, continues=each.name)
        if runs:
            raise NothingYetError("nothing is to be done until a running trial reports; ask again")

    def _has_gone(self, first: str) -> bool:
        """Returns whether the newest trial of a configuration and its pods have ended. Raises ClusterError."""
        newest = self.families[first][-1]
        return self.trials[newest].state in ENDED and self.api.has_gone(newest)

    def _named(self, step: Step) -> Step:
        if not step.continues:
            return step
        number = len(self.families[step.continues]) + 1
        while f"{step.continues}-{number}" in self.trials:
            number += 1
        return replace(step, trial=f"{step.continues}-{number}")


class _Trial(NamedTuple):
    """What counts of a trial, whose object has some 10 KB."""

    assignments: Mapping[str, str]
    state: State
    continues: str
    marked: datetime | None
    """When it was marked as stopped early."""

    @classmethod
    def of(cls, trial: TrialObject) -> "_Trial":
        return cls(trial.assignments, state_of(trial.states), trial.continues, trial.marked)


def _observation(first: str, trials: Sequence[tuple[_Trial, Curve]], direction: Direction) -> Observation:
    """Returns the configuration of these trials, which are in the order in which they ran."""
    states = [trial.state for trial, _ in trials]
    outcome = "completed" if "Succeeded" in states else OUTCOMES[states[-1]]
    values = joined(curve for _, curve in trials)
    value = direction.best(values)
    if outcome in ("completed", "stopped") and value is None:
        outcome = "failed"
    return Observation(trials[0][0].assignments, outcome, None if outcome == "failed" else value, values, first)
