import itertools

import numpy as np
import pytest
from scipy.stats import qmc

from katib.search.sobol_sequence import BITS, WIDEST, points


def _first(width: int, number: int, seed: int = 0, start: int = 0) -> np.ndarray:
    return np.array(list(itertools.islice(points(width, start, np.random.default_rng(seed)), number)))


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_gives_the_points_that_it_gives_in_scipy(seed: int) -> None:
    theirs = qmc.Sobol(WIDEST, bits=BITS, rng=np.random.default_rng(seed)).random(1024)
    assert np.array_equal(_first(WIDEST, 1024, seed), theirs)


def test_it_can_begin_anywhere() -> None:
    assert np.array_equal(_first(5, 10)[7:], _first(5, 3, start=7))
    assert _first(5, 3, start=2**BITS - 1).shape == (3, 5)


def test_axes_beyond_the_widest_are_random() -> None:
    shares = _first(WIDEST + 3, 256)
    assert shares.shape == (256, WIDEST + 3)
    assert np.array_equal(shares[:, :WIDEST], _first(WIDEST, 256))
    assert len(np.unique(shares[:, WIDEST:])) == 3 * 256
