"""Proposes the assignments of the next trials, given the trials so far, by the algorithm that the manifest names.

`Sampler.propose` is a function of the history alone: the same seed and the same trials, in any order, give the same
proposals, wherever and however often it is asked. Pure: no I/O.
"""

import importlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from katib.errors import ManifestError, nearest
from katib.manifest.search import Algorithm, Search
from katib.search.algorithms import ALGORITHMS
from katib.search.algorithms.base import Question
from katib.search.axis import Coordinate
from katib.search.first_suggestions import FirstSuggestion, first_suggestions, problems
from katib.search.history import Observation
from katib.search.prior import problems as prior_problems
from katib.search.prior import read_prior
from katib.search.space import Space
from katib.search.trials import Trials
from katib.trial import Direction

ELSEWHERE = ("cmaes", "hyperband", "pbt", "darts", "enas")
"""The other algorithms of Katib v0.19 (manifests/v1beta1/installs/katib-standalone/katib-config.yaml)."""
BATCH = 16
"""The points of one answer that a model proposes; more of them at once would be no better than an even spread."""
STARTUP_SETTINGS = ("n_initial_points", "n_startup_trials")
"""What scikit-optimize and Optuna call the number of trials before the model."""


@dataclass(frozen=True)
class Sampler:
    """An algorithm on a space. The defaults of the numbers are those of Katib's own services."""

    space: Space
    algorithm: str
    """A name of the table in katib/search/algorithms."""
    direction: Direction
    seed: int | None = None
    startup: int = 10
    """Trials, first ones and those of earlier searches included, before the model is asked."""
    first: tuple[FirstSuggestion, ...] = ()
    """Points that are proposed before all others: today's settings, so that the search includes its own control."""
    settings: Mapping[str, str] = field(default_factory=dict)

    def propose(
        self,
        history: Sequence[Observation],
        count: int = 1,
        *,
        earlier: Sequence[Observation] = (),
        position: int | None = None,
        names: Collection[str] = (),
    ) -> list[dict[str, str]]:
        """Returns the assignments of the next `count` trials; fewer only where the space has no untried point left.

        `history` are the trials of this search in any order, `earlier` those of searches before it, whose space may be
        another. `position` is the number of trials proposed so far, where the history may lack some (Katib leaves out
        those without metrics): it keeps a seed from repeating itself. `names` are those of the trials so far: a first
        suggestion whose trial is among them is not proposed again.
        """
        trials = Trials.of(self.space, history, earlier)
        if position is None:
            position = len(trials.listed)
        # A trial that the history lacks may be one of the first suggestions, which are proposed in their order.
        lost = self.first[:position] if position > len(trials.listed) else ()
        for first in (*lost, *(item for item in self.first if item.trial in names)):
            trials.exclude(self.space, first.assignments)
        points: list[dict[str, str]] = []
        for index in range(count):
            point = self._next(trials, position + index, first_of_answer=index < BATCH)
            if point is None:
                break
            points.append(point)
            trials.add(self.space, point)
        return points

    def trial_name(self, point: Mapping[str, str]) -> str:
        """Returns the name that the trial of a proposed point must have; empty where any name will do."""
        return next((first.trial for first in self.first if first.assignments == point), "")

    def _next(self, trials: Trials, position: int, *, first_of_answer: bool) -> dict[str, str] | None:
        """Returns the next point; None where all have been tried."""
        for first in self.first:
            if self.space.key(first.assignments) not in trials.tried:
                return {name: first.assignments[name] for name in self.space.axes}
        if self.space.size is not None and len(trials.tried) >= self.space.size:
            return None
        # The position goes into the seed: each call starts a new generator, which would repeat itself.
        entropy = None if self.seed is None else (self.seed, position)
        question = Question(
            space=self.space,
            trials=trials,
            direction=self.direction,
            settings=self.settings,
            seed=self.seed,
            position=position,
            generator=np.random.default_rng(entropy),
            startup=self.startup,
            first_of_answer=first_of_answer,
        )
        return ALGORITHMS[self.algorithm].propose(question)


def preload() -> None:
    """Loads the Gaussian process in a thread: SciPy takes half a second, for which the first proposal need not wait."""
    threading.Thread(target=importlib.import_module, args=("katib.search.bayes",)).start()


def sampler(search: Search) -> Sampler:
    """Returns the sampler that the manifest's `algorithm` and `parameters` ask for.

    Raises ManifestError where there is none.
    """
    name = search.algorithm.name
    algorithm = ALGORITHMS.get(name)
    if algorithm is None and name in ELSEWHERE:
        ours = ", ".join(ALGORITHMS)
        raise ManifestError(f"algorithm {name}: only Katib's own service on a cluster has it; here: {ours}")
    if algorithm is None:
        raise ManifestError(f"algorithm: unknown '{name}': {nearest(name, ALGORITHMS)}")
    space = Space.of(search.parameters)
    if not space.axes:
        raise ManifestError("parameters: there is nothing to search")
    settings = algorithm.settings.checked(f"algorithm {search.algorithm.name}", search.algorithm.settings)
    try:
        algorithm.require(space, settings)
    except ManifestError as error:
        raise ManifestError(f"algorithm {name}: {error}") from None
    numbers = {"seed": settings.get("random_state")}
    numbers["startup"] = next((settings[key] for key in STARTUP_SETTINGS if key in settings), None)
    given = {key: int(text) for key, text in numbers.items() if text is not None}
    first = _first(settings.get("first_suggestions", "[]"), space)
    _require_prior(settings.get("prior", "{}"), space)
    return Sampler(space, name, search.direction, **given, first=first, settings=settings)


def _first(text: str, space: Space) -> tuple[FirstSuggestion, ...]:
    suggestions = first_suggestions(text)
    for problem in problems(suggestions, list(space.axes), _coordinate(space)):
        raise ManifestError(f"first_suggestions: {problem}")
    return suggestions


def _require_prior(text: str, space: Space) -> None:
    """Raises ManifestError where the setting `prior` does not fit the space."""
    for problem in prior_problems(read_prior(text), list(space.axes), _coordinate(space)):
        raise ManifestError(f"prior: {problem}")


def _coordinate(space: Space) -> Callable[[str, str], Coordinate | None]:
    return lambda name, value: space.axes[name].coordinate(value)


def idle_settings(algorithm: Algorithm) -> list[str]:
    """Returns the settings that Katib's own service of that name reads and that have no effect here."""
    return (
        ALGORITHMS[algorithm.name].settings.without_effect(algorithm.settings) if algorithm.name in ALGORITHMS else []
    )
