"""Says how much of the variation over the space each parameter explains by itself, as the search's model has it.

That is the first-order index of Sobol (1993): the variance of the mean along one parameter, over the variance over the
whole space. Functions drawn from the Gaussian process give it an interval. The interval takes the fitted lengths for
true: in searches where nothing matters its lower end was above 5 % for some parameter in every second one. So a share
is told only where chance alone does not explain it either (katib/table/importance.py). Pure: no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from katib.search.axis import Axis
from katib.search.space import Space

if TYPE_CHECKING:
    # SciPy takes half a second to load: only what fits a process waits for it.
    from katib.search.bayes import Surrogate

POINTS, DRAWS, SEED = 256, 200, 0
GROUPS = 8
"""Parts of an axis whose means are compared, or its values where they are few."""
ENDS = (0.05, 0.5, 0.95)
LEAST = 0.01
"""An interval that begins below it does not tell a parameter from one without effect."""


@dataclass(frozen=True)
class Share:
    """A parameter's share of the variation, 0 to 1: the median over the model's functions, and their 90 % interval."""

    middle: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether the model itself sees an effect."""
        return self.low > LEAST


def shares(process: "Surrogate", space: Space) -> Mapping[str, Share]:
    """Returns each parameter's share; empty where the model's functions are flat."""
    import numpy as np

    from katib.search import sobol_sequence

    places = np.array(list(islice(sobol_sequence.points(len(space.axes), 0, SEED), POINTS)))
    functions = process.sample(places, DRAWS, np.random.default_rng(SEED))
    whole = functions.var(axis=1)
    if not whole.min() > 0:
        return {}
    found = {}
    for index, (name, axis) in enumerate(space.axes.items()):
        if (number := _groups(axis)) < 2:
            continue
        groups = [functions[:, (places[:, index] * number).astype(int) == group] for group in range(number)]
        means = np.stack([group.mean(axis=1) for group in groups], axis=1)
        # The means of few points differ by the other parameters as well.
        chance = np.mean([group.var(axis=1, ddof=1) / group.shape[1] for group in groups], axis=0)
        part = np.clip((means.var(axis=1, ddof=1) - chance) * (number - 1) / number / whole, 0, 1)
        low, middle, high = (float(one) for one in np.quantile(part, ENDS))
        found[name] = Share(middle, low, high)
    return found


def _groups(axis: Axis) -> int:
    return axis.levels or 1 if axis.even and (axis.levels or 1) <= 2 * GROUPS else GROUPS
