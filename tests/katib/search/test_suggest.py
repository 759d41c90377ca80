"""Where the process promises most, against a fine grid of the textbook's expected improvement.

And what noise it demands.
"""

from itertools import islice

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2, multivariate_normal, norm

from katib.manifest.search import Parameter
from katib.search import bayes
from katib.search.bayes import Surrogate, noise_prior, suggest, surrogate
from katib.search.gaussian_process import JITTER
from katib.search.space import Space
from tests.katib.search.test_bayes import LINE, SQUARE, told
from tests.katib.search.test_gaussian_process import matern

CUBE = Space.of([Parameter(name, "double", "0", "1", None, (), "uniform") for name in "xyz"])


def improvement(model: Surrogate, points: np.ndarray, best: float) -> np.ndarray:
    """ln of the expected improvement over `best` as every textbook has it (Jones et al. 1998, equation 15)."""
    mean, deviation = model.standard(points)
    z = (mean - best) / deviation
    logarithm: np.ndarray = np.log(np.maximum(deviation * (z * norm.cdf(z) + norm.pdf(z)), 1e-9))
    return logarithm


@pytest.mark.parametrize("pending", [[], [[0.62, 0.4]]])
def test_the_first_suggestion_promises_as_much_as_any_point_of_a_fine_grid(
    pending: list[list[float]],
) -> None:
    """Improvement over the best that the process believes in, and 0.4 deviations of the values beyond (EXPLORE)."""
    generator = np.random.default_rng(5)
    points = generator.random((15, 2))
    values = np.sin(5 * points[:, 0]) * np.cos(3 * points[:, 1]) + generator.normal(scale=0.1, size=15)
    given = told(points, values, pending=np.array(pending).reshape(-1, 2))
    model = surrogate(SQUARE, given)
    if pending:
        model = model.assume(given.pending)
    best = max(model.standard(np.vstack([points, given.pending]))[0]) + 0.4
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 101)] * 2), -1).reshape(-1, 2)
    found = np.array(list(suggest(SQUARE, given, np.random.default_rng(0))))
    promised = improvement(model, found, best)
    assert promised[0] >= improvement(model, grid, best).max() - 1e-4
    assert (np.diff(promised) <= 1e-4).all()
    assert (found >= 0).all()
    assert (found < 1).all()
    assert len(found) > 2000


@pytest.mark.parametrize("seed", [1, 3])
def test_the_first_suggestion_is_the_optimum_that_scipy_climbs_to(seed: int) -> None:
    """L-BFGS-B from the eight best of 200 points, in three dimensions.

    The promise is a logarithm, and 4e-4 are 0.04 %.
    """
    draw = np.random.default_rng(seed)
    points = draw.random((25, 3))
    given = told(points, -((points - 0.3) ** 2).sum(1))
    model = surrogate(CUBE, given)
    best = max(model.standard(points)[0]) + 0.4

    def loss(point: np.ndarray) -> float:
        return -float(improvement(model, point[None], best)[0])

    starts = sorted(draw.random((200, 3)), key=loss)[:8]
    top = min(minimize(loss, start, bounds=[(0, 1)] * 3).fun for start in starts)
    assert loss(np.array(next(suggest(CUBE, given, np.random.default_rng(seed))))) < top + 4e-4


def test_a_pending_point_is_not_suggested_again() -> None:
    given = told(np.array([[0.1], [0.5], [0.9]]), [0.0, 1.0, 0.2])
    (first,) = next(suggest(LINE, given, np.random.default_rng(0)))
    waiting = told(given.points, given.values, pending=np.array([[first]]))
    (second,) = next(suggest(LINE, waiting, np.random.default_rng(0)))
    assert abs(second - first) > 0.02


def test_the_best_at_the_upper_end_is_suggested_and_no_share_is_1() -> None:
    """A share lies below 1 (Space.at): the last of several values has the shares up to there."""
    given = told(np.array([[0.1], [0.5], [0.8]]), [0.0, 1.0, 2.0])
    found = np.array(list(suggest(LINE, given, np.random.default_rng(0))))
    assert 0.99 < found[0, 0] < 1
    assert found.max() < 1
    low = np.array(list(suggest(LINE, told(1 - given.points, given.values), np.random.default_rng(0))))
    assert (low[0, 0], low.min()) == (0, 0)


def test_suggestions_hang_on_the_generator_alone() -> None:
    given = told(np.array([[0.1, 0.2], [0.5, 0.5], [0.9, 0.1]]), [0.0, 1.0, 0.2])
    one, same, other = (list(islice(suggest(SQUARE, given, np.random.default_rng(n)), 3)) for n in (0, 0, 1))
    assert one == same != other


def test_a_noise_is_demanded_where_a_likelihood_ratio_test_says_so() -> None:
    """Rasmussen and Williams 2006, equation 2.30, by scipy's normal density.

    Half of the 95 % quantile of chi-square.
    """
    assert pytest.approx(chi2.ppf(0.95, 1) / 2, abs=0.001) == bayes.RATIO
    points = np.repeat(np.linspace(0, 1, 7), 2)[:, None]
    decided = set()
    for scatter in (0.0, 0.01, 0.5):
        for seed in range(3):
            values = np.sin(3 * points[:, 0]) + scatter * np.random.default_rng(seed).normal(size=14)
            given, none = told(points, values), (values.std() * 1e-3, 50.0)
            gain = density(surrogate(LINE, given), points) - density(surrogate(LINE, given, none), points)
            found = noise_prior(LINE, given)
            assert (found is None) == (gain > bayes.RATIO)
            assert found is None or found == pytest.approx(none)
            decided.add(found is None)
    assert decided == {True, False}


def density(model: Surrogate, points: np.ndarray) -> float:
    lengths, signal, noise = np.exp(model.process.theta[:-2]), *np.exp(model.process.theta[-2:])
    covariance = signal * matern(points, points, lengths) + (noise + JITTER) * np.eye(len(points))
    return float(multivariate_normal(np.zeros(len(points)), covariance).logpdf(model.process.y))
