"""Grid search: every point of the space once, in order; the last parameter changes first."""

from collections.abc import Mapping

from katib.errors import ManifestError
from katib.search.algorithms.base import Question, SearchAlgorithm
from katib.search.settings import FIRST, SEED
from katib.search.space import Space
from katib.setting import Settings


def propose(question: Question) -> dict[str, str] | None:
    """Returns the first untried point."""
    return question.untried(0)


def require(space: Space, settings: Mapping[str, str]) -> None:
    """Raises ManifestError for a parameter whose values cannot be counted."""
    for name, axis in space.axes.items():
        if axis.levels is None:
            raise ManifestError(f"parameter '{name}' needs a feasibleSpace step")


ALGORITHM = SearchAlgorithm(
    propose=propose,
    settings=Settings(stock=SEED, ours=FIRST, idle=frozenset(SEED)),
    require=require,
)
