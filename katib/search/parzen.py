"""Asks Optuna's tree-structured Parzen estimator for a point, given the trials so far.

Optuna takes half a second to load, so only the algorithms that use the estimator import this module.
"""

from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from katib.search.history import Observation
from katib.search.space import Space
from katib.trial import Direction

# Optuna announces each study that is created, and each proposal creates one.
optuna.logging.set_verbosity(optuna.logging.WARNING)


def ask(
    space: Space,
    trials: Sequence[Observation],
    direction: Direction,
    *,
    multivariate: bool,
    candidates: int,
    seed: int,
) -> dict[str, str]:
    """Returns the values that the estimator proposes; `candidates` is how many points it compares."""
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(
            n_startup_trials=0,
            n_ei_candidates=candidates,
            multivariate=multivariate,
            constant_liar=True,
            seed=seed,
        ),
        direction=direction.value,
        pruner=optuna.pruners.NopPruner(),
    )
    study.add_trials([frozen for trial in trials if (frozen := _frozen(space, trial))])
    return space.assignments(study.ask(space.distributions).params)


def _frozen(space: Space, trial: Observation) -> FrozenTrial | None:
    """Returns a trial in Optuna's form; None where it is a trial of another space."""
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
