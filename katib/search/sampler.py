"""What to try next: the trials so far -> assignments of the next ones, by the algorithm that the manifest names.

`Sampler.propose` is a function of the history alone: the same seed and the same trials, in any order, give the same
proposals, whoever asks and however often it was started again. Pure; called by the local engine and by the suggestion
service.

bayesianoptimization is a Gaussian process (katib/search/bayes.py); multivariate-tpe is Optuna's multivariate TPE
(Bergstra et al. 2011, NeurIPS; Falkner et al. 2018, ICML, section 4.1), tpe treats each parameter alone; sobol is the
scrambled sequence (Owen 1998), grid goes through its points in order.
"""

import importlib
import threading
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from katib.check.first_suggestions import FirstSuggestion, first_suggestions, problems
from katib.check.services import OURS, SERVICES
from katib.errors import ManifestError, nearest
from katib.manifest.experiment import Algorithm, Search
from katib.search import sobol
from katib.search.history import Past
from katib.search.places import Places
from katib.search.settings import checked
from katib.search.space import Space

# Optuna announces each study that is created, and here one is for each proposal.
optuna.logging.set_verbosity(optuna.logging.WARNING)

ALGORITHMS = ("bayesianoptimization", "multivariate-tpe", "tpe", "random", "grid", "sobol")
ELSEWHERE = ("cmaes", "hyperband", "pbt", "darts", "enas")
"""What Katib v0.19 has beside them (manifests/v1beta1/installs/katib-standalone/katib-config.yaml)."""
MOST_CANDIDATES = 10_000

NEAR = 0.02
"""A point no further than this from a failed one on every axis, in shares of its distribution, is not proposed."""
BATCH = 16
"""Points of one answer that are the model's; what it would say of more at once is no better than an even spread."""
DRAWS, FEW_DRAWS, TPE_DRAWS = 2000, 50, 20
"""Points looked at, TPE's own among them, before a free one must be searched for, or the farthest from failed ones
taken: many for the first BATCH of an answer, so that one for a thousand points has an end within the minute that
Katib waits."""

_FIELDS = {
    "random_state": "seed",
    "n_initial_points": "startup",
    "n_startup_trials": "startup",
    "n_ei_candidates": "candidates",
    "n_EI_candidates": "candidates",
}
_IDLE: Mapping[str, frozenset[str]] = {
    "bayesianoptimization": frozenset({"base_estimator", "acq_func", "acq_optimizer"}),
    "tpe": frozenset({"gamma", "prior_weight"}),
    "grid": frozenset({"random_state"}),
}
_STATES = {
    "completed": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    # TPE counts a running trial as a bad one until it knows better (constant liar, Ginsbourger et al. 2010). A trial
    # that failed has no value either, and its surroundings are to be left alone as well.
    "running": TrialState.RUNNING,
    "failed": TrialState.RUNNING,
}


@dataclass(frozen=True)
class Sampler:
    """An algorithm on a space. The defaults of the numbers are those of Katib's own services."""

    space: Space
    algorithm: str
    maximize: bool
    seed: int | None = None
    startup: int = 10
    """Trials, first ones and those of earlier searches included, before the model is asked."""
    candidates: int = 24
    first: tuple[FirstSuggestion, ...] = ()
    """Points that are proposed before all others: what is in use today, so that the search holds its own control."""

    def propose(
        self,
        history: Sequence[Past],
        count: int = 1,
        *,
        earlier: Sequence[Past] = (),
        position: int | None = None,
        names: Collection[str] = (),
    ) -> list[dict[str, str]]:
        """Assignments of the next `count` trials; fewer only where the space has no untried point left.

        `history` are the trials of this search in any order, `earlier` those of searches before it, whose space may be
        another. `position` is the number of trials proposed so far, where the history may lack some (Katib leaves out
        those without metrics): it keeps a seed from repeating itself. `names` are those of the trials so far: a first
        suggestion whose trial is among them is not proposed again.
        """
        past = _Trials.of(self.space, history, earlier)
        if position is None:
            position = len(past.listed)
        # A trial that the history lacks may be one of the first suggestions, which are proposed in their order.
        lost = self.first[:position] if position > len(past.listed) else ()
        for first in (*lost, *(item for item in self.first if item.trial in names)):
            past.exclude(self.space, first.assignments)
        found: list[dict[str, str]] = []
        for index in range(count):
            point = self._next(past, position + index, modelled=index < BATCH)
            if point is None:
                break
            found.append(point)
            past.add(self.space, point)
        return found

    def trial_name(self, point: Mapping[str, str]) -> str:
        """Returns the name that the trial of a proposed point must have; empty where any name will do."""
        return next((first.trial for first in self.first if first.assignments == point), "")

    def _next(self, past: "_Trials", position: int, *, modelled: bool) -> dict[str, str] | None:
        """Returns the next point; None where all have been tried."""
        for first in self.first:
            if _key(self.space, first.assignments) not in past.tried:
                return {name: first.assignments[name] for name in self.space.axes}
        if self.space.size is not None and len(past.tried) >= self.space.size:
            return None
        if self.algorithm == "grid":
            return self._untried(past.tried, 0)
        # The position goes into the seed: a sampler that starts anew with each question would repeat itself.
        entropy = None if self.seed is None else (self.seed, position)
        generator = np.random.default_rng(entropy)
        farthest: tuple[float, dict[str, str]] | None = None
        most = DRAWS if modelled else FEW_DRAWS
        for shares in islice(self._draws(past, position, generator, modelled=modelled), most):
            point = self.space.at(shares)
            if _key(self.space, point) in past.known:
                continue
            distance = past.failed.distance(shares)
            if distance > NEAR:
                return point
            if farthest is None or distance > farthest[0]:
                farthest = distance, point
        if farthest is not None:
            return farthest[1]
        return self._untried(past.tried, int(generator.integers(self.space.size or 1)))

    def _draws(
        self, past: "_Trials", position: int, generator: np.random.Generator, *, modelled: bool
    ) -> Iterator[Sequence[float]]:
        """Points of the unit cube, the preferred one first."""
        width = len(self.space.axes)
        modelled = modelled and len(past.listed) + len(past.earlier) >= self.startup
        if self.algorithm == "bayesianoptimization" and modelled:
            from katib.search import bayes  # with SciPy: see `preload`

            told = bayes.known(self.space, past.listed, past.earlier, self.maximize)
            if len(told.values) >= 2:
                yield from bayes.suggest(self.space, told, generator)
        elif self.algorithm in ("tpe", "multivariate-tpe") and modelled:
            for _ in range(TPE_DRAWS):
                point = self._tpe([*past.listed, *past.earlier], int(generator.integers(2**31)))
                yield self.space.shares(point) or ()
        if self.algorithm in ("sobol", "bayesianoptimization"):
            even = sobol.points(width, position, np.random.default_rng(self.seed))
            yield from islice(even, len(past.listed) + 1)
        while True:
            yield tuple(generator.random(width))

    def _tpe(self, trials: Sequence[Past], seed: int) -> dict[str, str]:
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(
                n_startup_trials=0,
                n_ei_candidates=self.candidates,
                multivariate=self.algorithm != "tpe",
                constant_liar=True,
                seed=seed,
            ),
            direction="maximize" if self.maximize else "minimize",
            pruner=optuna.pruners.NopPruner(),
        )
        study.add_trials([trial for past in trials if (trial := self._trial(past))])
        return self.space.assignments(study.ask(self.space.distributions).params)

    def _trial(self, past: Past) -> FrozenTrial | None:
        """Returns a trial as Optuna has it; None where it tells nothing of this space."""
        coordinates = self.space.coordinates(past.assignments)
        if coordinates is None:
            return None
        state = _STATES[past.outcome] if past.worth is not None else TrialState.RUNNING
        # A stopped trial ranks by how far it came and its best so far, never as if it had been run to its end.
        stopped = state == TrialState.PRUNED
        return optuna.trial.create_trial(
            state=state,
            params=coordinates,
            distributions=self.space.distributions,
            value=past.worth if state == TrialState.COMPLETE else None,
            intermediate_values={len(past.values): past.worth} if stopped and past.worth is not None else None,
        )

    def _untried(self, tried: Container[object], start: int) -> dict[str, str] | None:
        """Returns the first of a countable space's points from the place `start` on that is none of `tried`."""
        size = self.space.size or 0
        points = (self.space.point((start + index) % size) for index in range(size))
        return next((point for point in points if _key(self.space, point) not in tried), None)


Key = tuple[str, ...]
"""A point in the space's own spelling, so that 1e-3 and 0.001 are one."""


@dataclass
class _Trials:
    """The trials that a question is asked with, and the answers so far; those of another space have no key."""

    listed: list[Past]
    earlier: Sequence[Past]
    tried: set[Key]
    known: set[Key]
    failed: Places

    @classmethod
    def of(cls, space: Space, history: Sequence[Past], earlier: Sequence[Past]) -> "_Trials":
        """Returns the history in an order that does not hang on how its trials were listed."""
        listed, earlier = sorted(history, key=_order), sorted(earlier, key=_order)
        tried = {key for past in listed if (key := _key(space, past.assignments))}
        before = {key for past in earlier if (key := _key(space, past.assignments))}
        places = [space.shares(past.assignments) for past in listed if past.outcome == "failed"]
        failed = Places(space, [place for place in places if place is not None])
        return cls(listed, earlier, tried, tried | before, failed)

    def add(self, space: Space, point: Mapping[str, str]) -> None:
        """Take an answer for a running trial."""
        self.listed.append(Past(point, "running"))
        self.exclude(space, point)

    def exclude(self, space: Space, point: Mapping[str, str]) -> None:
        """Keeps a point from being proposed."""
        key = tuple(point.values()) if (found := _key(space, point)) is None else found
        self.tried.add(key)
        self.known.add(key)


def _order(past: Past) -> tuple[object, ...]:
    return sorted(past.assignments.items()), past.outcome, past.worth or 0.0, len(past.values)


def _key(space: Space, assignments: Mapping[str, str]) -> Key | None:
    coordinates = space.coordinates(assignments)
    return None if coordinates is None else tuple(space.assignments(coordinates).values())


def preload() -> None:
    """Load the Gaussian process beside other work: SciPy takes half a second, and no question need wait for it."""
    threading.Thread(target=importlib.import_module, args=("katib.search.bayes",)).start()


def sampler(search: Search) -> Sampler:
    """Returns what the manifest's `algorithm` and `parameters` ask for.

    Raises ManifestError where that cannot be done.
    """
    algorithm = search.algorithm
    if algorithm.name in ELSEWHERE:
        ours = ", ".join(ALGORITHMS)
        raise ManifestError(f"algorithm {algorithm.name}: only Katib's own service on a cluster has it; here: {ours}")
    if algorithm.name not in ALGORITHMS:
        raise ManifestError(f"algorithm: unknown '{algorithm.name}': {nearest(algorithm.name, ALGORITHMS)}")
    space = Space.of(search.parameters)
    if not space.axes:
        raise ManifestError("parameters: there is nothing to search")
    settings = checked("algorithm", algorithm, SERVICES[algorithm.name])
    if algorithm.name == "grid":
        endless = [name for name, axis in space.axes.items() if axis.levels is None]
        if endless:
            raise ManifestError(f"algorithm grid: parameter '{endless[0]}' needs a feasibleSpace step")
    numbers = {_FIELDS[name]: int(text) for name, text in settings.items() if name in _FIELDS}
    if numbers.get("candidates", 0) > MOST_CANDIDATES:
        raise ManifestError(f"algorithm {algorithm.name}: the candidates of a proposal must be 1 to {MOST_CANDIDATES}")
    first = _first(settings.get("first_suggestions", "[]"), space)
    return Sampler(space, algorithm.name, search.maximize, **numbers, first=first)


def _first(text: str, space: Space) -> tuple[FirstSuggestion, ...]:
    found = first_suggestions(text)
    for problem in problems(found, list(space.axes), lambda name, value: space.axes[name].coordinate(value)):
        raise ManifestError(f"first_suggestions: {problem}")
    return found


def idle_settings(algorithm: Algorithm) -> list[str]:
    """Settings that Katib's own service of that name reads and this one does not: worth a word to the user."""
    service = SERVICES.get(algorithm.name)
    known = {*OURS.get(algorithm.name, {}), *(service.settings if service else ())}
    unknown = set() if service is None or service.strict else set(algorithm.settings) - known
    return sorted(unknown | (set(algorithm.settings) & _IDLE.get(algorithm.name, frozenset())))
