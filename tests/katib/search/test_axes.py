"""Axes of a search against scipy's distributions, plain lists of their values, and Katib's grid order."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats

from katib.errors import ManifestError
from katib.manifest.search import Parameter
from katib.search.axis import Axis
from katib.search.space import Space


def axis(low: str, high: str, step: str | None = None, distribution: str = "uniform", kind: str = "double") -> Axis:
    return Axis(Parameter("p", kind, low, high, step, (), distribution))  # type: ignore[arg-type]


def listed(*values: str, kind: str = "discrete") -> Axis:
    return Axis(Parameter("p", kind, None, None, None, values, "uniform"))  # type: ignore[arg-type]


MIDDLE, SIGMA = 50.5, 99 / 6
SCIPYS: dict[str, Any] = {
    "uniform": stats.uniform(1, 99),
    "logUniform": stats.loguniform(1, 100),
    # Three standard deviations to each bound, and nothing beyond them (hyperopt/base_service.py: sigma is a sixth of
    # the range).
    "normal": stats.truncnorm(-3, 3, MIDDLE, SIGMA),
    "logNormal": stats.truncnorm(-3, 3, math.log(100) / 2, math.log(100) / 6),
}


@pytest.mark.parametrize("distribution", SCIPYS)
def test_a_share_is_the_share_of_scipys_distribution(distribution: str) -> None:
    """`at` is its quantile and `share` its cumulative distribution, in logarithms for logNormal."""
    found, theirs = axis("1", "100", distribution=distribution), SCIPYS[distribution]
    scale = math.exp if distribution == "logNormal" else float
    for share in (0.001, 0.1, 0.25, 0.5, 0.9, 0.999):
        value = scale(theirs.ppf(share))
        assert float(found.at(share)) == pytest.approx(value, rel=1e-9)
        assert found.share(repr(value)) == pytest.approx(share)
    assert float(found.at(0.0)) == pytest.approx(1)
    assert (found.share("1"), found.share("100")) == (pytest.approx(0), pytest.approx(1))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (axis("1", "2"), FloatDistribution(1, 2)),
        (axis("1", "2", distribution="logUniform"), FloatDistribution(1, 2, log=True)),
        (axis("1", "2", distribution="normal"), FloatDistribution(0, 1)),
        (axis("1", "2", distribution="logNormal"), FloatDistribution(0, 1)),
        (axis("0", "1", "0.25"), FloatDistribution(0, 1, step=0.25)),
        (axis("0.1", "1", "0.25"), FloatDistribution(0.1, 0.85, step=0.25)),  # the last step below the bound
        # Optuna has no steps on a logarithmic axis: it is drawn without them.
        (axis("1", "10", "2", "logUniform"), FloatDistribution(1, 9, log=True)),
        (axis("1", "10", kind="int"), IntDistribution(1, 10)),
        (axis("1", "10", "4", kind="int"), IntDistribution(1, 9, step=4)),
        (axis("1", "10", distribution="logUniform", kind="int"), IntDistribution(1, 10, log=True)),
        (axis("1", "10", "1", "logUniform", "int"), IntDistribution(1, 10, log=True)),
        (axis("1", "10", "4", "logUniform", "int"), FloatDistribution(1, 9, log=True)),
        (axis("1", "10", "4", "normal", "int"), FloatDistribution(0, 1)),
        (listed("b", "a", "b"), CategoricalDistribution(["b", "a"])),
        (listed("b", "a", kind="categorical"), CategoricalDistribution(["b", "a"])),
    ],
)
def test_what_optuna_draws_from(found: Axis, expected: BaseDistribution) -> None:
    """The Optuna distribution that has the parameter's values, by Optuna's own equality."""
    assert found.distribution == expected


STEPPED = [
    (axis("1", "10", "4", kind="int"), ["1", "5", "9"]),
    (axis("3", "5", kind="int"), ["3", "4", "5"]),
    (axis("7", "7", kind="int"), ["7"]),
    (axis("1", "3", "0.5", kind="int"), ["1", "2", "3"]),  # no step of an int is shorter than 1
    (axis("0.1", "1", "0.25"), ["0.1", "0.35", "0.6", "0.85"]),
    (axis("-1", "1", "1"), ["-1", "0", "1"]),
    (axis("0", "0.3", "0.1"), ["0", "0.1", "0.2", "0.3"]),
    (axis("10", "30", "10"), ["10", "20", "30"]),
    (axis("0.0000001", "0.0000002", "0.0000001"), ["1E-7", "2E-7"]),
    (listed("b", "a", "b", "c"), ["b", "a", "c"]),
]


@pytest.mark.parametrize(("found", "values"), STEPPED)
def test_countable_values_have_equal_shares_in_their_order(found: Axis, values: list[str]) -> None:
    """Against the list of them: 60 even shares fall on each equally often; each lies in the middle of its part."""
    count = len(values)
    assert (found.levels, found.even) == (count, True)
    assert [found.level(index) for index in range(count)] == values
    assert Counter(found.at((index + 0.5) / 60) for index in range(60)) == dict.fromkeys(values, 60 // count)
    assert [found.share(value) for value in values] == pytest.approx([(n + 0.5) / count for n in range(count)])
    assert found.at(math.nextafter(1.0, 0.0)) == values[-1]


def test_values_that_no_step_counts_have_no_levels() -> None:
    assert axis("1", "2").levels is None
    assert not axis("1", "2").even
    single = axis("0.5", "0.5")
    assert (single.levels, single.even, single.level(0), single.at(0.7), single.share("0.5")) == (
        1,
        True,
        "0.5",
        "0.5",
        0.5,
    )
    log = axis("0.5", "0.5", distribution="logUniform")
    assert (log.levels, log.at(0.7), log.share("0.5")) == (1, "0.5", 0.5)


@pytest.mark.parametrize(
    ("distribution", "low", "high", "step"),
    [("logUniform", 1, 100, 1), ("logUniform", 10, 90, 8), ("normal", 0, 60, 5), ("logNormal", 1, 21, 2)],
)
def test_steps_on_a_bent_axis_have_the_share_of_what_rounds_to_them(
    distribution: str, low: int, high: int, step: int
) -> None:
    """Against scipy's cumulative distribution at the middles between neighbours."""
    found = axis(str(low), str(high), str(step), distribution)
    logarithmic = distribution.startswith("log")
    a, b = (math.log(low), math.log(high)) if logarithmic else (low, high)
    theirs = (
        stats.uniform(a, b - a) if distribution == "logUniform" else stats.truncnorm(-3, 3, (a + b) / 2, (b - a) / 6)
    )
    values = np.arange(low, high + 1, step)
    bounds = [-math.inf, *((values[1:] + values[:-1]) / 2), math.inf]
    inner = [math.log(one) if logarithmic else one for one in bounds[1:-1]]
    shares = np.diff([0.0, *theirs.cdf(inner), 1.0])
    assert (found.levels, found.even) == (len(values), False)
    drawn = Counter(found.at((index + 0.5) / 2000) for index in range(2000))
    assert [drawn[str(value)] / 2000 for value in values] == pytest.approx(shares, abs=0.002)


def test_a_value_is_put_within_the_bounds_and_on_the_nearest_step() -> None:
    stepped, free = axis("1", "10", "4", kind="int"), axis("1", "2")
    assert [stepped.text(value) for value in (-5.0, 2.9, 3.1, 7.1, 10.0, 99.0)] == [
        "1",
        "1",
        "5",
        "9",
        "9",
        "9",
    ]
    assert [free.text(value) for value in (0.5, 1.25, 9.0)] == ["1.0", "1.25", "2.0"]
    assert axis("0", "1", "0.1").text(0.30000000000000004) == "0.3"
    assert listed("0.10", "x").text("0.10") == "0.10"


def test_where_a_value_of_an_earlier_search_lies() -> None:
    """On the nearest step, bounds included; a word, a number outside and one that a list lacks are of another space."""
    stepped, free = axis("1", "10", "4", kind="int"), axis("1", "2")
    assert [stepped.coordinate(text) for text in ("1", "2", "6", "10", "10.1", "0.9")] == [
        1,
        1,
        5,
        9,
        None,
        None,
    ]
    assert [free.coordinate(text) for text in ("1", "2e0", "1.5", "2.01", "x", "")] == [
        1,
        2,
        1.5,
        None,
        None,
        None,
    ]
    assert [listed("0.1", "x").coordinate(text) for text in ("0.1", "x", "0.10")] == ["0.1", "x", None]
    bell = axis("1", "100", distribution="normal")
    assert [bell.coordinate(text) for text in ("1", "50.5", "100")] == pytest.approx([0, 0.5, 1])
    assert free.share("3") is None


@pytest.mark.parametrize(
    ("found", "is_ordered"),
    [
        (axis("1", "2"), True),
        (axis("1", "9", kind="int"), True),
        (listed("1", "2", "10"), True),
        (listed("1e-2", "1e-3", "1e-4"), True),  # descending
        (listed("1", "3", "2"), False),
        (listed("small", "large"), False),
        (listed("1", "x"), False),
        (listed("1", "2", "3", kind="categorical"), False),
    ],
)
def test_a_list_of_numbers_in_either_order_is_ordered(found: Axis, is_ordered: bool) -> None:
    assert found.ordered is is_ordered


@pytest.mark.parametrize(
    ("found", "text", "expected"),
    [
        (axis("1", "10", "4", kind="int"), "5", (IntDistribution(1, 10), 5)),
        (axis("1", "10", kind="int", distribution="logUniform"), "5", (IntDistribution(1, 10, log=True), 5)),
        (axis("1", "10", "0.5"), "5", (FloatDistribution(1, 10), 5.0)),
        (axis("1", "10", distribution="logNormal"), "5.5", (FloatDistribution(1, 10, log=True), 5.5)),
        (axis("1", "10", distribution="normal"), "5.5", (FloatDistribution(1, 10), 5.5)),
        (listed("1", "2"), "2", (CategoricalDistribution(["1", "2"]), "2")),
    ],
)
def test_a_record_has_the_value_itself_with_bounds_and_scale(
    found: Axis, text: str, expected: tuple[object, object]
) -> None:
    assert found.record(text) == expected
    assert type(found.record(text)[1]) is type(expected[1])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"low": "-1e18", "high": "1e18"}, None),
        ({"high": "1.1e18"}, "max '1.1e18' is beyond 1e+18, the most that is searched here"),
        ({"low": "-1.1e18"}, "min '-1.1e18' is beyond 1e+18, the most that is searched here"),
        ({"low": "2"}, None),
        ({"low": "2", "distribution": "logUniform"}, None),
        ({"low": "2", "distribution": "logNormal"}, "min '2' does not lie below max '2'"),
        ({"low": "2.1"}, "min '2.1' does not lie below max '2'"),
        ({"low": "0", "distribution": "logNormal"}, "logNormal needs min above 0, not '0'"),
        ({"low": "1e-400", "distribution": "logUniform"}, "logUniform needs min above 0, not '1E-400'"),
        ({"low": "-1", "distribution": "normal"}, None),
        ({"low": "0", "high": "1", "step": "1e-15"}, None),  # 1e15 steps and no more
        ({"low": "0", "high": "1", "step": "9e-16"}, "step '9E-16' is too small for a range from '0' to '1'"),
        ({"low": "999999999999999", "high": "1e15", "step": "1"}, None),
        ({"step": "0"}, "step '0' is not above 0"),
        ({"kind": "int", "step": "-0.5"}, "step '-1' is not above 0"),
        ({"step": "-1"}, "step '-1' is not above 0"),
        ({"step": "x"}, "step 'x' is not a number"),
        ({"step": "9"}, None),
        ({"kind": "int", "step": "0.5"}, None),
        (
            {"kind": "int", "step": "0.5", "low": "1.2", "high": "1.8"},
            "no whole number lies from min '1.2' to max '1.8'",
        ),
        ({"kind": "int", "low": "1.0"}, None),
        ({"low": ""}, "min '' is not a number"),
    ],
)
def test_bounds_that_make_a_range_are_taken_and_others_named(change: dict[str, str], problem: str | None) -> None:
    words: dict[str, Any] = {"low": "1", "high": "2"} | change
    if problem is None:
        axis(**words)
        return
    with pytest.raises(ManifestError) as error:
        axis(**words)
    assert str(error.value) == f"parameter 'p': feasibleSpace: {problem}"


def test_a_missing_bound_is_named() -> None:
    with pytest.raises(ManifestError, match="max '' is not a number"):
        Axis(Parameter("p", "double", "1", None, None, (), "uniform"))


def test_points_are_in_the_order_of_a_grid() -> None:
    """As itertools.product has them: the last parameter changes first, as in Katib's grid service."""
    parameters = [
        Parameter("a", "int", "1", "3", None, (), "uniform"),
        Parameter("b", "categorical", None, None, None, ("x", "y"), "uniform"),
        Parameter("c", "double", "0.5", "0.5", None, (), "uniform"),
    ]
    space = Space.of(parameters)
    expected = [dict(zip("abc", point, strict=True)) for point in itertools.product("123", "xy", ["0.5"])]
    assert space.size == 6
    assert [space.point(index) for index in range(6)] == expected
    assert [list(space.point(index)) for index in range(6)] == [["a", "b", "c"]] * 6
    assert space.at([0.4, 0.6, 0.1]) == {"a": "2", "b": "y", "c": "0.5"}
    assert space.shares({"a": "2", "b": "y", "c": "0.5", "d": "9"}) == pytest.approx((0.5, 0.75, 0.5))
    assert space.shares({"a": "2", "b": "y"}) is None
    assert space.coordinates({"a": "2", "b": "y", "c": "0.5", "d": "9"}) == {"a": 2.0, "b": "y", "c": 0.5}
    assert space.coordinates({"a": "2", "b": "z", "c": "0.5"}) is None
    assert space.assignments({"a": 2.2, "b": "x", "c": 0.5}) == {"a": "2", "b": "x", "c": "0.5"}
    assert list(space.distributions) == ["a", "b", "c"]
    endless = Space.of([*parameters, Parameter("d", "double", "0", "1", None, (), "uniform")])
    assert endless.size is None


def test_a_trial_that_lacks_a_parameter_is_of_another_space_also_where_nothing_is_one_of_its_values() -> None:
    space = Space.of([Parameter("word", "categorical", None, None, None, ("", "x"), "uniform")])
    assert (space.coordinates({"word": ""}), space.shares({"word": ""})) == ({"word": ""}, (0.25,))
    assert (space.coordinates({}), space.shares({"other": "x"})) == (None, None)
