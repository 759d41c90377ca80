"""The statistics of a verdict against scipy's own, and what is said in each case."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from katib.conclude.noise import LEAST_SD, PRIOR, Noise, moderated, pooled
from katib.conclude.verdict import MOST_SPLITS, Verdict, _outcome, interval, judge, permutation
from katib.measure import Measure, measure_of
from katib.trial import Direction

BASELINE = {42: 3.01, 123: 2.87, 456: 3.20}
OTHERS = [{42: 4.3, 123: 3.8, 456: 4.0}, {42: 4.2, 123: 3.9, 456: 3.7}]
SETTINGS = {"lr": "0.002"}


def verdict(seeds: dict[int, float], baseline: dict[int, float] | None = None, *, maximize: bool = True) -> Verdict:
    return judge(
        SETTINGS,
        seeds,
        others=OTHERS,
        baseline=BASELINE if baseline is None else baseline,
        seen={42},
        direction=Direction.of(maximize),
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
    said = judge(SETTINGS, {42: 3.0, 123: 3.0, 456: 3.0}, others=[], baseline=dict.fromkeys(BASELINE, 3.0), seen={42})
    assert (said.outcome, said.p_value) == ("no better", 1.0)
    assert said.low < 0 < said.high
    assert "; 0.00 dB (-0.00 to +0.00, 95 %)" in said.sentence


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
        [-value for value in values], [-value for value in baseline], direction=Direction.MINIMIZE
    ) == pytest.approx(told.pvalue)


def test_many_seeds_are_dealt_out_by_drawing() -> None:
    """Sixteen against sixteen can be split in 600 million ways, which is an hour of counting."""
    generator = np.random.default_rng(1)
    values, baseline = list(generator.normal(0.4, 1, 16)), list(generator.normal(0, 1, 16))
    told = stats.permutation_test(
        (values, baseline), lambda a, b: np.mean(a) - np.mean(b), alternative="greater", rng=2
    )
    assert permutation(values, baseline) == pytest.approx(told.pvalue, abs=0.02)
    assert permutation(values, baseline) == permutation(values, baseline)
    assert permutation(range(100, 116), range(16)) == pytest.approx(1 / MOST_SPLITS, rel=1e-3)


@pytest.mark.parametrize("huge", [math.inf, -math.inf, 1e308])
def test_values_without_bounds_are_a_verdict_and_no_trace(huge: float) -> None:
    said = judge(
        SETTINGS, {1: huge, 2: 3.0, 3: huge}, others=[{2: huge, 3: -huge}], baseline={1: huge, 2: 3.0}, seen={1},
        direction=Direction.MINIMIZE, metric=Measure("loss"),
    )  # fmt: skip
    assert said.outcome == "no better"
    assert math.isfinite(said.low)
    assert math.isfinite(said.mean)


def test_the_least_p_value_is_one_in_all_ways() -> None:
    assert permutation([4, 5, 6], [1, 2, 3]) == pytest.approx(1 / 20)
    assert permutation([4, 5], [1, 2, 3]) == pytest.approx(1 / 10)
    # Of a loss of 1e-10, too: what counts as equal is relative to the values.
    assert permutation([4e-10, 5e-10, 6e-10], [1e-10, 2e-10, 3e-10]) == pytest.approx(1 / 20)
    assert permutation([0.0, 0.0], [0.0]) == 1.0


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
        "Better than the baseline: val_si_snr 4.07 dB (mean of seeds 42, 123, 456) against the baseline's 3.03 dB; "
        f"+0.97 dB ({said.low:+.2f} to {said.high:+.2f}, 95 %) on the seeds that the search has not seen (123, 456),"
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
    with pytest.raises(ValueError, match=r"^seeds 42: the search has seen them all$"):
        verdict({42: 4.2})
    with pytest.raises(ValueError, match=r"^seeds 1, 42: the search"):
        judge(SETTINGS, {1: 4.0, 42: 4.2}, others=[], baseline=BASELINE, seen=[42, 1])


def test_every_way_to_order_the_seeds_says_the_same() -> None:
    seeds = {42: 4.2, 123: 3.9, 456: 4.1}
    said = {verdict(dict(order)).high for order in itertools.permutations(seeds.items())}
    assert max(said) - min(said) < 1e-12


def test_where_less_is_better_the_verdict_is_that_of_the_mirror() -> None:
    """Every value with its sign turned, and the metric minimised: the same outcomes and p values, at the other side of
    zero.
    """
    for seeds in (
        {42: 4.2, 123: 3.9, 456: 4.1},
        {42: 4.2, 123: 3.1, 456: 3.0},
        {42: 3.0, 123: 1.0, 456: 1.2},
    ):
        said = verdict(seeds)
        mirrored = judge(
            SETTINGS,
            {seed: -value for seed, value in seeds.items()},
            others=[{seed: -value for seed, value in one.items()} for one in OTHERS],
            baseline={seed: -value for seed, value in BASELINE.items()},
            seen={42},
            direction=Direction.MINIMIZE,
        )
        assert (mirrored.outcome, mirrored.p_value) == (said.outcome, pytest.approx(said.p_value))
        assert (mirrored.low, mirrored.high) == pytest.approx((-said.high, -said.low))


def test_what_the_search_has_seen_of_other_candidates_is_no_evidence_either() -> None:
    """Their run with the search's own seed was chosen for its value, and says nothing of the noise."""
    seeds = {42: 4.2, 123: 3.9, 456: 4.1}
    strange = [{**one, 42: 99.0} for one in OTHERS]
    assert judge(SETTINGS, seeds, others=strange, baseline=BASELINE, seen={42}) == verdict(seeds)
    noisy = [{**one, 123: 99.0} for one in OTHERS]
    said = judge(SETTINGS, seeds, others=noisy, baseline=BASELINE, seen={42})
    assert said.high - said.low > verdict(seeds).high - verdict(seeds).low


def welch(values: list[float], noise: tuple[float, float], own: tuple[float, float]) -> tuple[float, float]:
    """Returns the 95 % interval by scipy's t distribution, with Satterthwaite's degrees of freedom.

    Noises are deviation and freedom.
    """
    one, other = noise[0] ** 2 / len(values), own[0] ** 2 / len(BASELINE)
    freedom = (one + other) ** 2 / (one**2 / noise[1] + other**2 / own[1])
    middle = np.mean(values) - np.mean(list(BASELINE.values()))
    low, high = stats.t.interval(0.95, freedom, middle, math.sqrt(one + other))
    return float(low), float(high)


def test_the_noise_of_each_side_is_its_own() -> None:
    """The model's from the unseen runs of all candidates, each around its own mean.

    The baseline's from its own seeds.
    """
    unseen = [[3.9, 4.1], [3.8, 4.0], [3.9, 3.7]]
    pooled_sd = math.sqrt(np.mean([np.var(one, ddof=1) for one in unseen]))
    own = (float(np.std(list(BASELINE.values()), ddof=1)), 2)
    said = verdict({42: 4.2, 123: 3.9, 456: 4.1})
    assert (said.low, said.high) == pytest.approx(welch([3.9, 4.1], (pooled_sd, 3), own))


@pytest.mark.parametrize(
    ("metric", "noise"),
    [("val_si_snr", (0.13, 4.0)), ("loss", (float(np.std([3.01, 2.87, 3.20], ddof=1)), 2))],
)
def test_a_single_new_seed_has_the_noise_that_is_known_or_else_the_baselines(
    metric: str, noise: tuple[float, float]
) -> None:
    own = (float(np.std(list(BASELINE.values()), ddof=1)), 2)
    said = judge(SETTINGS, {42: 4.2, 123: 3.9}, others=[], baseline=BASELINE, seen={42}, metric=measure_of(metric))
    assert (said.low, said.high) == pytest.approx(welch([3.9], noise, own))


def test_a_baseline_of_one_run_has_the_models_noise_where_nothing_else_is_known() -> None:
    low, high = interval([3.0, 5.0], [1.0], Noise(2.0, 3.0))
    half = stats.t.ppf(0.975, 36 / (4 / 3 + 16 / 3)) * math.sqrt(6)
    assert (low, high) == pytest.approx((3 - half, 3 + half))
    said = judge(SETTINGS, {1: 0.0, 2: 3.0, 3: 5.0}, others=[], baseline={1: 1.0}, seen={1}, metric=Measure("loss"))
    alone = stats.t.ppf(0.975, 9 / (1 + 4)) * math.sqrt(2 / 2 + 2 / 1)
    assert (said.low, said.high) == pytest.approx((3 - alone, 3 + alone))


def test_without_any_noise_there_is_no_verdict() -> None:
    """One new seed and one of the baseline, of a metric whose noise nobody knows."""
    said = judge(SETTINGS, {1: 0.25, 2: 0.5}, others=[{1: 0.5}], baseline={7: 0.125}, seen=[1], metric=Measure("loss"))
    assert (said.outcome, said.unseen) == ("unknown", (2,))
    assert all(map(math.isnan, (said.difference, said.low, said.high, said.p_value)))
    assert said.sentence == (
        "No verdict: loss 0.375 (mean of seeds 1, 2) against the baseline's 0.125; each has a single seed that counts,"
        " and the seed-to-seed spread is unknown."
    )


def test_each_outcome_has_its_sentence_and_its_heading() -> None:
    """The verdict of a metric without a unit, and what a user is to do: keep the baseline unless something is better."""
    said = judge(
        SETTINGS, {1: 0.5, 2: 0.5, 3: 0.52}, others=[], baseline={1: 0.25, 2: 0.25, 3: 0.26}, seen={1},
        direction=Direction.MINIMIZE, metric=Measure("loss"),
    )  # fmt: skip
    assert said.sentence == (
        "Worse than the baseline: loss 0.506667 (mean of seeds 1, 2, 3) against the baseline's 0.253333; +0.256667"
        f" ({said.low:+.6g} to {said.high:+.6g}, 95 %) on the seeds that the search has not seen (2, 3), permutation "
        "test p 1.00."
    )
    assert said.heading == "First choice (worse: keep the baseline)"
    less = verdict({42: 4.2, 123: 3.0, 456: 2.8})
    assert less.sentence == (
        "No better than the baseline, as far as 3 seeds can tell: val_si_snr 3.33 dB (mean of seeds 42, 123, 456) "
        f"against the baseline's 3.03 dB; -0.13 dB ({less.low:+.2f} to {less.high:+.2f}, 95 %) on the seeds that the "
        f"search has not seen (123, 456), permutation test p {less.p_value:.2f}."
    )
    assert less.heading == "First choice (not shown to be better: keep the baseline)"
    assert verdict({42: 4.2, 123: 3.9, 456: 4.1}).heading == "Confirmed configuration"
    unknown = verdict({42: 4.2, 123: 3.9, 456: 4.1}, {})
    assert unknown.heading == "First choice (not compared with a baseline)"
    assert unknown.sentence == (
        "No verdict: val_si_snr 4.07 dB (mean of seeds 42, 123, 456), and there is no baseline to compare it with."
    )


@pytest.mark.parametrize("direction", Direction)
def test_an_interval_that_touches_zero_shows_nothing(direction: Direction) -> None:
    """docs/results.md: better means that the whole interval lies above zero, and at its bound it holds zero."""
    assert {_outcome(0.0, 1.0, direction), _outcome(-1.0, 0.0, direction)} == {"no better"}
