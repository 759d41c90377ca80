"""The distance to the nearest failed trial, against a plain loop over points and axes."""

import math

import numpy as np
import pytest

from katib.manifest.search import Parameter
from katib.search.points import Points
from katib.search.space import Space

SPACE = Space.of(
    [
        Parameter("kind", "categorical", None, None, None, ("a", "b", "c"), "uniform"),
        Parameter("x", "double", "0", "1", None, (), "uniform"),
        Parameter("size", "discrete", None, None, None, ("1", "2", "4"), "uniform"),
        Parameter("word", "categorical", None, None, None, ("u", "v"), "uniform"),
    ]
)


def test_the_distance_is_that_to_the_nearest_of_all() -> None:
    """The greatest difference on any axis, in shares.

    Two values of a list without order differ by 1, one from itself by 0.
    """
    draw = np.random.default_rng(0)
    failed = [
        [
            (draw.integers(3) + 0.5) / 3,
            draw.random(),
            (draw.integers(3) + 0.5) / 3,
            (draw.integers(2) + 0.5) / 2,
        ]
        for _ in range(40)
    ]
    places = Points(SPACE, failed)
    found = set()
    for _ in range(60):
        point = draw.random(4)
        nearest = math.inf
        for other in failed:
            kind = float(int(point[0] * 3) != int(other[0] * 3))
            word = float(int(point[3] * 2) != int(other[3] * 2))
            nearest = min(nearest, max(kind, word, abs(point[1] - other[1]), abs(point[2] - other[2])))
        assert places.distance(tuple(point)) == pytest.approx(nearest)
        found.add(nearest)
    assert len(found) > 30


def test_where_nothing_failed_every_point_is_far_from_it() -> None:
    assert Points(SPACE, []).distance((0.5, 0.5, 0.5, 0.5)) == 1
    twins = Points(SPACE, [(1 / 6, 0.25, 1 / 6, 0.25)])
    assert twins.distance((1 / 6, 0.25, 1 / 6, 0.25)) == 0
    assert twins.distance((0.5, 0.25, 1 / 6, 0.25)) == 1
