"""Asks search/ what a local search does next and whether a trial stops, in terms of the trials in its store."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from katib.backend.local.ending import goal_reached
from katib.backend.local.record import Trial
from katib.manifest.experiment import Experiment
from katib.search.history import OUTCOMES, Observation
from katib.search.next_step import Step, next_steps, room_for
from katib.search.promotion import Promote
from katib.search.sampler import Sampler, sampler
from katib.search.stop_rules import stop_rule
from katib.search.stopping import StopRule, because
from katib.text import with_unit
from katib.trial import WITHOUT_RESULT

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""The characters of the random suffix that Kubernetes appends to a name (apimachinery, util/rand)."""


@dataclass
class Proposals:
    """The algorithm and the stop rule of a search; it says once why there are no new trials."""

    experiment: Experiment
    sampler: Sampler
    rule: StopRule | None
    say: Callable[[str], None]
    earlier: Sequence[Observation] = ()
    """The trials of the searches that warm_start names."""
    _goal: bool = field(default=False, init=False)
    _exhausted: bool = field(default=False, init=False)

    @staticmethod
    def of(experiment: Experiment, say: Callable[[str], None], earlier: Sequence[Observation] = ()) -> "Proposals":
        """Returns those of a manifest. Raises ManifestError where its algorithms are unknown."""
        search = experiment.search
        stopping = search.early_stopping
        rule = stop_rule(stopping, search.direction, experiment.measure) if stopping else None
        return Proposals(experiment, sampler(search), rule, say, earlier)

    def next(self, trials: Sequence[Trial]) -> Step | None:
        """Returns what a free slot does; None where that is nothing until a trial reports, or ever."""
        if self._goal or self._spent(trials):
            return None
        search = self.experiment.search
        if goal_reached(trials, self.experiment):
            self._goal = True
            goal = with_unit(self.experiment.goal or 0.0, self.experiment.measure)
            self.say(f"goal reached: {search.metric} {goal}; no new trials")
            return None
        room = 0 if self._exhausted else room_for(self.rule, len(trials), search.max_trials)
        history = [observation(trial, self.experiment.strategy) for trial in trials]
        names = [trial.name for trial in trials]
        steps = next_steps(self.sampler, self.rule, history, room=room, earlier=self.earlier, names=names)
        if not steps and room != 0:
            self._exhausted = True
            self.say("every point of the search space has been tried")
        return steps[0] if steps else None

    def stop(self, trial: Trial, values: tuple[float, ...], trials: Sequence[Trial]) -> str:
        """Returns why `trial`, whose last report makes its values `values`, is to stop; empty where it goes on.

        A trial that went on after a pause is not asked again before it has passed that epoch.
        """
        if self.rule is None or (trial.pauses and len(values) <= trial.pauses[-1].epoch):
            return ""
        others = [other for other in trials if other.name != trial.name and other.state not in WITHOUT_RESULT]
        stop = self.rule.decide(
            values,
            [other.values for other in others if other.state != "Succeeded"],
            [other.values for other in others if other.state == "Succeeded"],
        )
        return because(stop, self.experiment.measure, self.experiment.search.direction) if stop else ""

    def _spent(self, trials: Sequence[Trial]) -> bool:
        """Returns whether maxTrialCount ends the search; with promote that counts continuations too, as on Katib.

        Where promote has its own number of configurations, that alone counts here.
        """
        most = self.experiment.search.max_trials
        if isinstance(self.rule, Promote):
            begun = sum(1 + len(trial.pauses) for trial in trials)
            return self.rule.configurations is None and bool(most) and begun >= (most or 0)
        return bool(self._exhausted or (most and len(trials) >= most))


def observation(trial: Trial, strategy: str) -> Observation:
    """Returns a trial in the form of the sampler."""
    return Observation(trial.assignments, OUTCOMES[trial.state], trial.value(strategy), trial.values, trial.name)


def trial_name(experiment: str) -> str:
    """Returns a name in Katib's form: the experiment's and eight random characters."""
    return f"{experiment}-{''.join(secrets.choice(NAME_LETTERS) for _ in range(8))}"
