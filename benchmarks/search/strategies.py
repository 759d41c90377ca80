"""Defines the strategies that are compared: ours as the services use it, and four others as a user gets them.

Only the rivals need scikit-optimize and sweeps (extra `bench`).
"""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np
import optuna

from benchmarks.search.landscapes import LOGARITHMIC
from benchmarks.search.learning_curves import Landscape
from benchmarks.search.simulation import Trial
from katib.search.history import Observation
from katib.search.next_step import next_steps
from katib.search.sampler import Sampler
from katib.search.space import Space
from katib.search.stopping import StopRule

STARTUP = 5
"""n_initial_points of the manifests of katib/specs; Katib's default, 10, serves stock Katib worse on 25 trials."""
REQUIRED = 3
"""min_trials_required of the same manifests."""


class Ours:
    """A sampler and a stop rule of katib/search.

    With `curves` the sampler sees each trial's reports, otherwise only its value.
    """

    def __init__(self, sampler: Sampler, rule: StopRule | None, *, curves: bool = True) -> None:
        self._sampler, self._rule, self._curves = sampler, rule, curves

    def propose(self, trials: Sequence[Trial], *, room: bool) -> Mapping[str, str] | Trial | None:
        """Proposes as for the local engine and the suggestion service."""
        history = [self._past(trial) for trial in trials]
        steps = next_steps(self._sampler, self._rule, history, room=int(room))
        if not steps:
            return None
        return trials[int(steps[0].continues)] if steps[0].continues else steps[0].assignments

    def stops(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        """Decides as for the local engine and the early-stopping service."""
        if self._rule is None:
            return False
        others = [other.values for other in trials if other is not trial and other.state in ("running", "stopped")]
        completed = [other.values for other in trials if other.state == "completed"]
        return self._rule.decide(trial.values, others, completed) is not None

    def _past(self, trial: Trial) -> Observation:
        value = trial.best if trial.values and trial.state != "failed" else None
        return Observation(
            trial.assignments, trial.state, value, trial.values if self._curves else (), str(trial.number)
        )


class StockKatib:
    """Katib v0.19's skopt and medianstop services, with their blind spots.

    Every double is log-uniform. The optimizer does not know failed and running trials, and its model answers the same
    point until it is told something (here the random points of the start are drawn anew, which is kinder); a stopped
    trial counts with its last value. The rule is made when a trial is created, from the trials that have succeeded by
    then: the mean of their means up to the start step, compared once. See suggestion/v1beta1/skopt/base_service.py and
    earlystopping/v1beta1/medianstop/service.py.
    """

    def __init__(self, landscape: Landscape, seed: int) -> None:
        from skopt import Optimizer
        from skopt.space import Real

        self._names = [parameter.name for parameter in landscape.parameters]
        self._optimizer = Optimizer(
            [
                Real(float(parameter.min or 0), float(parameter.max or 0), prior="log-uniform")
                for parameter in landscape.parameters
            ],
            base_estimator="GP",
            n_initial_points=STARTUP,
            acq_func="gp_hedge",
            acq_optimizer="auto",
            random_state=seed,
        )
        self._start, self._told = landscape.start_step, set[int]()
        self._rules: dict[int, float] = {}

    def propose(self, trials: Sequence[Trial], *, room: bool) -> Mapping[str, str] | None:
        """Reports what has ended in one batch, then asks for one point."""
        if not room:
            return None
        new = [trial for trial in trials if trial.state in ("completed", "stopped") and trial.number not in self._told]
        if new:
            self._told |= {trial.number for trial in new}
            points = [[float(trial.assignments[name]) for name in self._names] for trial in new]
            self._optimizer.tell(points, [-trial.best for trial in new])
        point = self._optimizer.ask() if trials else self._optimizer.ask(2)[0]
        means = [mean(trial.values[: self._start]) for trial in trials if trial.state == "completed"]
        if len(means) >= REQUIRED:
            self._rules[len(trials)] = mean(means)
        return {name: repr(float(value)) for name, value in zip(self._names, point, strict=True)}

    def stops(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        """Compares at the start step only."""
        rule = self._rules.get(trial.number)
        return rule is not None and len(trial.values) == self._start and trial.best < rule


class Sweeps:
    """W&B's `bayes` with `hyperband`, as its own package computes both."""

    def __init__(self, landscape: Landscape, seed: int) -> None:
        np.random.seed(seed)
        self._config = {
            "method": "bayes",
            "metric": {"name": "value", "goal": "maximize", "impute": "worst"},
            "early_terminate": {"type": "hyperband", "min_iter": landscape.start_step},
            "parameters": {
                parameter.name: {
                    "distribution": "log_uniform_values" if parameter.name in LOGARITHMIC else "uniform",
                    "min": float(parameter.min or 0),
                    "max": float(parameter.max or 0),
                }
                for parameter in landscape.parameters
            },
        }
        self._bands = {int(landscape.start_step * 3**power) for power in range(5)}

    def propose(self, trials: Sequence[Trial], *, room: bool) -> Mapping[str, str] | None:
        """Proposes with stopped runs reported as `killed`."""
        if not room:
            return None
        from sweeps import next_run

        found = next_run(self._config, [self._run(trial) for trial in trials])
        return {name: repr(float(entry["value"])) for name, entry in found.config.items()}

    def stops(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        """Decides once a run has passed a band, and a few times between bands, because the thresholds move."""
        from sweeps import stop_runs

        step = len(trial.values)
        if step - 1 not in self._bands and (step < min(self._bands) + 1 or step % 10):
            return False
        stopped = stop_runs(self._config, [self._run(other) for other in trials])
        return any(run.name == str(trial.number) for run in stopped)

    def _run(self, trial: Trial) -> Any:
        from sweeps import RunState, SweepRun

        states = {
            "running": RunState.running,
            "completed": RunState.finished,
            "stopped": RunState.killed,
            "failed": RunState.failed,
        }
        return SweepRun(
            name=str(trial.number),
            state=states[trial.state],
            config={name: {"value": float(text)} for name, text in trial.assignments.items()},
            sampledHistory=[{"value": value} for value in trial.values],
        )


class OptunaDefaults:
    """create_study() with its defaults: TPESampler and MedianPruner."""

    def __init__(self, landscape: Landscape, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._space = Space.of(landscape.parameters)
        self._asked: dict[int, Any] = {}
        self._told: set[int] = set()

    def propose(self, trials: Sequence[Trial], *, room: bool) -> Mapping[str, str] | None:
        """Reports what has ended, and asks."""
        if not room:
            return None
        states = {
            "completed": optuna.trial.TrialState.COMPLETE,
            "stopped": optuna.trial.TrialState.PRUNED,
            "failed": optuna.trial.TrialState.FAIL,
        }
        for trial in trials:
            if trial.state != "running" and trial.number not in self._told:
                self._told.add(trial.number)
                value = trial.best if trial.state == "completed" else None
                self._study.tell(self._asked[trial.number], value, states[trial.state])
        asked = self._asked[len(trials)] = self._study.ask(self._space.distributions)
        return self._space.assignments(asked.params)

    def stops(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        """Reports the value and asks the pruner."""
        asked = self._asked[trial.number]
        asked.report(trial.values[-1], len(trial.values))
        return bool(asked.should_prune())
