"""The median rule, against a plain restatement of it and against Katib's settings."""

import math
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katib.errors import ManifestError
from katib.experiment import Algorithm
from katib.search.stopping import MedianStop, Stop, stop_rule

curve = st.lists(st.floats(-50, 50), min_size=1, max_size=8)


@given(curve, st.lists(curve, max_size=8), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_a_trial_ends_when_its_best_is_worse_than_the_median_of_those_that_came_as_far(
    own: list[float], others: list[list[float]], required: int, start: int, maximize: bool
) -> None:
    rule = MedianStop(maximize, required, start)
    far = [values for values in others if len(values) >= len(own)]
    expected = False
    if len(own) >= start and len(far) >= required:
        if maximize:
            expected = max(own) < median(max(values[: len(own)]) for values in far)
        else:
            expected = min(own) > median(min(values[: len(own)]) for values in far)
    assert (rule.decide(own, others) is not None) == expected


@given(curve, st.lists(curve, max_size=8), st.data())
def test_values_that_are_not_finite_decide_nothing(
    own: list[float], others: list[list[float]], data: st.DataObject
) -> None:
    """A NaN takes the place of any value; against the same rule with that trial's best worked out by hand."""
    hurt = [
        [data.draw(st.sampled_from((value, math.nan, math.inf, -math.inf))) for value in values] for values in others
    ]  # fmt: skip
    stop = MedianStop(True, 1, 1).decide(own, hurt)
    bests = [
        max(finite)
        for values in hurt
        if len(values) >= len(own)
        and (finite := [value for value in values[: len(own)] if math.isfinite(value)])
    ]
    assert (stop is not None) == (bool(bests) and max(own) < median(bests))


def test_the_median_is_no_mean() -> None:
    """One diverged trial disarms Katib's own rule (mean -13.3), not this one."""
    stop = MedianStop(True, 3, 1).decide([4.0], [[5.0], [5.0], [-50.0]])
    assert stop == Stop("medianstop", step=1, best=4.0, bar=5.0, trials=3)


def test_it_looks_again_at_every_epoch() -> None:
    """A trial that passes at the start step and falls behind later is ended then."""
    rule, others = MedianStop(True, 1, 2), [[1.0, 2.0, 9.0]]
    assert [rule.decide([3.0] * step, others) is not None for step in (1, 2, 3)] == [False, False, True]


def test_without_finite_values_or_rivals_it_stays_quiet() -> None:
    rule = MedianStop(True, 1, 1)
    assert rule.decide([], [[1.0]]) is None
    assert rule.decide([math.nan], [[1.0]]) is None
    assert rule.decide([0.0], []) is None
    assert rule.decide([0.0], [[]]) is None


def test_defaults_are_katibs() -> None:
    assert stop_rule(Algorithm("medianstop", {}), True) == MedianStop(
        True, min_trials_required=3, start_step=4
    )


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
        (Algorithm("medianstop", {"start_step": "1.5"}), "start_step is '1.5'"),
    ],
)
def test_unknown_rules_and_settings_are_named(algorithm: Algorithm, message: str) -> None:
    with pytest.raises(ManifestError) as error:
        stop_rule(algorithm, True)
    assert message in str(error.value)
