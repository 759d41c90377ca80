"""Random search: each point is drawn from the distributions of the space, independently of all others."""

from katib.search.algorithms.base import Question, SearchAlgorithm
from katib.search.settings import FIRST, SEED
from katib.setting import Settings


def propose(question: Question) -> dict[str, str] | None:
    """Returns a random point that is free."""
    return question.free(())


ALGORITHM = SearchAlgorithm(propose=propose, settings=Settings(stock=SEED, ours=FIRST))
