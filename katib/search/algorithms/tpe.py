"""Search by tree-structured Parzen estimators (Bergstra et al. 2011, NeurIPS), after a random start.

multivariate-tpe models all parameters together (Falkner et al. 2018, ICML, section 4.1), tpe each by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from katib.errors import ManifestError
from katib.search.algorithms.base import Question, SearchAlgorithm
from katib.search.settings import FIRST, SEED, WARM
from katib.search.space import Space
from katib.setting import Settings, real, whole

PROPOSALS = 20
"""Points that the estimator proposes for one question before random ones are considered."""
CANDIDATES, MOST_CANDIDATES = 24, 10_000
"""Points that the estimator compares for one proposal: Optuna's default, and the most that a manifest may ask for."""


@dataclass(frozen=True)
class Tpe:
    """The estimator over all parameters together, or over each by itself."""

    multivariate: bool

    def propose(self, question: Question) -> dict[str, str] | None:
        """Returns a free point that the estimator proposes; a random one before it has enough trials."""
        return question.free(self._draws(question) if question.asks_model else ())

    def _draws(self, question: Question) -> Iterator[Sequence[float]]:
        from katib.search.parzen import ask

        space, trials = question.space, [*question.trials.listed, *question.trials.earlier]
        for _ in range(PROPOSALS):
            point = ask(
                space,
                trials,
                question.direction,
                multivariate=self.multivariate,
                candidates=candidates(question.settings),
                seed=int(question.generator.integers(2**31)),
            )
            yield space.shares(point) or ()


def candidates(settings: Mapping[str, str]) -> int:
    """Returns how many points are compared for one proposal; hyperopt and Optuna spell the setting differently."""
    return int(settings.get("n_ei_candidates") or settings.get("n_EI_candidates") or CANDIDATES)


def require(space: Space, settings: Mapping[str, str]) -> None:
    """Raises ManifestError where a proposal would take too long."""
    if candidates(settings) > MOST_CANDIDATES:
        raise ManifestError(f"the candidates of a proposal must be 1 to {MOST_CANDIDATES}")


UNIVARIATE = SearchAlgorithm(
    propose=Tpe(multivariate=False).propose,
    settings=Settings(
        stock={
            "gamma": real(lambda value: 0 < value < 1, "a number between 0 and 1"),
            "prior_weight": real(lambda value: 0 < value < float("inf"), "a finite number above 0"),
            "n_EI_candidates": whole(1, 2**31),
            **SEED,
        },
        ours={**FIRST, **WARM},
        idle=frozenset({"gamma", "prior_weight"}),
    ),
    require=require,
)
MULTIVARIATE = SearchAlgorithm(
    propose=Tpe(multivariate=True).propose,
    settings=Settings(
        stock={"n_startup_trials": whole(0), "n_ei_candidates": whole(1, 2**31), **SEED}, ours={**FIRST, **WARM}
    ),
    require=require,
)
