"""The Gaussian process and the promise of a point, against textbook formulas worked out in another way."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm

from katib.search import gaussian_process
from katib.search.bayes import expected_log_improvement
from katib.search.gaussian_process import JITTER, Array, fit

generator = np.random.default_rng(0)
POINTS = generator.random((30, 3))
GROUPS = np.array([0, 1, 1])
VALUES = np.sin(5 * POINTS[:, 0]) + 0.05 * generator.normal(size=30)


def matern(a: Array, b: Array, lengths: Array) -> Array:
    """Rasmussen and Williams 2006, equation 4.17, point by point."""
    found = np.empty((len(a), len(b)))
    for i, j in np.ndindex(found.shape):
        r = math.sqrt(sum(((a[i] - b[j]) / lengths) ** 2))
        found[i, j] = (1 + math.sqrt(5) * r + 5 * r**2 / 3) * math.exp(-math.sqrt(5) * r)
    return found


def test_prediction_is_that_of_the_textbook() -> None:
    """Equations 2.25 and 2.26 with the inverse written out, at the hyperparameters that were found."""
    extra = np.linspace(0, 0.3, 30)
    process = fit(POINTS, VALUES, extra, GROUPS)
    lengths, signal, noise = np.exp(process.theta[:2])[GROUPS], *np.exp(process.theta[2:])
    inverse = np.linalg.inv(signal * matern(POINTS, POINTS, lengths) + np.diag(noise + extra + JITTER))
    at = generator.random((5, 3))
    cross = signal * matern(at, POINTS, lengths)
    mean, deviation = process.predict(at)
    assert mean == pytest.approx(cross @ inverse @ VALUES)
    assert deviation**2 == pytest.approx(signal - np.diag(cross @ inverse @ cross.T), abs=1e-9)


def test_gradient_is_the_slope_of_the_loss() -> None:
    """Against finite differences."""
    squares = [gaussian_process._square(POINTS[:, group == GROUPS]) for group in (0, 1)]
    arguments = (squares, VALUES, np.zeros(30), np.zeros(4), np.ones(4))
    theta = np.array([-0.5, 0.3, 0.2, -2.0])
    slope = approx_fprime(theta, lambda at: gaussian_process._loss(at, *arguments)[0], 1e-7)
    assert gaussian_process._loss(theta, *arguments)[1] == pytest.approx(slope, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("noise", [None, (math.log(0.04), 0.3)])
def test_the_hyperparameters_are_the_most_probable_ones(noise: tuple[float, float] | None) -> None:
    """They are where the textbook's posterior is flat.

    The posterior is scipy's normal density of the values times the priors of the docstrings: lengths around 0.5 times
    the root of the dimension (Hvarfner et al. 2024), signal around 1, noise variance around 0.01.
    """
    extra = np.linspace(0, 0.1, 30)
    process = fit(POINTS, VALUES, extra, GROUPS, noise)

    def posterior(theta: Array) -> float:
        lengths, signal, variance = np.exp(theta[:2])[GROUPS], *np.exp(theta[2:])
        covariance = signal * matern(POINTS, POINTS, lengths) + np.diag(variance + extra + JITTER)
        priors = norm([math.log(0.5 * math.sqrt(2))] * 2 + [0.0, math.log(0.01)], [0.7, 0.7, 1.0, 1.5])
        if noise is not None:
            priors = norm([*priors.mean()[:3], noise[0]], [0.7, 0.7, 1.0, noise[1]])
        return float(multivariate_normal(np.zeros(30), covariance).logpdf(VALUES) + priors.logpdf(theta).sum())

    assert approx_fprime(process.theta, posterior, 1e-6) == pytest.approx(np.zeros(4), abs=0.02)
    constant = 15 * math.log(2 * math.pi)
    squares = [gaussian_process._square(POINTS[:, group == GROUPS]) for group in (0, 1)]
    flat = (squares, VALUES, extra, np.zeros(4), np.full(4, 1e9))
    lengths, signal, variance = np.exp(process.theta[:2])[GROUPS], *np.exp(process.theta[2:])
    covariance = signal * matern(POINTS, POINTS, lengths) + np.diag(variance + extra + JITTER)
    likelihood = multivariate_normal(np.zeros(30), covariance).logpdf(VALUES)
    assert process.log_likelihood == pytest.approx(likelihood + constant)
    assert gaussian_process._loss(process.theta, *flat)[0] == pytest.approx(-likelihood - constant)


def test_points_that_are_one_point_without_any_noise_have_no_likelihood_and_no_slope() -> None:
    """Where the matrix cannot be factored the search for hyperparameters turns back instead of failing."""
    squares, theta = [np.zeros((3, 3))], np.array([0.0, 40.0, -80.0])
    loss, slope = gaussian_process._loss(theta, squares, np.arange(3.0), np.zeros(3), np.zeros(3), np.ones(3))
    assert loss > 1e9
    assert slope.tolist() == [0, 0, 0]
    # Two values of one point are no such case, however little noise there is.
    twice = gaussian_process._loss(
        np.array([0.0, 0.0, -40.0]), [np.zeros((2, 2))], np.ones(2), np.zeros(2), np.zeros(3), np.ones(3)
    )
    assert twice[0] < 1e4
    found = fit(np.zeros((3, 1)), np.array([1.0, 1.0, 1.0]), np.zeros(3), np.array([0]))
    assert found.predict(np.zeros((1, 1)))[0] == pytest.approx(1.0, abs=0.05)


def test_no_point_is_known_without_any_doubt() -> None:
    """Where rounding leaves nothing of the variance, a deviation of 0 or NaN would make the promise one."""
    for signal in np.linspace(15, 25, 8):
        theta = np.array([0.0, signal, -40.0])
        process = gaussian_process._conditioned(POINTS[:1, :1], VALUES[:1], np.zeros(1), np.array([0]), theta)
        assert process.predict(POINTS[:1, :1])[1][0] > 0


def test_the_input_that_matters_has_the_short_length() -> None:
    process = fit(POINTS, VALUES, np.zeros(30), GROUPS)
    assert process.theta[0] < process.theta[1]


def test_what_is_believed_changes_no_mean_and_leaves_less_doubt() -> None:
    process = fit(POINTS, VALUES, np.zeros(30), GROUPS)
    at = generator.random((4, 3))
    before, after = process.predict(at), process.assume(at[:1]).predict(at)
    assert after[0] == pytest.approx(before[0], abs=1e-6)
    assert after[1][0] < before[1][0]
    assert (after[1] <= before[1] + 1e-9).all()


@pytest.mark.parametrize("z", [2.0, 0.0, -0.9, -1.1, -5.0, -20.0])
def test_promise_is_the_logarithm_of_the_expected_improvement(z: float) -> None:
    """Against the integral over the improvement, scaled so that it does not vanish far from the best."""
    scale = norm.logpdf(max(0.0, -z))
    value, _ = quad(lambda x: x * math.exp(norm.logpdf(x - z) - scale), 0, 10)
    found = expected_log_improvement(np.array([3.0 + 2.0 * z]), np.array([2.0]), 3.0)
    assert found[0] == pytest.approx(math.log(2.0) + math.log(value) + scale, rel=1e-6)


@pytest.mark.parametrize("z", [-50.0, -300.0, -999.0, -1001.0, -1e4])
def test_promise_far_below_the_best_is_its_asymptotic_series(z: float) -> None:
    """Of z Phi(z) + phi(z), phi(z) / z² (1 - 3 / z² + 15 / z⁴) (Abramowitz and Stegun 1964, 26.2.12)."""
    found = expected_log_improvement(np.array([z]), np.ones(1), 0.0)[0]
    series = norm.logpdf(z) - 2 * math.log(-z) + math.log1p(-3 / z**2 + 15 / z**4)
    assert found == pytest.approx(series, abs=1e-5)


def test_promise_still_falls_where_the_improvement_is_below_any_float() -> None:
    z = -np.array([50.0, 1e3, 1e4, 1e6])
    found = expected_log_improvement(z, np.ones(4), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
