"""The search space: what a trial is given lies in the manifest's range, on its steps, and can be read back."""

from dataclasses import replace
from decimal import Decimal
from statistics import quantiles
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from katib.errors import ManifestError
from katib.manifest.search import Parameter
from katib.search.axis import Axis, Coordinate
from katib.search.space import Space

DISTRIBUTIONS = ("uniform", "logUniform", "normal", "logNormal")
decimals = st.decimals("0.001", "1000", places=3)


@st.composite
def numeric(draw: st.DrawFn) -> Parameter:
    """Any double or int parameter that Katib accepts, with or without a step."""
    kind: Literal["double", "int"] = draw(st.sampled_from(("double", "int")))
    low = Decimal(draw(st.integers(1, 1000))) if kind == "int" else draw(decimals)
    width = Decimal(draw(st.integers(1, 1000))) if kind == "int" else draw(decimals)
    steps = st.integers(1, 50).map(Decimal) if kind == "int" else st.decimals("0.01", "10", places=2)
    step = draw(st.none() | steps)
    text = None if step is None else str(step)
    return Parameter("p", kind, str(low), str(low + width), text, (), draw(st.sampled_from(DISTRIBUTIONS)))


def coordinates(distribution: BaseDistribution) -> st.SearchStrategy[Coordinate]:
    """Whatever a sampler may draw from it."""
    if isinstance(distribution, CategoricalDistribution):
        return st.sampled_from([str(choice) for choice in distribution.choices])
    if isinstance(distribution, IntDistribution):
        steps = (distribution.high - distribution.low) // distribution.step
        return st.integers(0, steps).map(lambda index: distribution.low + index * distribution.step)
    assert isinstance(distribution, FloatDistribution)
    if distribution.step is None:
        return st.floats(distribution.low, distribution.high)
    steps = round((distribution.high - distribution.low) / distribution.step)
    return st.integers(0, steps).map(lambda index: distribution.low + index * (distribution.step or 0))


@given(numeric(), st.data())
def test_every_value_lies_in_the_range_and_on_a_step(parameter: Parameter, data: st.DataObject) -> None:
    axis = Axis(parameter)
    text = axis.text(data.draw(coordinates(axis.distribution)))
    assert float(parameter.min or "") <= float(text) <= float(parameter.max or "")
    step = parameter.step or ("1" if parameter.type == "int" else None)
    if step:
        assert (Decimal(text) - Decimal(parameter.min or "")) % Decimal(step) == 0
    if parameter.type == "int":
        assert text == str(int(text))


@given(numeric(), st.data())
def test_a_value_that_was_given_is_read_back_as_itself(parameter: Parameter, data: st.DataObject) -> None:
    """text -> coordinate -> text; a quantile is exact to twelve digits."""
    axis = Axis(parameter)
    text = axis.text(data.draw(coordinates(axis.distribution)))
    back = axis.coordinate(text)
    assert back is not None
    assert axis.distribution._contains(axis.distribution.to_internal_repr(back))
    assert float(axis.text(back)) == pytest.approx(float(text), rel=1e-6)
    if parameter.step or parameter.type == "int" or parameter.distribution in ("uniform", "logUniform"):
        assert axis.text(back) == text


@given(numeric(), st.floats(0, 1, exclude_max=True))
def test_shares_of_the_distribution_lie_in_the_range(parameter: Parameter, share: float) -> None:
    """What the sobol sequence and random search draw."""
    assert Axis(parameter).coordinate(Axis(parameter).at(share)) is not None


@given(numeric(), st.floats(0, 1, exclude_max=True))
def test_the_share_of_a_value_leads_back_to_it(parameter: Parameter, share: float) -> None:
    axis = Axis(parameter)
    text = axis.at(share)
    back = axis.share(text)
    assert back is not None
    assert 0 <= back <= 1
    assert float(axis.at(min(back, 1 - 1e-12))) == pytest.approx(float(text), rel=1e-6)


@given(st.lists(numeric(), min_size=1, max_size=3), st.data())
def test_a_countable_space_has_each_point_once(parameters: list[Parameter], data: st.DataObject) -> None:
    named = [replace(parameter, name=f"p{index}") for index, parameter in enumerate(parameters)]
    space = Space.of(named)
    if space.size is None:
        assert any(parameter.type == "double" and parameter.step is None for parameter in named)
        return
    places = data.draw(st.sets(st.integers(0, space.size - 1), max_size=5))
    points = [space.point(place) for place in places]
    assert len({tuple(point.values()) for point in points}) == len(places)
    assert all(space.coordinates(point) is not None for point in points)


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.data())
def test_lists_are_passed_on_as_they_are_written(values: list[str], data: st.DataObject) -> None:
    for kind in ("discrete", "categorical"):
        axis = Axis(Parameter("p", kind, None, None, None, tuple(values), "uniform"))
        text = data.draw(coordinates(axis.distribution))
        assert axis.text(text) == text == axis.coordinate(str(text))
        assert [axis.level(index) for index in range(axis.levels or 0)] == values


@pytest.mark.parametrize(
    ("distribution", "quartiles"),
    [
        ("uniform", (25.75, 50.5, 75.25)),
        ("logUniform", (3.162, 10, 31.62)),
        # Three standard deviations to each bound: the quartiles lie 0.6745 of them from the middle.
        ("normal", (39.37, 50.5, 61.63)),
        ("logNormal", (5.957, 10, 16.79)),
    ],
)
def test_each_distribution_has_its_own_quartiles(distribution: str, quartiles: tuple[float, ...]) -> None:
    """1 to 100 by each distribution, against the closed form."""
    axis = Axis(Parameter("p", "double", "1", "100", None, (), distribution))  # type: ignore[arg-type]
    drawn = [float(axis.at((index + 0.5) / 1000)) for index in range(1000)]
    assert quantiles(drawn, n=4) == pytest.approx(quartiles, rel=0.01)


def test_values_outside_the_range_belong_to_another_space() -> None:
    """As in the trials of an earlier search with wider ranges."""
    space = Space.of([Parameter("p", "double", "1", "2", None, (), "uniform")])
    assert space.coordinates({"p": "1.5"}) == {"p": 1.5}
    for assignments in ({"p": "2.5"}, {"p": "x"}, {"p": "nan"}, {"q": "1.5"}):
        assert space.coordinates(assignments) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"min": "x"}, "min 'x' is not a number"),
        ({"max": "inf"}, "max 'inf' is not a number"),
        ({"min": "3"}, "min '3' does not lie below max '2'"),
        ({"min": "0", "distribution": "logUniform"}, "logUniform needs min above 0, not '0'"),
        ({"step": "0"}, "step '0' is not above 0"),
        ({"step": "1e-30"}, "step '1E-30' is too small for a range from '1' to '2'"),
        ({"type": "int", "max": "1e999999999"}, "max '1e999999999' is beyond 1e+18, the most that is searched here"),
        ({"max": "1e400"}, "max '1e400' is beyond 1e+18, the most that is searched here"),
        ({"type": "int", "min": "1.2", "max": "1.8"}, "no whole number lies from min '1.2' to max '1.8'"),
        ({"min": "2", "distribution": "normal"}, "min '2' does not lie below max '2'"),
    ],
)
def test_a_range_that_is_none_is_named(change: dict[str, str], message: str) -> None:
    fields = {"type": "double", "min": "1", "max": "2", "step": None, "distribution": "uniform"} | change
    with pytest.raises(ManifestError) as error:
        Space.of([Parameter(name="lr", values=(), **fields)])  # type: ignore[arg-type]
    assert str(error.value) == f"parameter 'lr': feasibleSpace: {message}"


def test_fractions_of_an_int_are_cut_to_the_whole_numbers_within() -> None:
    """hyperopt (Katib v0.19) reads them with float and rounds what it draws, beyond a bound too."""
    axis = Axis(Parameter("p", "int", "-0.5", "8.9", "1.5", (), "uniform"))
    assert [axis.level(index) for index in range(axis.levels or 0)] == [str(value) for value in range(9)]
