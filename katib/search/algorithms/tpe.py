"""Tree-structured Parzen estimators, as Optuna computes them (Bergstra et al. 2011, NeurIPS).

multivariate-tpe models all parameters together (Falkner et al. 2018, ICML, section 4.1), tpe each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from katib.errors import ManifestError
from katib.search.algorithms.base import Question, SearchAlgorithm
from katib.search.setting import real, whole
from katib.search.settings import FIRST, SEED, WARM, Settings
from katib.search.space import Space

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from katib.search.history import Observation

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
        space, trials = question.space, question.trials
        for _ in range(PROPOSALS):
            point = self._ask(question, [*trials.listed, *trials.earlier], int(question.generator.integers(2**31)))
            yield space.shares(point) or ()

    def _ask(self, question: Question, trials: Sequence[Observation], seed: int) -> dict[str, str]:
        import optuna

        # Optuna announces each study that is created, and each proposal creates one.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        space = question.space
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(
                n_startup_trials=0,
                n_ei_candidates=candidates(question.settings),
                multivariate=self.multivariate,
                constant_liar=True,
                seed=seed,
            ),
            direction=question.direction.value,
            pruner=optuna.pruners.NopPruner(),
        )
        study.add_trials([frozen for trial in trials if (frozen := _frozen(space, trial))])
        return space.assignments(study.ask(space.distributions).params)


def candidates(settings: Mapping[str, str]) -> int:
    """Returns how many points are compared for one proposal; hyperopt and Optuna spell the setting differently."""
    return int(settings.get("n_ei_candidates") or settings.get("n_EI_candidates") or CANDIDATES)


def require(space: Space, settings: Mapping[str, str]) -> None:
    """Raises ManifestError where a proposal would take too long."""
    if candidates(settings) > MOST_CANDIDATES:
        raise ManifestError(f"the candidates of a proposal must be 1 to {MOST_CANDIDATES}")


def _frozen(space: Space, trial: Observation) -> FrozenTrial | None:
    """Returns a trial in Optuna's form; None where it is a trial of another space."""
    from optuna.trial import TrialState, create_trial

    coordinates = space.coordinates(trial.assignments)
    if coordinates is None:
        return None
    states = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED}
    # The estimator takes a running trial for a bad one until it knows better (constant liar, Ginsbourger et al. 2010).
    # A failed trial has no value either, and its surroundings are to be avoided as well.
    state = TrialState.RUNNING if trial.worth is None else states.get(trial.outcome, TrialState.RUNNING)
    # A stopped trial ranks by how far it came and its best value so far, never as if it had been completed.
    stopped = state == TrialState.PRUNED
    return create_trial(
        state=state,
        params=coordinates,
        distributions=space.distributions,
        value=trial.worth if state == TrialState.COMPLETE else None,
        intermediate_values={len(trial.values): trial.worth} if stopped and trial.worth is not None else None,
    )


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
