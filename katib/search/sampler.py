"""What to try next: the trials so far -> assignments of the next one, by the algorithm that the manifest names.

`Sampler.propose` is a function of the history alone: the same seed and the same trials give the same proposal, whoever asks
and however often it was started again. The history is laid out as an Optuna study in memory each time, which takes
milliseconds. Pure; called by the local engine.

bayesianoptimization and multivariate-tpe are Optuna's multivariate TPE (Bergstra et al. 2011, NeurIPS; Falkner et al. 2018,
ICML, section 4.1), tpe treats each parameter alone; sobol is the scrambled sequence (Owen 1998), grid goes through its
points in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from katib.errors import ManifestError, nearest
from katib.experiment import Algorithm, Experiment
from katib.search.space import Space

Outcome = Literal["running", "completed", "stopped", "failed"]

# Optuna announces each study that is created, and here one is for each proposal.
optuna.logging.set_verbosity(optuna.logging.WARNING)

REPEATS = 20
"""Draws, by the algorithm and then as often at random, before a point that was tried already is taken once more."""

_STATES = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    # TPE counts a running trial as a bad one until it knows better (constant liar, Ginsbourger et al. 2010). A trial
    # that failed has no value either, and its surroundings are to be left alone as well.
    "running": TrialState.RUNNING,
    "failed": TrialState.RUNNING,
}


@dataclass(frozen=True)
class Past:
    """A trial of the history; `values` are its reports, one a step from 1, `value` is what its objective came to."""

    assignments: Mapping[str, str]
    outcome: Outcome
    value: float | None = None
    values: Sequence[float] = ()


@dataclass(frozen=True)
class _Settings:
    """Katib's settings of one algorithm: name -> the field of `Sampler`, and those that have no effect here."""

    used: Mapping[str, str] = field(default_factory=dict)
    idle: tuple[str, ...] = ()


_SEED = {"random_state": "seed"}
ALGORITHMS: Mapping[str, _Settings] = {
    "bayesianoptimization": _Settings(
        _SEED | {"n_initial_points": "startup"}, ("base_estimator", "acq_func", "acq_optimizer")
    ),
    "multivariate-tpe": _Settings(_SEED | {"n_startup_trials": "startup", "n_ei_candidates": "candidates"}),
    "tpe": _Settings(_SEED | {"n_EI_candidates": "candidates"}, ("gamma", "prior_weight")),
    "random": _Settings(_SEED),
    "grid": _Settings(idle=("random_state",)),
    "sobol": _Settings(_SEED),
}


@dataclass(frozen=True)
class Sampler:
    """An algorithm on a space. The defaults of the numbers are those of Katib's own services."""

    space: Space
    algorithm: str
    maximize: bool
    seed: int | None = None
    startup: int = 10
    candidates: int = 24

    def propose(self, history: Sequence[Past]) -> dict[str, str] | None:
        """Assignments of the next trial; None where a grid has no point left."""
        tried = [dict(past.assignments) for past in history]
        if self.algorithm == "grid":
            return next((point for point in self._grid() if point not in tried), None)
        point = self._draw(history, 0)
        for attempt in range(1, 2 * REPEATS):
            if point not in tried:
                break
            point = self._draw(history, attempt)
        return point

    def _draw(self, history: Sequence[Past], attempt: int) -> dict[str, str]:
        if self.algorithm == "sobol":
            return self._at(self._sobol(len(history) + attempt))
        # The position goes into the seed: a sampler that starts anew with each question would repeat itself.
        entropy = None if self.seed is None else (self.seed, len(history), attempt)
        generator = np.random.default_rng(entropy)
        if self.algorithm == "random" or attempt >= REPEATS:
            return self._at(generator.random(len(self.space.axes)))
        return self._tpe(history, int(generator.integers(2**31)))

    def _tpe(self, history: Sequence[Past], seed: int) -> dict[str, str]:
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=self.startup,
            n_ei_candidates=self.candidates,
            multivariate=self.algorithm != "tpe",
            constant_liar=True,
            seed=seed,
        )
        study = optuna.create_study(
            sampler=sampler,
            direction="maximize" if self.maximize else "minimize",
            pruner=optuna.pruners.NopPruner(),
        )
        study.add_trials([trial for past in history if (trial := self._trial(past))])
        return self.space.assignments(study.ask(self.space.distributions).params)

    def _trial(self, past: Past) -> FrozenTrial | None:
        """A trial as Optuna has it; None where it tells nothing of this space."""
        coordinates = self.space.coordinates(past.assignments)
        if coordinates is None:
            return None
        state = _STATES[past.outcome] if past.value is not None else TrialState.RUNNING
        # A stopped trial ranks by how far it came and its best so far, never as if it had been run to its end.
        stopped = state == TrialState.PRUNED
        return optuna.trial.create_trial(
            state=state,
            params=coordinates,
            distributions=self.space.distributions,
            value=past.value if state == TrialState.COMPLETE else None,
            intermediate_values={len(past.values): past.value}
            if stopped and past.value is not None
            else None,
        )

    def _sobol(self, position: int) -> np.ndarray:
        from scipy.stats import qmc  # takes half a second, and only this algorithm needs it

        sequence = qmc.Sobol(len(self.space.axes), scramble=True, rng=np.random.default_rng(self.seed or 0))
        if position:
            sequence.fast_forward(position)
        return np.asarray(sequence.random(1)[0])

    def _at(self, shares: Sequence[float] | np.ndarray) -> dict[str, str]:
        return {
            name: axis.at(float(share))
            for (name, axis), share in zip(self.space.axes.items(), shares, strict=True)
        }

    def _grid(self) -> list[dict[str, str]]:
        values = [axis.values() or () for axis in self.space.axes.values()]
        return [dict(zip(self.space.axes, point, strict=True)) for point in product(*values)]


def sampler(experiment: Experiment) -> Sampler:
    """What the manifest's `algorithm` and `parameters` ask for. Raises ManifestError where that cannot be done."""
    algorithm, space = experiment.algorithm, Space.of(experiment.parameters)
    if algorithm.name not in ALGORITHMS:
        raise ManifestError(f"algorithm: unknown '{algorithm.name}': {nearest(algorithm.name, ALGORITHMS)}")
    settings = ALGORITHMS[algorithm.name]
    numbers = {
        settings.used[name]: _whole(name, text)
        for name, text in algorithm.settings.items()
        if _known(algorithm.name, name, settings)
    }
    if algorithm.name == "grid":
        endless = [name for name, axis in space.axes.items() if axis.values() is None]
        if endless:
            raise ManifestError(f"algorithm grid: parameter '{endless[0]}' needs a feasibleSpace step")
    if numbers.get("candidates") == 0:
        raise ManifestError(f"algorithm {algorithm.name}: needs at least one candidate a proposal")
    return Sampler(space, algorithm.name, experiment.maximize, **numbers)


def idle_settings(algorithm: Algorithm) -> list[str]:
    """Settings that Katib's own service of that name reads and this one does not: worth a word to the user."""
    return sorted(set(algorithm.settings) & set(ALGORITHMS[algorithm.name].idle))


def _known(algorithm: str, name: str, settings: _Settings) -> bool:
    if name in settings.used:
        return True
    if name in settings.idle:
        return False
    valid = [*settings.used, *settings.idle]
    raise ManifestError(f"algorithm {algorithm}: unknown setting '{name}': {nearest(name, valid)}")


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ManifestError(f"algorithmSettings: {name} is '{text}', expected a whole number from 0")
    return int(text)
