"""Several configurations against one baseline: Dunnett's factors as published, and that they hold together."""

import math

import numpy as np
import pytest

from katib.conclude.simultaneous import compare, critical


@pytest.mark.parametrize(
    ("groups", "each", "df", "expected"),
    [(3, 3, 8, 2.88), (3, 5, 16, 2.59), (2, 4, 9, 2.61), (1, 3, 2, 4.303), (1, 3, 10, 2.228)],
)
def test_the_factors_are_those_of_the_tables(groups: int, each: int, df: float, expected: float) -> None:
    """Dunnett 1955, table 2a, for one to three groups as large as the baseline; with one it is Student's t."""
    assert critical([each] * groups, each, df) == pytest.approx(expected, abs=0.012)


def test_of_many_searches_without_any_difference_one_in_twenty_claims_one() -> None:
    draw, wrong, many = np.random.default_rng(4), 0, 400
    factor = critical([2, 2, 3], 3, 6)
    for _ in range(many):
        groups = [draw.standard_normal(size) for size in (2, 2, 3, 3)]
        noise = math.sqrt(sum(((group - group.mean()) ** 2).sum() for group in groups) / 6)
        *ours, baseline = groups
        errors = [noise * math.sqrt(1 / len(group) + 1 / 3) for group in ours]
        wrong += any(
            abs(group.mean() - baseline.mean()) > factor * error for group, error in zip(ours, errors, strict=True)
        )
    assert 6 <= wrong <= 36  # of 400 with 5 % each; beyond is luck in 2 of 1 000 cases


def test_where_nothing_tells_the_noise_there_is_no_comparison() -> None:
    assert compare([[5.0]], [4.0]) is None
    assert compare([], [4.0, 4.1]) is None
    assert compare([[]], [4.0, 4.1]) is None
    (one,) = compare([[5.0]], [4.0, 4.1]) or []
    assert one.low < one.difference == pytest.approx(0.95)
