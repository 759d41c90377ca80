"""What a search algorithm is: the question that it answers with a point, and its settings.

To add one, write a file such as random.py in this folder and give it a row in the table of `__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING

from katib.search.prior import Density, read_prior
from katib.search.space import Space
from katib.setting import Settings
from katib.trial import Direction

if TYPE_CHECKING:
    import numpy as np

    from katib.search.trials import Trials

NEAR = 0.02
"""A point no further than this from a failed or stopped trial on every axis, in shares of its distribution, is not
proposed."""
DRAWS, FEW_DRAWS = 2000, 50
"""Points that are considered before the free one is searched for, or the one farthest from those points is taken: many
for the points that the model proposes, few for the rest of a large answer, so that a thousand points are proposed
within the minute that Katib waits."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Asks for one point, given the trials so far."""

    space: Space
    trials: Trials
    direction: Direction
    settings: Mapping[str, str]
    """The algorithm's own settings, as the manifest has them."""
    seed: int | None
    position: int
    """How many points were proposed before this one."""
    generator: np.random.Generator
    """Random numbers that depend on the seed and the position."""
    startup: int
    """How many trials there must be before the model is asked."""
    first_of_answer: bool
    """Whether the point is among the first of a large answer, for which a model may be asked."""

    @cached_property
    def prior(self) -> Density:
        """The density of the best point, by what the setting `prior` expects; even where it expects nothing.

        It is even as well once failures have disproved it.
        """
        expected = Density.of(self.space, read_prior(self.settings.get("prior", "{}")))
        failed = self.trials.failed.points
        return Density.of(self.space, {}) if expected.is_disproved(failed) else expected

    @property
    def asks_model(self) -> bool:
        """Whether a model of the trials is to be asked."""
        return self.first_of_answer and self.trials.count >= self.startup

    def free(self, draws: Iterable[Sequence[float]]) -> dict[str, str] | None:
        """Returns the first point that is neither known nor near one given up, of `draws` and then at random.

        `draws` are points of the unit cube, the preferred one first. Where all are near such ones, the farthest is
        returned; None where the space has no untried point.
        """
        farthest: tuple[float, dict[str, str]] | None = None
        for shares in islice(chain(draws, self._random()), DRAWS if self.first_of_answer else FEW_DRAWS):
            point = self.space.at(shares)
            if self.space.key(point) in self.trials.known:
                continue
            distance = self.trials.given_up.distance(shares)
            if distance > NEAR:
                return point
            if farthest is None or distance > farthest[0]:
                farthest = distance, point
        if farthest is not None:
            return farthest[1]
        return self.untried(int(self.generator.integers(self.space.size or 1)))

    def untried(self, start: int) -> dict[str, str] | None:
        """Returns the first untried point of a countable space, in the order of a grid from index `start` on."""
        size = self.space.size or 0
        points = (self.space.point((start + index) % size) for index in range(size))
        return next((point for point in points if self.space.key(point) not in self.trials.tried), None)

    def _random(self) -> Iterator[Sequence[float]]:
        while True:
            yield tuple(self.generator.random(len(self.space.axes)))


def accept(space: Space, settings: Mapping[str, str]) -> None:
    """Accepts every space and every value of the settings."""


@dataclass(frozen=True, kw_only=True)
class SearchAlgorithm:
    """One algorithm, under the name that a manifest gives it."""

    propose: Callable[[Question], dict[str, str] | None]
    """Returns the next point; None where there is none left."""
    settings: Settings
    require: Callable[[Space, Mapping[str, str]], None] = accept
    """Raises ManifestError, the problem alone, where the algorithm cannot search such a space with these settings."""
