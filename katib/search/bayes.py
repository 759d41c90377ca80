"""Proposes points by Bayesian optimisation with a Gaussian process of the trials so far.

The criterion is the expected improvement (Mockus 1978) over the best mean of the process, and not over the luckiest
value, because values are noisy (Gramacy 2020, Surrogates, section 7.2.4). It is computed in logarithms (Ament et al.
2023, NeurIPS), which distinguish points far from the best as well. Running trials are assumed to reach the mean of the
process (kriging believer, Ginsbourger et al. 2010).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import erfcx, ndtr

from katib.search.gaussian_process import Array, GaussianProcess, fit
from katib.search.observations import Observations
from katib.search.prior import Density
from katib.search.space import Space

MOST = 250
"""The trials that the process is fitted to: of more, the better half of this number, and the rest at even ranks."""
SPREAD, ROUNDS, PARENTS, CHILDREN = 1024, 5, 8, 32
"""The criterion is maximised over SPREAD random points, then in ROUNDS over CHILDREN around each of PARENTS points."""
EXPLORE = 0.4
"""The improvement counts from so many standard deviations of the values above the best (Lizotte 2008, section 3.4.2).
Without it a search of 25 trials crowds around its first good point: of 0, 0.3, 0.45 and 0.6, the benchmark was best
between 0.3 and 0.45, and points that prove worse are cheap where a stop rule ends them."""
TINY = 1e-100
"""Values that differ by less count as equal, so that the square of their difference is not 0."""
WORST = 2.0
"""Values further below the median than so many times its distance to the best are raised to there: how badly a trial
diverged says nothing about the best, and would stretch the scale of the others."""
EXACT, RATIO = 1e-3, 1.92
"""The share of the values' deviation that counts as no noise, and the logarithm of the likelihood ratio beyond which
noise is fitted: half of 3.84, the 95 % quantile of chi-square with one degree of freedom."""


def suggest(
    space: Space, observed: Observations, generator: np.random.Generator, prior: Density | None = None
) -> Iterator[tuple[float, ...]]:
    """Yields points of the unit cube, the most promising first; at least two values must be observed.

    The criterion is multiplied by the prior's density, less with every trial, earlier ones included.
    """
    model = surrogate(space, observed)
    if len(observed.pending):
        model = model.assume(observed.pending)
    best = model.standard(np.vstack([observed.points[_chosen(observed)], observed.pending]))[0].max()

    trials = len(observed.values) + len(observed.pending)

    def criterion(points: Array) -> Array:
        improvement = expected_log_improvement(*model.standard(points), best + EXPLORE)
        return improvement if prior is None else improvement + prior.weight(points, trials)

    points = generator.random((SPREAD, len(space.axes)))
    order = np.argsort(-observed.values, kind="stable")[:PARENTS]
    points = np.vstack([points, observed.points[order]])
    scores = criterion(points)
    for index in range(ROUNDS):
        top = np.argsort(-scores, kind="stable")[:PARENTS]
        parents = np.repeat(points[top], CHILDREN, axis=0)
        steps = generator.standard_normal(parents.shape) * 0.2 * 0.4**index
        # Some steps change few coordinates and some all: a ridge along an axis is climbed that way.
        steps *= generator.random(steps.shape) < generator.choice([0.3, 1.0], size=(len(steps), 1))
        children = np.clip(parents + steps, 0.0, _BELOW_1)
        points, scores = np.vstack([points, children]), np.append(scores, criterion(children))
    for index in np.argsort(-scores, kind="stable"):
        yield tuple(float(share) for share in points[index])


@dataclass(frozen=True)
class Surrogate:
    """The process fitted to observations, which predicts the value at every point."""

    features: "_Features"
    process: GaussianProcess
    middle: float
    scale: float

    @property
    def noise(self) -> float:
        """The fitted standard deviation between trials of one point, in the unit of the values."""
        return self.scale * math.exp(float(self.process.theta[-1]) / 2)

    def standard(self, points: Array) -> tuple[Array, Array]:
        """Returns mean and standard deviation at `points` [M, D] of the cube, without noise.

        Their unit is that in which the observed values have mean 0 and variance 1.
        """
        return self.process.predict(self._encoded(points))

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Returns mean and standard deviation at `points` [M, D] in the unit of the values, greater is better."""
        mean, deviation = self.standard(points)
        return self.middle + self.scale * mean, self.scale * deviation

    def sample(self, points: Array, draws: int, generator: np.random.Generator) -> Array:
        """Returns functions [draws, M] of the process at `points` [M, D] in the unit of the values."""
        return self.middle + self.scale * self.process.sample(self._encoded(points), draws, generator)

    def assume(self, points: Array) -> "Surrogate":
        """Returns the process that has also observed its own means at `points` [P, D]."""
        return replace(self, process=self.process.assume(self._encoded(points)))

    def _encoded(self, points: Array) -> Array:
        # The points are of this search: their feature of the source, where there is one, is 0.
        features = self.features.of_points(points)
        return np.pad(features, ((0, 0), (0, self.process.x.shape[1] - features.shape[1])))


def surrogate(space: Space, observed: Observations, noise: tuple[float, float] | None = None) -> Surrogate:
    """Returns the process fitted to at least one observed value.

    `noise` is the standard deviation between trials of one point, in the unit of the values, and the degrees of freedom
    of its estimate; None where it is unknown.
    """
    features, chosen = _Features.of(space), _chosen(observed)
    values = observed.values[chosen]
    floor = np.median(values) - WORST * (values.max() - np.median(values))
    values = np.maximum(values, floor)
    scale = values.std() if values.std() > 1e-12 * np.abs(values).max() + TINY else 1.0
    groups, inputs = features.groups, features.of_points(observed.points)[chosen]
    if observed.source.any():
        # The source is a feature with a length of its own: how similar the earlier search is, is fitted as well.
        inputs = np.column_stack([inputs, observed.source[chosen]])
        groups = np.append(groups, groups.max() + 1)
    # ln of a variance that was estimated with n degrees of freedom deviates by about sqrt(2 / n).
    prior = noise and (2 * math.log(noise[0] / scale), math.sqrt(2 / noise[1]))
    process = fit(inputs, (values - values.mean()) / scale, observed.variance[chosen] / scale**2, groups, prior)
    return Surrogate(features, process, float(values.mean()), float(scale))


_BELOW_1 = math.nextafter(1.0, 0.0)


def _chosen(observed: Observations) -> np.ndarray:
    """Returns the indices of the trials that the process is fitted to."""
    order = np.argsort(-observed.values, kind="stable")
    if len(order) <= MOST:
        return np.arange(len(order))
    half = MOST // 2
    rest = order[half:]
    return np.sort(np.append(order[:half], rest[np.linspace(0, len(rest) - 1, MOST - half).astype(int)]))


def noise_prior(space: Space, observed: Observations) -> tuple[float, float] | None:
    """Returns the noise to fit the process with: nearly none, or None where it is to be fitted to the values.

    Single values never prove that there is no noise. But where a process without noise explains them as well, by a
    likelihood ratio test at 5 %, their order stands (Rasmussen and Williams 2006, section 5.4).
    """
    none = max(float(observed.values.std()), TINY) * EXACT, 50.0
    gain = surrogate(space, observed).process.log_likelihood - surrogate(space, observed, none).process.log_likelihood
    return None if gain > RATIO else none


def expected_log_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """Returns ln of the expected improvement of normal values over `best` (Ament et al. 2023, equations 9 and 14)."""
    z = (mean - best) / deviation
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    near = np.log(np.maximum(density + z * ndtr(z), 1e-300))
    far = np.minimum(z, -1.0)
    tail = math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2)) * -far
    logs = np.where(far > -1e3, np.log1p(-np.minimum(tail, 1 - 1e-15)), -2 * np.log(-far))
    distant = -0.5 * far * far - 0.5 * math.log(2 * math.pi) + logs
    return np.asarray(np.log(deviation) + np.where(z > -1.0, near, distant))


@dataclass(frozen=True)
class _Features:
    """The features of points for the process: the share of an ordered axis, one feature per value of another."""

    space: Space
    groups: np.ndarray
    """[D], the axis that each feature belongs to."""

    @classmethod
    def of(cls, space: Space) -> "_Features":
        widths = [1 if axis.ordered else axis.levels or 1 for axis in space.axes.values()]
        return cls(space, np.repeat(np.arange(len(widths)), widths))

    def of_points(self, points: Array) -> Array:
        columns: list[Array] = []
        for column, axis in zip(points.T, self.space.axes.values(), strict=True):
            if not axis.even:
                columns.append(column[:, None])
                continue
            count = axis.levels or 1
            levels = (column * count).astype(int)
            # Two different values of an unordered axis are as far apart as the ends of an ordered one.
            columns.append(((levels + 0.5) / count)[:, None] if axis.ordered else np.eye(count)[levels] / math.sqrt(2))
        return np.hstack(columns)
