"""Bayesian optimisation: where on the unit cube the next trial promises most, by a Gaussian process of the trials so
far.

The promise is the expected improvement (Mockus 1978) over the best that the process believes in, and not over the
luckiest value, because values are noisy (Gramacy 2020, Surrogates, section 7.2.4); in logarithms (Ament et al. 2023,
NeurIPS), which tell points apart far from the best as well. Running trials are believed to come to what the process
predicts (Ginsbourger et al. 2010). Called by katib/search/sampler.py, and by katib/conclude/selection.py for what the
process believes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from statistics import fmean, median

import numpy as np
from scipy.special import erfcx, ndtr

from katib.search.gaussian_process import Array, GaussianProcess, fit
from katib.search.history import Observation
from katib.search.space import Space
from katib.trial import Direction

MOST = 250
"""Trials that the process is fitted to; of more, the better half of that number and then the rest evenly."""
SPREAD, ROUNDS, PARENTS, CHILDREN = 1024, 5, 8, 32
"""Points at random over the cube, then rounds of points around the best of them, ever closer."""
EXPLORE = 0.4
"""The improvement is counted from so many standard deviations of the values above the best (Lizotte 2008, section 3.4.2).
Without it a search of 25 trials crowds around its first find: of 0, 0.3, 0.45 and 0.6, the benchmark was best between 0.3 and
0.45, and points that prove worse are cheap where a stop rule ends them."""
HUGE, TINY = 1e100, 1e-100
"""A value beyond the one counts as that, values that differ by less than the other as equal: their squares are numbers
still."""
WORST = 2.0
"""Values further below the median than so many times the distance from the median to the best count as that far below:
how badly a trial diverged says nothing of where the best lies, and would stretch the scale of what does."""
EXACT, RATIO = 1e-3, 1.92
"""Noise as a share of the values' deviation that counts as none, and the logarithm of the likelihood ratio beyond which
a noise is demanded: half of 3.84, the 95 % quantile of chi-square with one degree of freedom."""
FAILED_QUANTILE = 0.25
"""A failed trial counts as the lower quarter of the others: its surroundings are bad, but not proven the worst."""


@dataclass(frozen=True)
class Observations:
    """What the process is told: `points` [N, D] on the unit cube with `values` [N], greater is better, each of a
    `variance` of its own beyond the noise of all; `source` [N] is 1 for a trial of an earlier search; `pending` [P, D]
    are without value.
    """

    points: Array
    values: Array
    variance: Array
    source: Array
    pending: Array


def observations(
    space: Space, history: Sequence[Observation], earlier: Sequence[Observation], direction: Direction
) -> Observations:
    """Returns both histories as the process is told them; a trial of another space is left out."""
    sign = direction.sign
    told = [*_told(space, history, sign), *(replace(one, source=1.0) for one in _told(space, earlier, sign))]
    values = [one.value for one in told if one.value is not None]
    bad = float(np.quantile(values, FAILED_QUANTILE)) if values else None
    worth = [(one, bad if one.value is None else one.value) for one in told if not one.pending]
    valued = [(one, value) for one, value in worth if value is not None]
    width = len(space.axes)
    return Observations(
        points=np.array([one.point for one, _ in valued]).reshape(-1, width),
        values=np.array([value for _, value in valued]),
        variance=np.array([one.variance for one, _ in valued]),
        source=np.array([one.source for one, _ in valued]),
        pending=np.array([one.point for one in told if one.pending and not one.source]).reshape(-1, width),
    )


def suggest(space: Space, told: Observations, generator: np.random.Generator) -> Iterator[tuple[float, ...]]:
    """Points of the unit cube, the most promising first; at least two values must be told."""
    model = surrogate(space, told)
    if len(told.pending):
        model = model.believe(told.pending)
    best = model.standard(np.vstack([told.points[_chosen(told)], told.pending]))[0].max()

    def promise(points: Array) -> Array:
        return expected_log_improvement(*model.standard(points), best + EXPLORE)

    points = generator.random((SPREAD, len(space.axes)))
    order = np.argsort(-told.values, kind="stable")[:PARENTS]
    points = np.vstack([points, told.points[order]])
    worth = promise(points)
    for index in range(ROUNDS):
        top = np.argsort(-worth, kind="stable")[:PARENTS]
        parents = np.repeat(points[top], CHILDREN, axis=0)
        steps = generator.standard_normal(parents.shape) * 0.2 * 0.4**index
        # One coordinate alone, as often as all: a ridge along an axis is climbed that way.
        steps *= generator.random(steps.shape) < generator.choice([0.3, 1.0], size=(len(steps), 1))
        children = np.clip(parents + steps, 0.0, _BELOW_1)
        points, worth = np.vstack([points, children]), np.append(worth, promise(children))
    for index in np.argsort(-worth, kind="stable"):
        yield tuple(float(share) for share in points[index])


@dataclass(frozen=True)
class Surrogate:
    """What the process believes of every point, from what it was told."""

    features: "_Features"
    process: GaussianProcess
    middle: float
    scale: float

    @property
    def noise(self) -> float:
        """The standard deviation between trials of one point, in the unit of the values, as it was fitted."""
        return self.scale * math.exp(float(self.process.theta[-1]) / 2)

    def standard(self, points: Array) -> tuple[Array, Array]:
        """Mean and standard deviation at `points` [M, D] of the cube, without noise, where the values told have mean 0
        and variance 1.
        """
        return self.process.predict(self._encoded(points))

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Returns the same in the unit of the values, greater is better."""
        mean, deviation = self.standard(points)
        return self.middle + self.scale * mean, self.scale * deviation

    def believe(self, points: Array) -> "Surrogate":
        """Returns the same, told that `points` [P, D] came to what it predicts."""
        return replace(self, process=self.process.believe(self._encoded(points)))

    def _encoded(self, points: Array) -> Array:
        # A point that is asked about is one of this search: its mark, where there are marks, is 0.
        found = self.features.of_points(points)
        return np.pad(found, ((0, 0), (0, self.process.x.shape[1] - found.shape[1])))


def surrogate(space: Space, told: Observations, noise: tuple[float, float] | None = None) -> Surrogate:
    """Returns the process fitted to what is told, at least one value.

    `noise` is the standard deviation between trials of one point, in the unit of the values, and the degrees of freedom
    that it was found with; None: nothing is known of it.
    """
    features, chosen = _Features.of(space), _chosen(told)
    values = told.values[chosen]
    floor = np.median(values) - WORST * (values.max() - np.median(values))
    values = np.maximum(values, floor)
    scale = values.std() if values.std() > 1e-12 * np.abs(values).max() + TINY else 1.0
    groups, inputs = features.groups, features.of_points(told.points)[chosen]
    if told.source.any():
        # Whether an earlier search says something of this one is a length of its own, learned with the others.
        inputs = np.column_stack([inputs, told.source[chosen]])
        groups = np.append(groups, groups.max() + 1)
    # ln of a variance that was estimated with n degrees of freedom deviates by about sqrt(2 / n).
    prior = noise and (2 * math.log(noise[0] / scale), math.sqrt(2 / noise[1]))
    process = fit(inputs, (values - values.mean()) / scale, told.variance[chosen] / scale**2, groups, prior)
    return Surrogate(features, process, float(values.mean()), float(scale))


_BELOW_1 = math.nextafter(1.0, 0.0)


@dataclass(frozen=True)
class _Told:
    """One trial: `value` is None where it has none, because it is pending or because it failed."""

    point: tuple[float, ...]
    value: float | None
    variance: float = 0.0
    pending: bool = False
    source: float = 0.0


def _told(space: Space, history: Sequence[Observation], sign: float) -> list[_Told]:
    """Returns the trials of one search, in an order that does not hang on how they were listed."""
    gains = _Gains.of(history, sign)
    found: list[_Told] = []
    for past in history:
        point = space.shares(past.assignments)
        if point is None:
            continue
        if past.outcome == "running":
            found.append(_Told(point, None, pending=True))
        elif past.outcome == "failed" or past.worth is None:
            found.append(_Told(point, None))
        elif past.outcome == "stopped":
            found.append(_Told(point, *gains.expected(past)))
        else:
            found.append(_Told(point, sign * _worth(past)))
    return sorted(found, key=lambda one: (one.point, one.pending, one.value or 0.0))


@dataclass(frozen=True)
class _Gains:
    """What the completed trials of a search came to, and how: `bests` are their best so far at each step, greater is
    better.
    """

    sign: float
    ends: list[float]
    bests: list[list[float]]
    by_step: dict[int, tuple[float, float] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, history: Sequence[Observation], sign: float) -> "_Gains":
        completed = [past for past in history if past.outcome == "completed" and past.worth is not None]
        ends = [sign * _worth(past) for past in completed]
        finite = [
            [min(max(sign * v, -HUGE), HUGE) if math.isfinite(v) else -math.inf for v in past.values]
            for past in completed
        ]
        return cls(sign, ends, [list(accumulate(values, max)) for values in finite])

    def expected(self, past: Observation) -> tuple[float, float]:
        """Returns what a trial that was stopped would have come to, and the variance of that guess.

        It would have gained from its last step on what the completed trials gained from that step on. Where its steps
        are not known, it would have ended between what it had and the median of the completed ones.
        """
        value, gain = self.sign * _worth(past), self._from(len(past.values))
        if gain is not None:
            return value + gain[0], gain[1] + (gain[0] / 4) ** 2
        middle = max(value, median(self.ends)) if self.ends else value
        return (value + middle) / 2, ((middle - value) / 4) ** 2

    def _from(self, step: int) -> tuple[float, float] | None:
        """Mean and variance of what completed trials gained after `step`; None where no curve of one is known.

        A trial that was complete by then, because patience ended it, gained nothing after its end.
        """
        if step not in self.by_step:
            reached = [
                (end, bests[:step][-1]) for end, bests in zip(self.ends, self.bests, strict=True) if bests[:step]
            ]
            gains = [end - best for end, best in reached if best > -math.inf]
            self.by_step[step] = (fmean(gains), float(np.var(gains))) if gains else None
        return self.by_step[step]


def _worth(past: Observation) -> float:
    return min(max(past.worth or 0.0, -HUGE), HUGE)


def _chosen(told: Observations) -> np.ndarray:
    """Indices of the trials that the process is fitted to."""
    order = np.argsort(-told.values, kind="stable")
    if len(order) <= MOST:
        return np.arange(len(order))
    half = MOST // 2
    rest = order[half:]
    return np.sort(np.append(order[:half], rest[np.linspace(0, len(rest) - 1, MOST - half).astype(int)]))


def demanded_noise(space: Space, told: Observations) -> tuple[float, float] | None:
    """Returns what of noise the values alone speak for, as `surrogate` takes it.

    None where a fit to them shall find it.

    Single values never prove that there is none; but where a process without noise explains them as well, by a
    likelihood ratio test at 5 %, their order stands (Rasmussen and Williams 2006, section 5.4).
    """
    none = max(float(told.values.std()), TINY) * EXACT, 50.0
    gain = surrogate(space, told).process.log_likelihood - surrogate(space, told, none).process.log_likelihood
    return None if gain > RATIO else none


def expected_log_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """ln of the expected improvement over `best` of normal values (Ament et al. 2023, equations 9 and 14)."""
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
    """How points of the cube look to the process: an ordered axis as its share, another as one feature a value."""

    space: Space
    groups: np.ndarray

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
            places = (column * count).astype(int)
            # Two different values of an unordered axis are as far apart as the ends of an ordered one.
            columns.append(((places + 0.5) / count)[:, None] if axis.ordered else np.eye(count)[places] / math.sqrt(2))
        return np.hstack(columns)
