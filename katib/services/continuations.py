"""Finds the next trials of a search with the stop rule promote: new configurations, or continuations of paused ones.

On Katib a continuation is a trial of its own: with the assignments of the paused one, the name of the configuration's
first trial in the label sepsweep/continues, and `<that name>-2`, `-3` … as its name. Its pod trains in the first
trial's run directory, so it is proposed only when no pod of an earlier one is left.

The trials come from the API server: a request of Katib has no labels, and lacks trials without metrics.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from katib.manifest.search import Search
from katib.search.families import joined
from katib.search.history import OUTCOMES, Observation
from katib.search.next_step import Step, next_steps, room_for
from katib.search.promotion import Promote
from katib.search.sampler import Sampler
from katib.search.stopping import Curve
from katib.services.kubernetes_api import KubernetesApi
from katib.services.observations import observation_logs
from katib.services.reruns import Configurations, KnownTrial, NothingYetError, deadline, wait
from katib.trial import Direction


@dataclass(frozen=True)
class Continuations:
    """The configurations of a search, as the API server and the DB manager have them now."""

    found: Configurations
    rule: Promote
    sampler: Sampler
    observations: Sequence[Observation]

    @classmethod
    def read(
        cls,
        search: Search,
        rule: Promote,
        sampler: Sampler,
        api: KubernetesApi,
        db_manager: str,
        asked: Collection[str] = (),
    ) -> "Continuations":
        """Reads the trials of a search, of which those `asked` for are to run again.

        Raises ClusterError, or AWAY where the DB manager does not answer.
        """
        found = Configurations.read(api, search.name, asked)
        curves = observation_logs(db_manager).curves(found.trials, search.metric)
        observations = [
            _observation(first, [(found.trials[name], curves[name]) for name in names], search.direction)
            for first, names in found.families.items()
        ]
        return cls(found, rule, sampler, observations)

    def next(self, count: int, proposed: int, earlier: Sequence[Observation] = ()) -> list[Step]:
        """Returns the next `count` steps; fewer only where the space has no untried point left.

        `proposed` is the number of trials that were proposed so far. Raises NothingYetError where fewer are to be done
        until a trial reports: Katib takes exactly `count`, or none.
        """
        self.found.require_all(proposed)
        reruns = self.found.reruns(count, proposed)
        again = {step.continues for step in reruns}
        known = [replace(each, outcome="running") if each.name in again else each for each in self.observations]
        left = count - len(reruns)
        return reruns + (self._next(known, left, earlier) if left else [])

    def _next(self, observations: Sequence[Observation], count: int, earlier: Sequence[Observation]) -> list[Step]:
        known = self._with_pods(observations, count)
        room, names = room_for(self.rule, len(self.found.families), None), self.found.trials.keys()
        steps = next_steps(self.sampler, self.rule, known, count, room=room, earlier=earlier, names=names)
        if len(steps) < count:
            steps += islice(self._others(known, steps), count - len(steps))
        if len(steps) < count:
            points = self.sampler.propose(known, count - len(steps), earlier=earlier, names=names)
            steps += [Step(point, trial=self.sampler.trial_name(point)) for point in points]
        return [self.found.named(step) for step in steps]

    def _with_pods(self, observations: Sequence[Observation], count: int) -> list[Observation]:
        """Returns the configurations; a paused one that is to go on, and whose pod does not end, counts as running.

        Raises NothingYetError while a pod may end yet.
        """
        known = list(observations)

        def left() -> set[str]:
            going_on = next_steps(self.sampler, self.rule, known, count, room=0)
            return {step.continues for step in going_on if not self.found.has_gone(step.continues)}

        end = deadline()
        while waits := wait(left, end):
            self.found.require_ended(waits)
            known = [replace(each, outcome="running") if each.name in waits else each for each in known]
        return known

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
                if each.name not in taken and self.found.has_gone(each.name):
                    yield Step(each.assignments, continues=each.name)
        if runs:
            raise NothingYetError("nothing is to be done until a running trial reports; ask again")


def _observation(first: str, trials: Sequence[tuple[KnownTrial, Curve]], direction: Direction) -> Observation:
    """Returns the configuration of these trials, which are in the order in which they ran."""
    states = [trial.state for trial, _ in trials]
    outcome = "completed" if "Succeeded" in states else OUTCOMES[states[-1]]
    values = joined(curve for _, curve in trials)
    value = direction.best(values)
    if outcome in ("completed", "stopped") and value is None:
        outcome = "failed"
    return Observation(trials[0][0].assignments, outcome, None if outcome == "failed" else value, values, first)
