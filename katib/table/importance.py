"""Measures by PED-ANOVA which parameters distinguish good trials from bad ones, and which only as much as chance does.

PED-ANOVA (Watanabe et al. 2023, IJCAI, in Optuna) measures how differently a parameter is distributed among the best
trials and among all. With a few dozen trials that differs by luck as well; so the values are dealt to the trials anew
39 times, and a parameter counts as important where it exceeds all but one of them (a permutation test at 5 %, Phipson
and Smyth 2010).
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from katib.table.axes import axes
from katib.table.ends import ends
from katib.table.sample import spread
from katib.table.trial_table import TrialTable
from katib.text import count

FEWEST, MOST = 12, 200
"""The numbers of trials that are needed, and compared at most. With 12 trials the right one of four parameters came
first in 23 of 30 simulated searches, with 8 trials in 16."""
DEALS, BEYOND, SEED = 39, 2, 0
"""How often the values are dealt anew, and which of the results, from the greatest, is the bar: 2 in 40 are 5 %, and a
single extreme result does not hide what matters."""
BEST_TRIALS = 25
"""How many trials count as good, but at most half of all; with fewer, simulated searches named the wrong parameter more
often."""


@dataclass(frozen=True)
class Importance:
    """A parameter's share of all importance, and the share that chance reaches in 1 of 20 searches."""

    name: str
    share: float
    chance: float
    distribution: str = ""
    """Optuna's name for the distribution of its values."""

    @property
    def significant(self) -> bool:
        """Whether it is more than chance."""
        return self.share > self.chance


def importances(table: TrialTable) -> list[Importance]:
    """Returns all searched parameters, the most important first. Raises ValueError if the trials cannot show that.

    A stopped trial counts as what it would have reached.
    """
    varied = {name: axis for name, axis in axes(table).items() if axis.levels != 1}
    rows = [
        row
        for row in table.rows
        if row.value is not None
        and all(axis.coordinate(row.assignments.get(name, "")) is not None for name, axis in varied.items())
    ]
    if len(rows) < FEWEST:
        raise ValueError(
            f"{count(len(rows), 'trial')} with a value are too few to tell importance from chance; it takes {FEWEST}"
        )
    rows = spread(rows, MOST)
    expected = ends(table)
    # The value of an early epoch beside final ones would say when a trial was stopped, and not what it was worth.
    worth = [expected[row.trial].value if row.trial in expected else row.value for row in rows]
    values = np.array(worth, float)
    if np.ptp(values) == 0:
        raise ValueError("all trials reached the same value, so nothing mattered")
    values *= table.identity.direction.sign
    points = [{name: axis.record(row.assignments[name]) for name, axis in varied.items()} for row in rows]
    with _quiet():
        divergences = _divergences(points, values)
    total = sum(divergences[0].values()) or 1.0
    found = [
        Importance(
            name,
            raw / total,
            sorted(dealt[name] for dealt in divergences[1:])[-BEYOND] / total,
            type(points[0][name][0]).__name__,
        )
        for name, raw in divergences[0].items()
    ]
    return sorted(found, key=lambda one: -one.share)


def _divergences(
    points: Sequence[dict[str, tuple[BaseDistribution, float | int | str]]], values: NDArray[np.float64]
) -> list[dict[str, float]]:
    """Returns PED-ANOVA's divergences by parameter: for the values as they are, and DEALS times reshuffled."""
    from optuna import create_study
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.trial import FrozenTrial, create_trial

    study = create_study(direction="minimize")
    for point, value in zip(points, values, strict=True):
        params = {name: number for name, (_, number) in point.items()}
        distributions = {name: distribution for name, (distribution, _) in point.items()}
        study.add_trial(create_trial(params=params, distributions=distributions, value=float(value)))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=min(0.5, BEST_TRIALS / len(values)))
    draw = np.random.default_rng(SEED)

    def divergence(dealt: NDArray[np.float64]) -> dict[str, float]:
        def loss(trial: FrozenTrial) -> float:
            return -float(dealt[trial.number])

        # Not get_param_importances, whose option for shares that are not normalised is an experiment.
        return evaluator.evaluate(study, target=loss)

    return [divergence(values), *(divergence(draw.permutation(values)) for _ in range(DEALS))]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Optuna, which announces each study and warns that it minimises, although the values are negated."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
