"""The statistics of a verdict against scipy's own, and what is said in each case."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from katib.results.noise import LEAST_SD, PRIOR, Noise, moderated, pooled
from katib.results.verdict import Verdict, interval, judge, permutation

BASELINE = {42: 3.01, 123: 2.87, 456: 3.20}
OTHERS = [{42: 4.3, 123: 3.8, 456: 4.0}, {42: 4.2, 123: 3.9, 456: 3.7}]
SETTINGS = {"lr": "0.002"}


def verdict(
    seeds: dict[int, float], baseline: dict[int, float] | None = None, *, maximize: bool = True
) -> Verdict:
    return judge(
        SETTINGS,
        seeds,
        others=OTHERS,
        baseline=BASELINE if baseline is None else baseline,
        seen={42},
        maximize=maximize,
    )


def test_the_interval_is_welchs_where_the_noise_is_that_of_the_values_alone() -> None:
    """Against scipy's t test with unequal variances."""
    generator = np.random.default_rng(0)
    for size in (2, 3, 5):
        values, baseline = generator.normal(4, 0.3, size), generator.normal(3, 0.1, 3)
        low, high = interval(list(values), list(baseline), Noise(float(values.std(ddof=1)), size - 1))
        told = stats.ttest_ind(values, baseline, equal_var=False).confidence_interval(0.95)
        assert (low, high) == pytest.approx((told.low, told.high))


def test_the_noise_is_pooled_within_configurations() -> None:
    """Against the residual variance of an analysis of variance with a mean a group."""
    groups = [[3.8, 4.0], [3.9, 3.7, 3.8], [5.0], []]
    squares = sum(sum((value - np.mean(group)) ** 2 for value in group) for group in groups[:3])
    found = pooled(groups)
    assert found is not None
    assert (found.sd, found.df) == (pytest.approx(math.sqrt(squares / 3)), 3)
    assert pooled([[1.0], []]) is None
    assert moderated([[1.0]]) == PRIOR
    assert PRIOR.sd < moderated([[3.0, 4.0, 5.0]]).sd < 1.0


def test_runs_that_agree_to_the_last_digit_do_not_make_an_interval_of_no_width() -> None:
    assert pooled([[3.0, 3.0]]) == Noise(LEAST_SD, 1.0)
    said = judge(
        SETTINGS, {42: 3.0, 123: 3.0, 456: 3.0}, others=[], baseline=dict.fromkeys(BASELINE, 3.0), seen={42}
    )
    assert (said.outcome, said.p_value) == ("no better", 1.0)
    assert said.low < 0 < said.high


@pytest.mark.parametrize(
    ("values", "baseline"), [((4, 5, 6), (1, 2, 3)), ((1, 3, 5), (2, 4, 2)), ((2, 2, 2), (2, 2, 2))]
)
def test_the_permutation_test_is_exact(values: tuple[float, ...], baseline: tuple[float, ...]) -> None:
    """All 20 ways to deal six runs out, against scipy's count of them."""
    told = stats.permutation_test(
        (values, baseline), lambda a, b: np.mean(a) - np.mean(b), alternative="greater", n_resamples=np.inf
    )
    assert permutation(values, baseline) == pytest.approx(told.pvalue)
    assert permutation(
        [-value for value in values], [-value for value in baseline], maximize=False
    ) == pytest.approx(told.pvalue)


def test_the_least_p_value_is_one_in_all_ways() -> None:
    assert permutation([4, 5, 6], [1, 2, 3]) == pytest.approx(1 / 20)
    assert permutation([4, 5], [1, 2, 3]) == pytest.approx(1 / 10)


def test_what_the_search_has_seen_is_no_evidence() -> None:
    """A luckier run of the search's own seed changes the mean that is shown, and nothing that is claimed."""
    modest, lucky = (verdict({42: own, 123: 3.9, 456: 4.1}) for own in (4.0, 9.0))
    assert (modest.low, modest.high, modest.p_value) == (lucky.low, lucky.high, lucky.p_value)
    assert modest.mean < lucky.mean
    assert lucky.unseen == (123, 456)
    assert lucky.difference == pytest.approx(4.0 - np.mean(list(BASELINE.values())))


def test_better() -> None:
    said = verdict({42: 4.2, 123: 3.9, 456: 4.1})
    assert said.outcome == "better"
    assert said.sentence == (
        "Better than the baseline: val_si_snr 4.07 dB (mean of seeds 42, 123, 456) against the baseline's 3.03 dB; +0.97 dB"
        f" ({said.low:+.2f} to {said.high:+.2f}, 95 %) on the seeds that the search has not seen (123, 456),"
        " permutation test p 0.10."
    )


def test_no_better_is_said_where_the_interval_holds_zero() -> None:
    said = verdict({42: 4.2, 123: 3.1, 456: 3.0})
    assert (said.outcome, said.sentence.startswith("No better than the baseline")) == ("no better", True)
    assert said.low < 0 < said.high


def test_worse() -> None:
    assert verdict({42: 3.0, 123: 1.0, 456: 1.2}).outcome == "worse"
    assert verdict({42: 3.0, 123: 1.0, 456: 1.2}, maximize=False).outcome == "better"


def test_without_a_baseline_the_mean_is_still_told() -> None:
    said = verdict({42: 4.2, 123: 3.9, 456: 4.1}, {})
    assert said.outcome == "unknown"
    assert math.isnan(said.difference)
    assert "4.07 dB (mean of seeds 42, 123, 456), and there is no baseline" in said.sentence


def test_a_baseline_of_one_seed_has_the_noise_that_is_known_beforehand() -> None:
    one, three = verdict({42: 4.2, 123: 3.9, 456: 4.1}, {42: 3.03}), verdict({42: 4.2, 123: 3.9, 456: 4.1})
    assert one.high - one.low > three.high - three.low
    assert one.outcome == "better"


def test_at_least_one_seed_must_be_new() -> None:
    with pytest.raises(ValueError, match="has seen them all"):
        verdict({42: 4.2})


def test_every_way_to_order_the_seeds_says_the_same() -> None:
    seeds = {42: 4.2, 123: 3.9, 456: 4.1}
    said = {verdict(dict(order)).high for order in itertools.permutations(seeds.items())}
    assert max(said) - min(said) < 1e-12
