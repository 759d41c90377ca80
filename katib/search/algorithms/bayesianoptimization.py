"""Bayesian optimisation with a Gaussian process (katib/search/bayes.py), after a start along Sobol's sequence.

A prior, where the setting has one, moves both.
"""

from collections.abc import Iterator, Sequence

from katib.search.algorithms.base import Question, SearchAlgorithm
from katib.search.algorithms.sobol import even
from katib.search.settings import FIRST, PRIOR, SEED, WARM
from katib.setting import Settings, one_of, whole


def propose(question: Question) -> dict[str, str] | None:
    """Returns the free point that the process finds most promising; points of the sequence where it has no say."""
    return question.free(_draws(question))


def _draws(question: Question) -> Iterator[Sequence[float]]:
    if question.asks_model:
        from katib.search import bayes, observations

        trials = question.trials
        observed = observations.observe(question.space, trials.listed, trials.earlier, question.direction)
        if len(observed.values) >= 2:
            yield from bayes.suggest(question.space, observed, question.generator, question.prior)
    for number, point in enumerate(even(question), question.position):
        # Every second point is drawn evenly, for the case that the prior is wrong and its surroundings fail.
        yield point if number % 2 else question.prior.drawn(point)


_ACQUISITIONS = ("gp_hedge", "LCB", "EI", "PI")
_OF_SKOPT = {
    "base_estimator": one_of("GP", "RF", "ET", "GBRT"),
    # The service admits EIps and PIps as well and fails at the first result, because they want a time with each value.
    "acq_func": one_of(*_ACQUISITIONS),
    "acq_optimizer": one_of("auto", "sampling", "lbfgs"),
}
ALGORITHM = SearchAlgorithm(
    propose=propose,
    settings=Settings(
        stock={**_OF_SKOPT, "n_initial_points": whole(0), **SEED},
        # Here acq_func has no effect, so that the two others do no harm.
        ours={"acq_func": one_of(*_ACQUISITIONS, "EIps", "PIps"), **FIRST, **WARM, **PRIOR},
        idle=frozenset(_OF_SKOPT),
    ),
)
