"""Search along Sobol's sequence, scrambled (Owen 1998), which fills the space more evenly than random points do."""

from collections.abc import Iterator
from itertools import islice

from katib.search.algorithms.base import Question, SearchAlgorithm
from katib.search.settings import FIRST, SEED
from katib.setting import Settings


def propose(question: Question) -> dict[str, str] | None:
    """Returns the next free point of the sequence."""
    return question.free(even(question))


def even(question: Question) -> Iterator[tuple[float, ...]]:
    """Returns points of the sequence from the question's position on: as many as may be taken already, and one more."""
    from katib.search.sobol_sequence import points

    return islice(points(len(question.space.axes), question.position, question.seed), len(question.trials.listed) + 1)


# Katib's own service (goptuna) ignores settings.
ALGORITHM = SearchAlgorithm(propose=propose, settings=Settings(ours={**SEED, **FIRST}, strict=False))
