"""What seeds alone make of a value, against the formulas of the papers and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from katib.conclude.noise import PRIOR, Noise, known_beforehand, moderated, pooled
from katib.measure import SEED_DEVIATION, SI_SNR, Measure


def test_a_noise_is_weighed_against_the_prior_by_degrees_of_freedom() -> None:
    """Smyth 2004, section 3: (d0 s0² + d s²) / (d0 + d), with the 0.13 dB and the 4 degrees of docs/results.md."""
    values = [3.0, 4.0, 5.5]
    found = moderated([values, [1.0]])
    assert found.sd == pytest.approx(math.sqrt((4 * 0.13**2 + 2 * np.var(values, ddof=1)) / 6))
    assert found.df == 6
    assert moderated([[1.0], []]) == PRIOR
    other = moderated([values], Noise(2.0, 10.0))
    assert other.sd == pytest.approx(math.sqrt((10 * 4 + 2 * np.var(values, ddof=1)) / 12))


def test_values_of_any_size_have_a_noise() -> None:
    """Their squares would be beyond the greatest float."""
    found = pooled([[1e308, -1e308], [1e308, 1e308]])
    assert found is not None
    assert 1e99 < found.sd < 1e101
    assert moderated([[1e308, -1e308]]).sd < 1e101


def test_the_pooled_variance_is_that_within_groups() -> None:
    """Against scipy's analysis of variance: F = between / within, so within = between / F."""
    groups = [[1.0, 2.0, 4.0], [7.0, 7.5], [-1.0, -3.0, -2.5, 0.0]]
    sizes, means = [len(one) for one in groups], [np.mean(one) for one in groups]
    between = (
        sum(size * (mean - np.mean(np.concatenate(groups))) ** 2 for size, mean in zip(sizes, means, strict=True)) / 2
    )
    found = pooled(groups)
    assert found is not None
    assert found.sd**2 == pytest.approx(between / stats.f_oneway(*groups).statistic)
    assert found.df == 9 - 3


@pytest.mark.parametrize(
    ("groups", "least"),
    [
        ([[3.0, 3.0]], 1e-6),
        ([[1e-8, 1e-8]], 1e-14),  # a millionth of a loss of 1e-8
        ([[-1e-3, -1e-3], [0.5]], 0.5e-6),
        ([[0.0, 0.0]], 1e-6),
        ([[], [0.0, 0.0]], 1e-6),
    ],
)
def test_runs_that_agree_differ_by_a_millionth_of_a_small_value(groups: list[list[float]], least: float) -> None:
    found = pooled(groups)
    assert found is not None
    assert found.sd == pytest.approx(least)
    assert found.df == 1


def test_the_noise_of_one_search_is_not_taken_for_that_of_another_metric() -> None:
    assert known_beforehand(SI_SNR) == PRIOR == Noise(SEED_DEVIATION, 4.0)
    assert known_beforehand(Measure("loss")) is None


def test_where_a_noise_is_from_is_for_the_reader_alone() -> None:
    assert Noise(0.5, 3.0, "by hand", least=True) == Noise(0.5, 3.0)
    assert (Noise(0.5, 3.0).source, Noise(0.5, 3.0).least) == ("", False)


def test_the_prior_covers_what_series_3_shows() -> None:
    """The seeds of its four baselines differ by 0.12 to 0.30 dB.

    A deviation that is PRIOR.sd with PRIOR.df degrees of freedom lies in these bounds with 95 % (chi-square).
    """
    low, high = (PRIOR.sd * math.sqrt(PRIOR.df / one) for one in stats.chi2(PRIOR.df).ppf((0.975, 0.025)))
    assert low < 0.12 < 0.30 < high < 0.4
