"""The median rule, against a plain restatement of it and against Katib's settings."""

import math
from statistics import median

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katib.errors import ManifestError
from katib.manifest.search import Algorithm
from katib.measure import Measure, measure_of
from katib.search.stop_rules import stop_rule
from katib.search.stopping import MedianStop, Stop, SuccessiveHalving, because
from katib.trainer_contract import METRIC
from katib.trial import Direction

UP, DOWN = Direction.MAXIMIZE, Direction.MINIMIZE

curve = st.lists(st.floats(-50, 50), min_size=1, max_size=8)


@given(curve, st.lists(curve, max_size=8), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_a_trial_ends_when_its_best_is_worse_than_the_median_of_those_that_came_as_far(
    own: list[float], others: list[list[float]], required: int, start: int, maximize: bool
) -> None:
    rule = MedianStop(Direction.of(maximize), required, start)
    far = [values for values in others if len(values) >= len(own)]
    expected = False
    if len(own) >= start and len(far) >= required:
        if maximize:
            expected = max(own) < median(max(values[: len(own)]) for values in far)
        else:
            expected = min(own) > median(min(values[: len(own)]) for values in far)
    assert (rule.decide(own, others) is not None) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(curve, st.lists(st.tuples(curve, st.booleans()), max_size=8), st.integers(1, 4), st.booleans())
def test_a_trial_that_ran_to_its_own_end_counts_at_every_later_step(
    own: list[float], trials: list[tuple[list[float], bool]], required: int, maximize: bool
) -> None:
    """Patience ends trials at different epochs.

    Against a loop over the epochs: the best so far, carried on after the end.
    """
    better = max if maximize else min
    bests = []
    for values, is_complete in trials:
        so_far = None
        for step in range(len(own)):
            if step < len(values):
                so_far = values[step] if so_far is None else better(so_far, values[step])
            elif not is_complete:
                so_far = None
                break
        if so_far is not None:
            bests.append(so_far)
    others = [values for values, is_complete in trials if not is_complete]
    completed = [values for values, is_complete in trials if is_complete]
    stop = MedianStop(Direction.of(maximize), required, 1).decide(own, others, completed)
    best = better(own)
    enough = bests and len(bests) >= required
    worse = enough and (best < median(bests) if maximize else best > median(bests))
    assert (stop is not None) == bool(worse)
    halving = SuccessiveHalving(Direction.of(maximize), 2, (len(own),), 1, required).decide(own, others, completed)
    ranked = sorted([*bests, best], reverse=maximize)
    assert (halving is not None) == bool(enough and best not in ranked[: max(1, len(ranked) // 2)])


def test_the_median_at_epoch_28_knows_the_trials_that_patience_ended_at_27() -> None:
    """Three good trials ended at 27 with their best at 17: a worse trial is stopped at 28, as it would be at 27."""
    ended = [[*map(float, range(16)), 16.5, *[10.0] * 10] for _ in range(3)]
    worse = [step / 4 for step in range(28)]
    rule = MedianStop(UP, 3, 20)
    assert rule.decide(worse, ended) is None
    assert rule.decide(worse, [], ended) == Stop("medianstop", 28, 6.75, 16.5, 3)


@given(curve, st.lists(curve, max_size=8), st.data())
def test_values_that_are_not_finite_decide_nothing(
    own: list[float], others: list[list[float]], data: st.DataObject
) -> None:
    """A NaN takes the place of any value; against the same rule with that trial's best worked out by hand."""
    hurt = [
        [data.draw(st.sampled_from((value, math.nan, math.inf, -math.inf))) for value in values] for values in others
    ]  # fmt: skip
    stop = MedianStop(UP, 1, 1).decide(own, hurt)
    bests = [
        max(finite)
        for values in hurt
        if len(values) >= len(own) and (finite := [value for value in values[: len(own)] if math.isfinite(value)])
    ]
    assert (stop is not None) == (bool(bests) and max(own) < median(bests))


def test_the_median_is_no_mean() -> None:
    """One diverged trial disarms Katib's own rule (mean -13.3), not this one."""
    stop = MedianStop(UP, 3, 1).decide([4.0], [[5.0], [5.0], [-50.0]])
    assert stop == Stop("medianstop", step=1, best=4.0, bar=5.0, trials=3)


@pytest.mark.parametrize(
    ("stop", "metric", "maximize", "words"),
    [
        (
            Stop("medianstop", 4, 3.214, 4.0, 1),
            METRIC,
            True,
            "best of epoch 4, 3.21 dB, is below the median of 1 other trial, 4.00 dB",
        ),
        (
            Stop("successivehalving", 8, 0.5, 0.25, 6),
            "loss",
            False,
            "best of epoch 8, 0.5, is above the bar of successive halving over 6 other trials, 0.25",
        ),
    ],
)
def test_a_reason_names_epoch_value_rule_number_of_trials_and_bar(
    stop: Stop, metric: str, maximize: bool, words: str
) -> None:
    assert because(stop, measure_of(metric), Direction.of(maximize)) == words


def test_it_looks_again_at_every_epoch() -> None:
    """A trial that passes at the start step and falls behind later is ended then."""
    rule, others = MedianStop(UP, 1, 2), [[1.0, 2.0, 9.0]]
    assert [rule.decide([3.0] * step, others) is not None for step in (1, 2, 3)] == [False, False, True]


def test_looking_once_is_looking_at_the_start_step() -> None:
    rule, others = MedianStop(UP, 1, 2, "once"), [[1.0, 2.0, 9.0]]
    assert [rule.decide([1.5] * step, others) is not None for step in (1, 2, 3)] == [False, True, False]


@given(curve, st.lists(curve, max_size=8), st.booleans(), st.floats(0, 20))
def test_within_the_tolerance_of_the_median_a_trial_goes_on(
    own: list[float], others: list[list[float]], maximize: bool, tolerance: float
) -> None:
    bare = MedianStop(Direction.of(maximize), 1, 1).decide(own, others)
    tolerant = MedianStop(Direction.of(maximize), 1, 1, tolerance=tolerance).decide(own, others)
    assert (tolerant is not None) == (bare is not None and abs(bare.bar - bare.best) > tolerance)


@given(
    curve,
    st.lists(curve, max_size=12),
    st.integers(1, 3),
    st.integers(2, 4),
    st.integers(1, 3),
    st.booleans(),
)
def test_at_a_rung_the_best_part_goes_on(
    own: list[float], others: list[list[float]], required: int, eta: int, start: int, maximize: bool
) -> None:
    """Against the rank: with k of n trials allowed on, those with fewer than k better ones are."""
    sign = 1 if maximize else -1
    stop = SuccessiveHalving(Direction.of(maximize), eta, (), start, required).decide(own, others)
    far = [values for values in others if len(values) >= len(own)]
    rung = len(own) in {start * eta**power for power in range(10)}
    better = sum(max(sign * v for v in values[: len(own)]) > max(sign * v for v in own) for values in far)
    allowed = max(1, (len(far) + 1) // eta)
    assert (stop is not None) == (rung and len(far) >= required and better >= allowed)


def test_rungs_are_where_they_are_put() -> None:
    settings = {"rungs": "5,2", "eta": "3", "min_trials_required": "1"}
    rule = stop_rule(Algorithm("successivehalving", settings), DOWN, Measure("loss"))
    assert rule == SuccessiveHalving(DOWN, 3, (2, 5), 4, 1)
    assert [rule.decide([9.0] * step, [[1.0] * 9] * 3) is not None for step in range(1, 7)] == [
        False, True, False, False, True, False,
    ]  # fmt: skip


def test_without_finite_values_or_rivals_it_stays_quiet() -> None:
    rule = MedianStop(UP, 1, 1)
    assert rule.decide([], [[1.0]]) is None
    assert rule.decide([math.nan], [[1.0]]) is None
    assert rule.decide([0.0], []) is None
    assert rule.decide([0.0], [[]]) is None


def test_defaults_are_katibs() -> None:
    assert stop_rule(Algorithm("medianstop", {}), UP, Measure("loss")) == MedianStop(
        UP, min_trials_required=3, start_step=4
    )


def test_defaults_of_successive_halving_are_those_of_the_docs() -> None:
    """docs/search.md: eta 2, start_step 4, three others, and rungs at 4, 8, 16, … where none are named."""
    rule = stop_rule(Algorithm("successivehalving", {}), UP, Measure("loss"))
    assert rule == SuccessiveHalving(UP, eta=2, rungs=(), start_step=4, min_trials_required=3)
    assert rule == SuccessiveHalving(UP)
    others = [[1.0 * n] * 20 for n in (1, 2, 3)]
    stopped = {step: rule.decide([0.5] * step, others) for step in range(1, 20)}
    assert {step: stop for step, stop in stopped.items() if stop} == {
        step: Stop("successivehalving", step, best=0.5, bar=2.0, trials=3) for step in (4, 8, 16)
    }
    assert rule.decide([0.5] * 4, others[:2]) is None


def test_settings_reach_their_rule() -> None:
    settings = {"min_trials_required": "7", "start_step": "9"}
    assert stop_rule(Algorithm("medianstop", settings | {"looks": "once"}), DOWN, Measure("loss")) == MedianStop(
        DOWN, 7, 9, "once", 0.0
    )
    assert stop_rule(Algorithm("successivehalving", settings), DOWN, Measure("loss")) == SuccessiveHalving(
        DOWN, 2, (), 9, 7
    )


def test_the_tolerance_is_that_of_the_metric_unless_the_manifest_has_one() -> None:
    def tolerance(metric: str, **settings: str) -> float:
        rule = stop_rule(Algorithm("medianstop", settings), UP, measure_of(metric))
        assert isinstance(rule, MedianStop)
        return rule.tolerance

    assert tolerance("loss") == 0
    assert stop_rule(Algorithm("medianstop", {}), UP, Measure("loss", noise=0.02)).tolerance == 0.054  # type: ignore[attr-defined]
    assert tolerance(METRIC) == 0.35  # dB, docs/search.md
    assert tolerance(METRIC, tolerance="0") == 0


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        (Algorithm("medianstopp", {}), "unknown algorithm 'medianstopp': did you mean 'medianstop'?"),
        (
            Algorithm("medianstop", {"start_stop": "3"}),
            "unknown setting 'start_stop': did you mean 'start_step'?",
        ),
        (
            Algorithm("medianstop", {"start_step": "0"}),
            "start_step is '0'; it has a whole number of at least 1",
        ),
        (Algorithm("medianstop", {"looks": "twice"}), "looks is 'twice'; it has one of every, once"),
        (Algorithm("medianstop", {"tolerance": "nan"}), "tolerance is 'nan'; it has a number of at least 0"),
        (Algorithm("successivehalving", {"eta": "1"}), "eta is '1'; it has a whole number of at least 2"),
        (
            Algorithm("successivehalving", {"rungs": "4,,8"}),
            "rungs is '4,,8'; it has whole numbers of at least 1",
        ),
        (Algorithm("medianstop", {"start_step": "1.5"}), "start_step is '1.5'"),
    ],
)
def test_unknown_rules_and_settings_are_named(algorithm: Algorithm, message: str) -> None:
    with pytest.raises(ManifestError) as error:
        stop_rule(algorithm, UP, Measure("loss"))
    assert message in str(error.value)
    assert str(error.value).startswith("earlyStopping")
