"""Fits and evaluates a Gaussian process on a few hundred points: Matérn 5/2, one length per group of features.

The formulas are those of Rasmussen and Williams 2006, sections 2.2 (prediction), 4.2.1 (kernel) and 5.4.1 (gradient of
the marginal likelihood). The hyperparameters are the maximum a posteriori under log-normal priors, which few trials
need (Hvarfner et al. 2024, ICML, on lengths that grow with the dimension).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

# With matrices as small as these, threads wait for each other longer than they work, above all while trials run.
threadpool_limits(1, user_api="blas")

Array = NDArray[np.float64]

JITTER = 1e-8
LENGTH_MEAN, LENGTH_DEVIATION = math.log(0.5), 0.7
"""The prior of ln length in units of the axis, in one dimension; in D dimensions the mean is greater by ln(D) / 2."""
SIGNAL_DEVIATION = 1.0
"""The prior of ln signal variance has mean 0."""
NOISE_MEAN, NOISE_DEVIATION = math.log(0.01), 1.5
"""The prior of ln noise variance, for values of variance 1."""
BOUNDS = 6.0
"""How far, in logarithms, a hyperparameter may leave its prior's mean."""


@dataclass(frozen=True)
class GaussianProcess:
    """A process with fitted hyperparameters, conditioned on values."""

    x: Array
    """[N, D], the points."""
    y: Array
    """[N], the values, of mean near 0 and variance near 1."""
    extra: Array
    """[N], the variance of each value beyond the noise of all."""
    groups: NDArray[np.intp]
    """[D], the index of each feature's length."""
    theta: Array
    """ln lengths, ln signal variance, ln noise variance."""
    factor: tuple[Array, bool]
    """The Cholesky factor of the covariance, as scipy.linalg.cho_factor returns it."""
    weights: Array
    """[N], the inverse covariance times the values."""

    @property
    def log_likelihood(self) -> float:
        """The log likelihood of the values, up to a constant (Rasmussen and Williams 2006, equation 2.30)."""
        return float(-0.5 * self.y @ self.weights - np.log(np.diag(self.factor[0])).sum())

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Returns mean and standard deviation [M] of the function, without noise, at `points` [M, D]."""
        signal, cross = math.exp(self.theta[-2]), self.cross(points)
        half = solve_triangular(self.factor[0], cross.T, lower=True, check_finite=False)
        variance = np.maximum(signal - np.einsum("nm,nm->m", half, half), 1e-12)
        return cross @ self.weights, np.sqrt(variance)

    def sample(self, points: Array, draws: int, generator: np.random.Generator) -> Array:
        """Returns `draws` functions [draws, M] of the process, without noise, at `points` [M, D]."""
        cross = self.cross(points)
        half = solve_triangular(self.factor[0], cross.T, lower=True, check_finite=False)
        covariance = math.exp(self.theta[-2]) * _matern(_squares(points, points, self.groups, self.theta))[0]
        values, vectors = np.linalg.eigh(covariance - half.T @ half)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(cross @ self.weights + generator.standard_normal((draws, len(points))) @ root.T)

    def cross(self, points: Array) -> Array:
        """Returns the covariance [M, N] of the function at `points` [M, D] with the function at `x`."""
        return math.exp(self.theta[-2]) * _matern(_squares(points, self.x, self.groups, self.theta))[0]

    def assume(self, points: Array) -> "GaussianProcess":
        """Returns the process conditioned on its own means at `points` as well (Ginsbourger et al. 2010)."""
        mean, _ = self.predict(points)
        x, y = np.vstack([self.x, points]), np.append(self.y, mean)
        return _conditioned(x, y, np.append(self.extra, np.zeros(len(points))), self.groups, self.theta)


def fit(
    x: Array, y: Array, extra: Array, groups: NDArray[np.intp], noise: tuple[float, float] | None = None
) -> GaussianProcess:
    """Returns the process with the most probable hyperparameters.

    `noise` is the mean and the deviation of the prior of ln noise variance; None stands for the usual one.
    """
    start, deviation = _prior_mean(groups), _prior_deviation(groups)
    if noise is not None:
        start[-1], deviation[-1] = noise
    squares = [_square(x[:, groups == group]) for group in range(groups.max() + 1)]
    optimum = minimize(
        _loss,
        start,
        args=(squares, y, extra, start, deviation),
        jac=True,
        method="L-BFGS-B",
        bounds=[(value - BOUNDS, value + BOUNDS) for value in start],
        options={"maxiter": 60},
    )
    return _conditioned(x, y, extra, groups, optimum.x)


def _conditioned(x: Array, y: Array, extra: Array, groups: NDArray[np.intp], theta: Array) -> GaussianProcess:
    covariance = math.exp(theta[-2]) * _matern(_squares(x, x, groups, theta))[0]
    covariance[np.diag_indices_from(covariance)] += math.exp(theta[-1]) + extra + JITTER
    factor = cho_factor(covariance, lower=True, check_finite=False)
    return GaussianProcess(x, y, extra, groups, theta, factor, cho_solve(factor, y, check_finite=False))


def _loss(
    theta: Array, squares: list[Array], y: Array, extra: Array, mean: Array, deviation: Array
) -> tuple[float, Array]:
    """Returns the negative log posterior of the hyperparameters and its gradient."""
    scaled = [square * math.exp(-2 * length) for square, length in zip(squares, theta[:-2], strict=True)]
    kernel, slope = _matern(sum(scaled[1:], start=scaled[0]))
    signal, noise = math.exp(theta[-2]), math.exp(theta[-1])
    covariance = signal * kernel
    covariance[np.diag_indices_from(covariance)] += noise + extra + JITTER
    try:
        factor = cho_factor(covariance, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros_like(theta)
    weights = cho_solve(factor, y, check_finite=False)
    inverse = cho_solve(factor, np.eye(len(y)), check_finite=False)
    middle = inverse - np.outer(weights, weights)
    gradient = np.array(
        [
            *(0.5 * signal * np.sum(middle * slope * square) for square in scaled),
            0.5 * signal * np.sum(middle * kernel),
            0.5 * noise * np.trace(middle),
        ]
    )
    away = (theta - mean) / deviation
    loss = 0.5 * y @ weights + np.log(np.diag(factor[0])).sum() + 0.5 * away @ away
    return float(loss), gradient + away / deviation


def _matern(squares: Array) -> tuple[Array, Array]:
    """Returns the kernel of squared scaled distances, and its derivative by ln length divided by the square."""
    distance = np.sqrt(5.0 * squares)
    decay = np.exp(-distance)
    return (1.0 + distance + 5.0 / 3.0 * squares) * decay, 5.0 / 3.0 * (1.0 + distance) * decay


def _squares(a: Array, b: Array, groups: NDArray[np.intp], theta: Array) -> Array:
    lengths = np.exp(theta[groups])
    a, b = a / lengths, b / lengths
    return np.asarray(np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T, 0.0))


def _square(x: Array) -> Array:
    return np.asarray(((x[:, None] - x[None]) ** 2).sum(-1))


def _prior_mean(groups: NDArray[np.intp]) -> Array:
    count = int(groups.max()) + 1
    return np.array([LENGTH_MEAN + 0.5 * math.log(count)] * count + [0.0, NOISE_MEAN])


def _prior_deviation(groups: NDArray[np.intp]) -> Array:
    count = int(groups.max()) + 1
    return np.array([LENGTH_DEVIATION] * count + [SIGNAL_DEVIATION, NOISE_DEVIATION])
