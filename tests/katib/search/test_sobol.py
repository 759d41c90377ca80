import itertools

import numpy as np
import pytest
from scipy.stats import qmc

from katib.search.sobol import BITS, WIDEST, _at, _directions, points


def _first(width: int, number: int, seed: int = 0, start: int = 0) -> np.ndarray:
    return np.array(list(itertools.islice(points(width, start, np.random.default_rng(seed)), number)))


def test_before_it_is_scrambled_it_is_scipys_sequence() -> None:
    directions, unshifted = _directions(WIDEST), np.zeros((WIDEST, BITS), dtype=np.int64)
    ours = [_at(directions, unshifted, index) for index in range(1024)]
    assert np.array_equal(ours, qmc.Sobol(WIDEST, scramble=False, bits=BITS).random(1024))


@pytest.mark.parametrize("seed", range(5))
def test_scrambled_every_axis_has_one_point_in_each_part(seed: int) -> None:
    parts = np.sort((_first(WIDEST, 64, seed) * 64).astype(int), axis=0)
    assert np.array_equal(parts, np.tile(np.arange(64)[:, None], WIDEST))


@pytest.mark.parametrize("seed", range(5))
def test_scrambled_the_first_two_axes_are_a_net(seed: int) -> None:
    """In base 2 with t = 0: each of the 32 boxes of any one shape holds one of 32 points."""
    shares = _first(2, 32, seed)
    for wide in range(6):
        boxes = {(int(x * 2**wide), int(y * 2 ** (5 - wide))) for x, y in shares}
        assert len(boxes) == 32


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_scrambles_as_in_scipy(seed: int) -> None:
    theirs = qmc.Sobol(WIDEST, rng=np.random.default_rng(seed)).random(64)
    assert np.array_equal(_first(WIDEST, 64, seed), theirs)


def test_each_point_by_itself_is_uniform() -> None:
    firsts = np.array([_first(3, 1, seed)[0] for seed in range(400)])
    assert np.allclose(firsts.mean(axis=0), 0.5, atol=0.06)
    assert np.allclose(firsts.var(axis=0), 1 / 12, atol=0.015)


def test_it_can_begin_anywhere() -> None:
    assert np.array_equal(_first(5, 10)[7:], _first(5, 3, start=7))
    assert _first(5, 3, start=2**BITS - 1).shape == (3, 5)


def test_axes_beyond_the_widest_are_random() -> None:
    shares = _first(WIDEST + 3, 256)
    assert shares.shape == (256, WIDEST + 3)
    assert np.array_equal(shares[:, :WIDEST], _first(WIDEST + 3, 256)[:, :WIDEST])
    assert len(np.unique(shares[:, WIDEST:])) == 3 * 256
