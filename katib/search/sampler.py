"""What to try next: the trials so far -> assignments of the next ones, by the algorithm that the manifest names.

`Sampler.propose` is a function of the history alone: the same seed and the same trials, in any order, give the same proposals,
whoever asks and however often it was started again. Pure; called by the local engine and by the suggestion service.

bayesianoptimization is a Gaussian process (katib/search/bayes.py); multivariate-tpe is Optuna's multivariate TPE (Bergstra et
al. 2011, NeurIPS; Falkner et al. 2018, ICML, section 4.1), tpe treats each parameter alone; sobol is the scrambled sequence
(Owen 1998), grid goes through its points in order.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from katib.check.services import SERVICES
from katib.errors import ManifestError, nearest
from katib.experiment import Algorithm, Experiment
from katib.search.history import Past
from katib.search.settings import checked
from katib.search.space import Space

# Optuna announces each study that is created, and here one is for each proposal.
optuna.logging.set_verbosity(optuna.logging.WARNING)

ALGORITHMS = ("bayesianoptimization", "multivariate-tpe", "tpe", "random", "grid", "sobol")
MOST_CANDIDATES = 10_000

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
    first: tuple[Mapping[str, str], ...] = ()
    """Points that are proposed before all others: what is in use today, so that the search holds its own control."""

    def propose(
        self,
        history: Sequence[Past],
        count: int = 1,
        *,
        earlier: Sequence[Past] = (),
        position: int | None = None,
    ) -> list[dict[str, str]]:
        """Assignments of the next `count` trials; fewer only where the space has no untried point left.

        `history` are the trials of this search in any order, `earlier` those of searches before it, whose space may be
        another. `position` is the number of trials proposed so far, where the history may lack some (Katib leaves out
        those without metrics): it keeps a seed from repeating itself.
        """
        raise NotImplementedError


def sampler(experiment: Experiment) -> Sampler:
    """What the manifest's `algorithm` and `parameters` ask for. Raises ManifestError where that cannot be done."""
    raise NotImplementedError


def idle_settings(algorithm: Algorithm) -> list[str]:
    """Settings that Katib's own service of that name reads and this one does not: worth a word to the user."""
    return sorted(set(algorithm.settings) & _IDLE.get(algorithm.name, frozenset()))
