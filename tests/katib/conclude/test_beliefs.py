"""What is believed of single configurations: stopped, repeated, minimised, and what is known of the noise and from
where.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from katib.conclude.noise import Noise
from katib.conclude.selection import candidates, seed_noise
from katib.spec import load_spec
from katib.table.axes import spanned
from katib.table.trial_table import TrialRow, TrialTable
from tests.katib.conclude.tables import row, table

QUIET = Noise(0.01, 50.0)


def of_metric(found: TrialTable, metric: str) -> TrialTable:
    return replace(found, identity=replace(found.identity, metric=metric))


def spread(values: tuple[float, ...], **first: TrialRow) -> list[TrialRow]:
    """Trials over the range of lr, in the order of their values."""
    places = np.geomspace(1e-4, 1e-2, len(values))
    return [
        row(f"t{n}", value, lr=lr, grad_clip_norm=5) for n, (value, lr) in enumerate(zip(values, places, strict=True))
    ]


def test_a_stopped_trial_is_believed_to_gain_what_the_others_gained_from_its_step_on() -> None:
    """Completed ones gained 2.0 from epoch 2 on.

    The stopped one, far from them, had 2.0 and is believed to come to 4.0, give or take what that guess may be wrong
    by.
    """
    grown = [
        row(f"t{n}", value + 2, curve=(1.0, value, value + 2), lr=lr, grad_clip_norm=9)
        for n, (lr, value) in enumerate(((1e-4, 1.0), (2e-4, 1.4), (4e-4, 1.2)))
    ]
    stopped = row("stopped", 2.0, "EarlyStopped", curve=(1.2, 2.0), lr=0.009, grad_clip_norm=1.5)
    told = {one.trials[0]: one for one in candidates(table(*grown, stopped), 9, QUIET)}
    assert 3.4 < told["stopped"].mean < 4.1
    assert told["stopped"].sd is not None
    assert told["stopped"].sd > 2 * (told["t1"].sd or 0.0)
    assert (told["stopped"].observed, told["stopped"].rank) == (2.0, 4)


def test_where_less_is_better_every_candidate_is_that_of_the_mirror() -> None:
    """The same values with their signs turned: the same order, places and trials, and means at the other side of zero."""
    values = (0.3, 0.9, 1.4, 1.1, 0.7, 0.2)
    high = candidates(table(*spread(values)), 9, QUIET)
    low = candidates(table(*spread(tuple(-value for value in values)), maximize=False), 9, QUIET)
    assert [(one.configuration, one.trials, one.rank, one.state) for one in low] == [
        (one.configuration, one.trials, one.rank, one.state) for one in high
    ]
    assert [one.mean for one in low] == pytest.approx([-one.mean for one in high])
    assert [one.sd for one in low] == pytest.approx([one.sd for one in high])
    assert [one.observed for one in low] == [-one.observed for one in high]
    assert [one.rank for one in high] == [1, 2, 3, 4, 5, 6]
    assert [one.mean for one in high] == sorted((one.mean for one in high), reverse=True)


def test_three_candidates_unless_more_are_asked_for() -> None:
    rows = spread((0.3, 0.9, 1.4, 1.1))
    assert len(candidates(table(*rows))) == 3
    assert [len(candidates(table(*rows), n)) for n in (1, 2, 4, 9)] == [1, 2, 4, 4]


def test_a_configuration_with_a_completed_and_a_stopped_trial_has_succeeded() -> None:
    """Whatever their order; one that was stopped each time, or beside a trial that failed, was not."""
    same: dict[str, Any] = {"lr": 0.001, "grad_clip_norm": 5}
    ended, stopped = row("a", 3.0, **same), row("b", 2.0, "EarlyStopped", **same)
    failed, other = row("c", None, "Failed", **same), row("d", 1.0, lr=0.004, grad_clip_norm=2)
    for rows, state in (
        ((ended, stopped, other), "Succeeded"),
        ((stopped, other), "EarlyStopped"),
        ((stopped, failed, other), "EarlyStopped"),
        ((ended, failed, other), "Succeeded"),
    ):
        found = {one.configuration["lr"]: one for one in candidates(table(*rows), 9, QUIET)}
        assert found["0.001"].state == state
        assert found["0.001"].trials == tuple(one.trial for one in table(*rows[:-1]).rows)
    found = {one.configuration["lr"]: one for one in candidates(table(ended, stopped, other), 9, QUIET)}
    assert found["0.001"].observed == 2.5


def test_a_trial_that_still_runs_beside_an_ended_one_adds_nothing() -> None:
    same: dict[str, Any] = {"lr": 0.001, "grad_clip_norm": 5}
    (found,) = candidates(table(row("a", 3.0, **same), row("b", 9.0, "Running", **same)), 9, QUIET)
    assert (found.observed, found.mean, found.sd) == (3.0, 3.0, QUIET.sd)


def beliefs(*rows: TrialRow, **fields: Noise | None) -> dict[str, float]:
    return {one.configuration["lr"]: one.mean for one in candidates(table(*rows), 99, **fields)}


def test_what_has_not_ended_says_nothing_and_what_has_no_metrics_is_a_failure() -> None:
    """Beside four trials that completed: one that was created, or runs, changes no belief.

    One whose metrics never came counts as one that failed, and both make the place where they stood look worse.
    """
    rows = spread((0.3, 0.9, 1.4, 1.1))
    ended = beliefs(*rows, noise=QUIET)
    for state, value in (("Created", None), ("Running", None), ("Running", 9.0)):
        assert beliefs(*rows, row("n", value, state, lr=0.0022, grad_clip_norm=5), noise=QUIET) == pytest.approx(ended)
    failed, missing = (
        beliefs(*rows, row("n", None, state, lr=0.0022, grad_clip_norm=5), noise=QUIET)
        for state in ("Failed", "MetricsUnavailable")
    )
    assert failed == missing
    assert failed != pytest.approx(ended)


def test_a_noise_without_degrees_of_freedom_is_fitted_anew() -> None:
    """As of a metric that nothing is known of: whatever its size, the beliefs are the same."""
    rows = spread((0.3, 0.9, 1.4, 1.1, 0.2))
    assert beliefs(*rows, noise=Noise(0.5, 0.0)) == beliefs(*rows, noise=Noise(0.01, 0.0))
    assert beliefs(*rows, noise=Noise(0.5, 9.0)) != beliefs(*rows, noise=Noise(0.01, 9.0))


def test_a_trial_outside_the_manifests_space_is_no_candidate() -> None:
    """The ranges are the manifest's, and not what the values span: lr 1 lies above its 1e-2."""
    rows = [*spread((0.3, 0.9, 1.4)), row("outside", 9.0, lr=1, grad_clip_norm=5)]
    assert "1" not in beliefs(*rows, noise=QUIET)
    assert len(beliefs(*rows, noise=QUIET)) == 3


def test_one_value_is_believed_as_it_is_with_the_noise_that_is_known() -> None:
    only = row("only", 0.25, lr=0.001, grad_clip_norm=5)
    (found,) = candidates(table(only, maximize=False), noise=Noise(0.5, 3.0))
    assert (found.mean, found.sd) == (0.25, 0.5)
    (found,) = candidates(of_metric(table(only), "loss"))
    assert (found.mean, found.sd) == (0.25, None)


def repeated() -> list[TrialRow]:
    """Returns two configurations twice, at 1.0 and 1.2 and at 3.0 and 3.4, and one once.

    A stopped repeat counts for nothing.
    """
    return [
        row("a", 1.0, lr=0.001, grad_clip_norm=5),
        row("b", 1.2, lr=0.001, grad_clip_norm=5),
        row("c", 3.0, lr=0.004, grad_clip_norm=5),
        row("d", 3.4, lr=0.004, grad_clip_norm=5),
        row("e", 9.0, lr=0.006, grad_clip_norm=5),
        row("f", 0.0, "EarlyStopped", lr=0.006, grad_clip_norm=5),
    ]


def test_the_noise_of_any_metric_is_from_its_repeats() -> None:
    """(0.02 + 0.08) / 2 is the pooled variance.

    Of validation SI-SNR it is weighed against 0.13 dB with 4 degrees (Smyth).
    """
    loss = seed_noise(of_metric(table(*repeated()), "loss"))
    assert loss is not None
    assert (loss.sd, loss.df) == (pytest.approx(math.sqrt(0.05)), 2)
    assert loss.source == "from configurations that were trained more than once"
    found = seed_noise(table(*repeated()))
    assert found is not None
    assert (found.sd, found.df) == (pytest.approx(math.sqrt((2 * 0.05 + 4 * 0.13**2) / 6)), 6)
    assert found.source == "0.13 dB from other searches, combined with the seeds of this one and of its baseline"
    single = seed_noise(table(repeated()[0]))
    assert single is not None
    assert (single.df, single.source) == (4, "0.13 dB from other searches")


def test_a_baselines_seeds_tell_of_the_noise_of_its_own_metric() -> None:
    """Beside the two repeats the four of the search have: 2 + 2 + 4 degrees of freedom."""
    spec = load_spec("dprnn")
    assert spec.baseline is not None
    found = seed_noise(replace(table(*repeated()), spec=spec))
    squares = np.var(list(spec.baseline.seeds.values()), ddof=1) * 2
    assert found is not None
    assert found.sd == pytest.approx(math.sqrt((2 * 0.05 + squares + 4 * 0.13**2) / 8))
    loss = seed_noise(of_metric(replace(table(*repeated()), spec=spec), "loss"))
    assert loss is not None
    assert loss.df == 2


def test_where_nothing_repeats_the_values_themselves_say_whether_there_is_noise() -> None:
    """A smooth curve shows none, and keeps its order; scattered values do, by about what they are scattered by."""
    few, places = np.sin(3 * np.linspace(0, 1, 8)), np.linspace(0, 1, 40)
    found = seed_noise(of_metric(table(*spread(tuple(few))), "loss"))
    assert found is not None
    assert found.sd < 0.01 * float(np.std(few))
    assert (found.df > 0, found.least) == (True, True)
    assert found.source == "the least that is assumed: no trial repeats another, and their values show no noise"
    scatter = np.random.default_rng(4).normal(scale=0.3, size=40)
    found = seed_noise(of_metric(table(*spread(tuple(np.sin(3 * places) + scatter))), "loss"))
    assert found is not None
    assert found.sd == pytest.approx(0.3, rel=0.35)
    assert (found.df, found.least) == (0, False)
    assert found.source == "as fitted by the Gaussian process: no trial repeats another"


def test_where_values_show_no_noise_they_are_what_their_configurations_reach() -> None:
    """In the order that was seen; a trial that was stopped is believed to come to what it would have come to."""
    few = [float(value) for value in np.sin(3 * np.linspace(0, 1, 8))]
    stopped = row("s", 0.5, "EarlyStopped", curve=(0.5,), lr=0.0022, grad_clip_norm=5)
    found = candidates(of_metric(table(*spread(tuple(few)), stopped), "loss"), 99)
    ended = [one for one in found if one.state == "Succeeded"]
    assert [one.mean for one in ended] == [one.observed for one in ended] == sorted(few, reverse=True)
    (guess,) = (one for one in found if one.state == "EarlyStopped")
    assert guess.mean != guess.observed
    # Nor is the mean of a completed and a stopped trial what their configuration reaches.
    again = row("again", -1e-4, "EarlyStopped", curve=(-1e-4,), lr=1e-4, grad_clip_norm=5)
    both = {one.trials[0]: one for one in candidates(of_metric(table(*spread(tuple(few)), again), "loss"), 99)}
    assert both["t0"].trials == ("t0", "again")
    assert both["t0"].mean != both["t0"].observed == pytest.approx((few[0] - 1e-4) / 2)
    noisy = candidates(table(*spread(tuple(few))), 99, QUIET)
    assert all(one.mean != one.observed for one in noisy)


def test_one_value_or_none_tells_nothing_of_the_noise() -> None:
    rows = spread((1.0, 2.0))
    assert seed_noise(of_metric(table(), "loss")) is None
    assert seed_noise(of_metric(table(rows[0]), "loss")) is None
    assert seed_noise(of_metric(table(*rows), "loss")) is not None


@pytest.mark.parametrize(
    ("values", "kind", "bounds", "distribution"),
    [
        (("1", "3", "2.5"), "double", (1.0, 3.0), "uniform"),
        (("1", "10"), "double", (1.0, 10.0), "uniform"),  # a decade and no more
        (("1", "10.5"), "double", (1.0, 10.5), "logUniform"),
        (("2", "19"), "double", (2.0, 19.0), "uniform"),
        (("0", "100"), "double", (0.0, 100.0), "uniform"),
        (("-1", "100"), "double", (-1.0, 100.0), "uniform"),
        (("1", "x"), "categorical", ("1", "x"), "uniform"),
        (("1", "inf"), "categorical", ("1", "inf"), "uniform"),
        (("b", "a", "b"), "categorical", ("b", "a"), "uniform"),
    ],
)
def test_a_lost_axis_is_what_its_values_span(
    values: tuple[str, ...], kind: str, bounds: tuple[float | str, ...], distribution: str
) -> None:
    """The docstring's rule: logarithmic where they are positive and span more than a decade.

    Words are a list of words.
    """
    rows = [row(f"t{n}", 10.0 - n, x=text) for n, text in enumerate(values)]
    found = spanned(table(*rows, row("other", 0.0, y="7"), spec={}), "x")
    assert (found.name, found.type, found.distribution) == ("x", kind, distribution)
    assert (found.values or (float(found.min or "nan"), float(found.max or "nan"))) == bounds
    assert found.step is None


def test_the_space_of_a_table_that_lost_it_is_that_of_most_trials_without_the_seed() -> None:
    rows = [row(f"t{n}", float(n), x=n, seed=42) for n in range(1, 4)]
    found = candidates(table(*rows, row("strange", 9.0, y=1), spec={}), 9, QUIET)
    assert [one.configuration for one in found] == [{"x": "3"}, {"x": "2"}, {"x": "1"}]
