"""What the Gaussian process observes, predicts and proposes, against plain formulas of the papers in bayes.py."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import polygamma

from katib.manifest.search import Parameter
from katib.search import bayes, gaussian_process
from katib.search.bayes import Surrogate, surrogate
from katib.search.gaussian_process import JITTER, GaussianProcess
from katib.search.history import Observation
from katib.search.observations import Observations, observe
from katib.search.space import Space
from katib.trial import Direction
from tests.katib.search.test_gaussian_process import matern

LINE = Space.of([Parameter("x", "double", "0", "1", None, (), "uniform")])
SQUARE = Space.of([Parameter(name, "double", "0", "1", None, (), "uniform") for name in "xy"])
KINDS = Space.of(
    [
        Parameter("kind", "categorical", None, None, None, ("a", "b", "c", "d"), "uniform"),
        Parameter("layers", "int", "1", "5", None, (), "uniform"),
    ]
)


def past(x: float, value: float | None, outcome: str = "completed", curve: Sequence[float] = ()) -> Observation:
    return Observation({"x": str(x)}, outcome, value, tuple(curve))  # type: ignore[arg-type]


def told(points: object, values: object, **fields: object) -> Observations:
    at, worth = np.asarray(points, dtype=float), np.asarray(values, dtype=float)
    nothing = {"variance": np.zeros(len(worth)), "source": np.zeros(len(worth)), "pending": at[:0]}
    return Observations(at, worth, **(nothing | fields))  # type: ignore[arg-type]


def by_place(found: Observations) -> dict[float, tuple[float, float, float]]:
    return {
        round(float(x), 6): (float(value), float(variance), float(source))
        for x, value, variance, source in zip(
            found.points[:, 0], found.values, found.variance, found.source, strict=True
        )
    }


@pytest.mark.parametrize("maximize", [True, False])
def test_what_is_told_is_greater_where_it_is_better_and_failed_ones_are_the_lower_quarter(
    maximize: bool,
) -> None:
    """docs/search.md; a trial without a value is a failed one, and of another space no one at all."""
    sign = 1 if maximize else -1
    history = [
        past(3.0, sign * 8.0), past(0.1, sign * 1.0), past(0.2, sign * 2.0), past(0.3, sign * 5.0),
        past(0.4, None, "failed"), past(0.5, math.nan), past(0.6, sign * 9.0, "failed"),
        past(0.7, None, "running"), past(0.8, sign * 7.0, "running"),
    ]  # fmt: skip
    earlier = [past(0.15, sign * 3.0), past(0.25, None, "running"), past(0.35, None, "failed")]
    found = observe(LINE, history, earlier, Direction.of(maximize))
    quarter = float(np.quantile([1.0, 2.0, 5.0, 3.0], 0.25))
    assert by_place(found) == {
        0.1: (1, 0, 0), 0.2: (2, 0, 0), 0.3: (5, 0, 0), 0.4: (quarter, 0, 0), 0.5: (quarter, 0, 0), 0.6: (quarter, 0, 0),
        0.15: (3, 0, 1), 0.35: (quarter, 0, 1),
    }  # fmt: skip
    # Only what runs now is pending: nobody waits for a trial that an earlier search left behind.
    assert found.pending.tolist() == [[0.7], [0.8]]


def test_without_any_value_a_failed_trial_tells_nothing() -> None:
    found = observe(
        SQUARE,
        [Observation({"x": "0.1", "y": "0.2"}, "failed"), Observation({"x": "0.3", "y": "0.4"}, "running")],
        [],
        Direction.MAXIMIZE,
    )
    assert (found.points.shape, found.values.shape, found.pending.tolist()) == ((0, 2), (0,), [[0.3, 0.4]])


def test_the_guess_at_a_stopped_trial_has_the_variance_of_what_others_gained() -> None:
    """Completed ones gained 3 and 4 from step 1 on.

    A quarter of the gain is the deviation of the guess beside their variance. They are minimised, an infinite report is
    none, and steps beyond the last are the last.
    """
    curves = [
        (4.0, 1.0),
        (6.0, 2.0, 9.0),
        (math.inf, 8.0, 0.0),
        (math.nan, 3.0),
    ]
    history = [
        past(0.1 * (n + 1), min(v for v in curve if math.isfinite(v)), curve=curve) for n, curve in enumerate(curves)
    ]
    gains = [4.0 - 1.0, 6.0 - 2.0]
    later = [0.0, 0.0, 8.0, 0.0]
    found = by_place(
        observe(
            LINE,
            [*history, past(0.6, 5.0, "stopped", [5.0]), past(0.7, 4.0, "stopped", [6.0, 4.0])],
            [],
            Direction.MINIMIZE,
        )
    )
    assert found[0.6] == pytest.approx((-5.0 + np.mean(gains), np.var(gains) + (np.mean(gains) / 4) ** 2, 0))
    assert found[0.7] == pytest.approx((-4.0 + np.mean(later), np.var(later) + (np.mean(later) / 4) ** 2, 0))


def test_a_stopped_trial_without_steps_is_guessed_between_what_it_had_and_the_median() -> None:
    """Halfway, and the deviation is a quarter of the way; one better than the median, or alone, keeps what it had."""
    completed = [past(0.1, 1.0), past(0.2, 3.0), past(0.3, 11.0)]
    found = by_place(
        observe(LINE, [*completed, past(0.4, -9.0, "stopped"), past(0.5, 5.0, "stopped")], [], Direction.MAXIMIZE)
    )
    assert found[0.4] == pytest.approx((-3.0, 9.0, 0))
    assert found[0.5] == pytest.approx((5.0, 0.0, 0))
    assert by_place(observe(LINE, [past(0.4, -1.0, "stopped", [-1.0])], [], Direction.MAXIMIZE)) == {
        0.4: (-1.0, 0.0, 0.0)
    }


def test_a_value_beyond_any_scale_counts_as_huge_and_as_no_more() -> None:
    found = observe(
        LINE,
        [
            past(0.1, 1e300, curve=[1e300]),
            past(0.2, -1e300, curve=[-1e300]),
            past(0.3, -1e300, "stopped", [-1e300]),
        ],
        [],
        Direction.MAXIMIZE,
    )
    assert found.values.tolist() == [1e100, -1e100, -1e100]


def textbook(model: Surrogate, at: np.ndarray, inputs: np.ndarray, y: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """Returns mean and deviation by Rasmussen and Williams 2006, equations 2.25 and 2.26, at the fitted values."""
    lengths, signal, noise = np.exp(model.process.theta[:-2]), *np.exp(model.process.theta[-2:])
    each = lengths[model.process.groups]
    inverse = np.linalg.inv(signal * matern(inputs, inputs, each) + np.diag(noise + extra + JITTER))
    cross = signal * matern(at, inputs, each)
    return np.stack([cross @ inverse @ y, np.sqrt(signal - np.diag(cross @ inverse @ cross.T))])


def test_the_surrogate_is_the_textbooks_process_of_the_standardised_values() -> None:
    """Values of mean 700 and deviation 30, each variance in their square; predicted in their unit."""
    generator = np.random.default_rng(0)
    points = generator.random((20, 2))
    values = 700 + 30 * points[:, 0] ** 2
    variance = generator.random(20) * 100
    model = surrogate(SQUARE, told(points, values, variance=variance))
    scaled, at = (values - values.mean()) / values.std(), generator.random((5, 2))
    mean, deviation = textbook(model, at, points, scaled, variance / values.var())
    assert np.stack(model.standard(at)) == pytest.approx(np.stack([mean, deviation]), rel=1e-5)
    assert model.predict(at)[0] == pytest.approx(values.mean() + values.std() * mean)
    assert model.predict(at)[1] == pytest.approx(values.std() * deviation, rel=1e-5)


def test_a_value_far_below_the_others_counts_as_twice_as_far_as_the_best_lies_above() -> None:
    """How badly a trial diverged says nothing: medians 1, best 3, so nothing counts as less than -3."""
    points = np.linspace(0.05, 0.95, 5)[:, None]
    far, floor = (surrogate(LINE, told(points, [0.5, 1.0, 3.0, 2.0, bad])) for bad in (-1e6, -3.0))
    assert np.stack(far.predict(points)) == pytest.approx(np.stack(floor.predict(points)))
    near = surrogate(LINE, told(points, [0.5, 1.0, 3.0, 2.0, -2.5]))
    assert near.middle > far.middle


@pytest.mark.parametrize("value", [0.0, 2.5, -1e-300, 1e100])
def test_values_that_do_not_differ_are_predicted_as_they_are(value: float) -> None:
    points = np.linspace(0.1, 0.9, 4)[:, None]
    mean, deviation = surrogate(LINE, told(points, [value] * 4)).predict(points)
    assert mean == pytest.approx([value] * 4)
    assert np.isfinite(deviation).all()


def test_the_noise_is_that_between_repeats_and_a_known_one_is_believed() -> None:
    """Ten points eight times each, with 0.5 between repeats."""
    generator = np.random.default_rng(2)
    points = np.repeat(generator.random(10), 8)[:, None]
    values = 3 * np.sin(6 * points[:, 0]) + generator.normal(scale=0.5, size=80)
    within = math.sqrt(np.mean([np.var(values[n : n + 8], ddof=1) for n in range(0, 80, 8)]))
    assert surrogate(LINE, told(points, values)).noise == pytest.approx(within, rel=0.1)
    few = told(points[::8], values[::8])
    assert surrogate(LINE, few, (0.5, 1e6)).noise == pytest.approx(0.5, rel=1e-3)
    assert surrogate(LINE, few, (0.05, 1e6)).noise == pytest.approx(0.05, rel=1e-3)
    # ln of a variance with n degrees of freedom deviates by sqrt(2 / n): the fewer, the more the values have to say.
    free = surrogate(LINE, few).noise
    assert abs(math.log(surrogate(LINE, few, (5.0, 2.0)).noise / free)) < abs(math.log(5.0 / free))


def test_a_known_noise_is_as_certain_as_its_degrees_of_freedom_make_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deviation of a chi-square variance's logarithm is the root of the trigamma function of half the degrees."""
    given = told(np.array([[0.1], [0.5], [0.9]]), [0.0, 10.0, 20.0])
    priors = []

    def fit(*arguments: Any) -> GaussianProcess:
        priors.append(arguments[-1])
        return gaussian_process.fit(*arguments)

    monkeypatch.setattr(bayes, "fit", fit)
    surrogate(LINE, given, (3.0, 50.0))
    surrogate(LINE, given)
    (mean, deviation), nothing = priors
    assert math.exp(mean) == pytest.approx((3.0 / given.values.std()) ** 2)
    assert deviation == pytest.approx(math.sqrt(polygamma(1, 25)), rel=0.02)
    assert nothing is None


def test_values_of_unordered_kinds_are_told_apart_and_as_far_as_the_ends_of_an_axis() -> None:
    """One step of five layers is a fifth of the axis.

    Two kinds differ by 1, and which of them they are makes no difference.
    """
    features = bayes._Features.of(KINDS)
    places = {
        (kind, layers): features.of_points(np.array([KINDS.shares({"kind": kind, "layers": str(layers)})]))[0]
        for kind in "abcd"
        for layers in (1, 2, 5)
    }
    assert math.dist(places["a", 1], places["b", 1]) == pytest.approx(1)
    assert math.dist(places["a", 1], places["d", 1]) == pytest.approx(1)
    assert math.dist(places["a", 1], places["a", 2]) == pytest.approx(0.2)
    assert math.dist(places["a", 1], places["a", 5]) == pytest.approx(0.8)
    assert features.groups.tolist() == [0, 0, 0, 0, 1]
    top = math.nextafter(1.0, 0.0)
    assert features.of_points(np.array([[top, top]]))[0].tolist() == pytest.approx([0, 0, 0, math.sqrt(0.5), 0.9])


def test_each_kind_is_believed_to_be_worth_what_its_trials_were() -> None:
    worth = {"a": 1.0, "b": 4.0, "c": -2.0, "d": 0.0}
    history = [
        Observation({"kind": kind, "layers": str(n)}, "completed", worth[kind]) for kind in worth for n in (1, 3, 5)
    ]
    model = surrogate(KINDS, observe(KINDS, history, [], Direction.MAXIMIZE))
    for kind, value in worth.items():
        place = KINDS.shares({"kind": kind, "layers": "2"})
        assert model.predict(np.array([place]))[0][0] == pytest.approx(value, abs=0.3)


def test_an_earlier_search_counts_as_much_as_it_resembles_this_one() -> None:
    """The same function, 0.2 lower or upside down: the first matters where nothing was tried, the second hardly."""
    x = np.linspace(0.02, 0.98, 12)[:, None]
    own = x[[0, 3, 6, 8]]

    def at_a_hole(sign: float) -> float:
        source = np.append(np.zeros(len(own)), np.ones(len(x)))
        values = np.append(np.sin(6 * own), sign * np.sin(6 * x) - 0.2)
        model = surrogate(LINE, told(np.vstack([own, x]), values, source=source))
        assert len(model.process.theta) == 4  # ln length of x, of the mark, ln signal, ln noise
        return abs(float(model.predict(np.array([[0.9]]))[0][0]) - math.sin(5.4))

    assert at_a_hole(1.0) < 0.3
    assert at_a_hole(-1.0) > at_a_hole(1.0)


def test_of_more_trials_than_it_is_fitted_to_the_better_half_and_every_so_many_of_the_rest_are_kept() -> None:
    """1000 values: the 125 best, and 125 of the other 875 from the next best to the worst, evenly."""
    values = np.random.default_rng(0).permutation(1000).astype(float)
    found = bayes._chosen(told(np.zeros((1000, 1)), values))
    kept = np.sort(values[found])[::-1]
    assert len(set(found.tolist())) == 250
    assert found.tolist() == sorted(found.tolist())
    assert kept[:125].tolist() == list(range(999, 874, -1))
    assert (kept[125], kept[-1]) == (874, 0)
    assert set(np.diff(kept[125:])) == {-7.0, -8.0}
    assert bayes._chosen(told(np.zeros((250, 1)), values[:250])).tolist() == list(range(250))
    assert len(bayes._chosen(told(np.zeros((251, 1)), values[:251]))) == 250
