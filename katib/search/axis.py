"""Converts between the texts of a parameter and its coordinates on an axis, from which a sampler draws.

A sampler sees an Optuna distribution; a trial gets the text that Katib would put into its command. The normal
distributions, which Optuna lacks, are an axis of quantiles. Pure: no I/O.
"""

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING

from katib.errors import ManifestError
from katib.manifest.search import SIGMAS, Parameter
from katib.text import number

if TYPE_CHECKING:
    # At run time Optuna is loaded with the first distribution: it takes a second, and a point's place needs none.
    from optuna.distributions import BaseDistribution

MOST, MOST_STEPS = Decimal("1e18"), Decimal("1e15")
"""The greatest number and the greatest count of steps: beyond them a float cannot distinguish neighbours."""

Coordinate = float | str
"""The position of a value on an axis: a number, or the text itself where the parameter is a list."""


@dataclass(frozen=True)
class Axis:
    """One parameter of the search. Raises ManifestError where its numbers make no range."""

    parameter: Parameter

    def __post_init__(self) -> None:
        if not self._listed:
            self._check()

    @cached_property
    def distribution(self) -> "BaseDistribution":
        """The distribution from which a sampler draws coordinates."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self._listed:
            return CategoricalDistribution(self._choices)
        if self._normal:
            return FloatDistribution(0.0, 1.0)
        low, high = self.low, self.high
        if self.step is not None:
            high = low + self._steps * self.step
        if self._logarithmic:
            # Optuna has no steps on a logarithmic axis; `text` takes the nearest step.
            if self.parameter.type == "int" and self.step == 1:
                return IntDistribution(int(low), int(high), log=True)
            return FloatDistribution(float(low), float(high), log=True)
        if self.parameter.type == "int":
            return IntDistribution(int(low), int(high), step=int(self.step or 1))
        return FloatDistribution(float(low), float(high), step=float(self.step) if self.step else None)

    def text(self, coordinate: Coordinate) -> str:
        """Returns the value at `coordinate`, within the bounds and on a step."""
        if self._listed:
            return str(coordinate)
        value = self._from_quantile(float(coordinate)) if self._normal else float(coordinate)
        if self.step is None:
            return repr(min(max(value, float(self.low)), float(self.high)))
        return _plain(self._on_step(value))

    def coordinate(self, text: str) -> Coordinate | None:
        """Returns the coordinate of a value, on a step; None where the value is not one of this axis."""
        if self._listed:
            return text if text in self._choices else None
        value = number(text)
        if value is None or not float(self.low) <= value <= float(self.high):
            return None
        if self.step is not None:
            value = float(self._on_step(value))
        return self._to_quantile(value) if self._normal else value

    @cached_property
    def levels(self) -> int | None:
        """The number of values; None where they cannot be counted."""
        if self._listed:
            return len(self._choices)
        if self.step is None:
            return 1 if float(self.low) == float(self.high) else None
        return self._steps + 1

    def level(self, index: int) -> str:
        """Returns one of the countable values by its index in their order."""
        if self._listed:
            return self._choices[index]
        return _plain(self.low + index * self.step) if self.step is not None else self.text(float(self.low))

    def at(self, share: float) -> str:
        """Returns the value that has `share` of the distribution below it; 0 <= share < 1."""
        if self.even:
            return self.level(int(share * (self.levels or 1)))
        if self._normal:
            return self.text(share)
        low, high = self._scaled(float(self.low)), self._scaled(float(self.high))
        return self.text(self._unscaled(low + share * (high - low)))

    def share(self, text: str) -> float | None:
        """Returns the share of the distribution below a value, from which `at` returns the value again.

        A countable value has a part of the distribution; its share is the middle of that part.
        """
        coordinate = self.coordinate(text)
        if coordinate is None:
            return None
        if self.even:
            return (self._index(text) + 0.5) / (self.levels or 1)
        if self._normal:
            return float(coordinate)
        low, high = self._scaled(float(self.low)), self._scaled(float(self.high))
        return (self._scaled(float(coordinate)) - low) / (high - low)

    @cached_property
    def even(self) -> bool:
        """Whether each of the countable values has the same share."""
        return self.levels is not None and (
            self._listed or self.levels == 1 or self.parameter.distribution == "uniform"
        )

    @property
    def ordered(self) -> bool:
        """Whether a value lies between its neighbours: not in categorical axes and in lists without numeric order."""
        if not self._listed:
            return True
        if self.parameter.type == "categorical":
            return False
        try:
            numbers = [float(value) for value in self._choices]
        except ValueError:
            return False
        return sorted(numbers) in (numbers, numbers[::-1])

    def record(self, text: str) -> "tuple[BaseDistribution, float | int | str]":
        """Returns a value for a record of trials, with the bounds and the scale that a chart needs."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self._listed:
            return self.distribution, text
        if self.parameter.type == "int":
            return IntDistribution(int(self.low), int(self.high), log=self._logarithmic), int(text)
        return FloatDistribution(float(self.low), float(self.high), log=self._logarithmic), float(text)

    @cached_property
    def low(self) -> Decimal:
        """The lower bound."""
        return self._number("min", self.parameter.min or "")

    @cached_property
    def high(self) -> Decimal:
        """The upper bound."""
        return self._number("max", self.parameter.max or "")

    @cached_property
    def step(self) -> Decimal | None:
        """The difference between neighbouring values; where none is given, 1 for an int and None for a double."""
        if self.parameter.step:
            return self._number("step", self.parameter.step)
        return Decimal(1) if self.parameter.type == "int" else None

    @cached_property
    def _choices(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.parameter.values))

    @property
    def _listed(self) -> bool:
        return self.parameter.type in ("discrete", "categorical")

    @property
    def _normal(self) -> bool:
        return self.parameter.distribution in ("normal", "logNormal")

    @property
    def _logarithmic(self) -> bool:
        return self.parameter.distribution in ("logUniform", "logNormal")

    @cached_property
    def _steps(self) -> int:
        return int((self.high - self.low) // (self.step or 1))

    @property
    def _bell(self) -> NormalDist:
        low, high = self._scaled(float(self.low)), self._scaled(float(self.high))
        return NormalDist((low + high) / 2, (high - low) / (2 * SIGMAS))

    def _from_quantile(self, share: float) -> float:
        tail = NormalDist().cdf(-SIGMAS)
        value = self._bell.inv_cdf(tail + share * (1 - 2 * tail))
        return self._unscaled(value)

    def _to_quantile(self, value: float) -> float:
        tail = NormalDist().cdf(-SIGMAS)
        return min(max((self._bell.cdf(self._scaled(value)) - tail) / (1 - 2 * tail), 0.0), 1.0)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self._logarithmic else value

    def _unscaled(self, value: float) -> float:
        return math.exp(value) if self._logarithmic else value

    def _on_step(self, value: float) -> Decimal:
        """Returns the nearest value on a step."""
        step = self.step or Decimal(1)
        index = round((Decimal(value) - self.low) / step)
        return self.low + min(max(index, 0), self._steps) * step

    def _index(self, text: str) -> int:
        """Returns the index of a value, which must be one of the axis, among the countable ones."""
        if self._listed:
            return self._choices.index(text)
        return round((Decimal(float(text)) - self.low) / self.step) if self.step is not None else 0

    def _number(self, key: str, text: str) -> Decimal:
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite():
            raise self._error(f"{key} '{text}' is not a number")
        if not -MOST <= number <= MOST:
            raise self._error(f"{key} '{text}' is beyond {MOST:.0e}, the most that is searched here")
        if self.parameter.type == "int" and number != int(number):
            # The services that accept such a bound of an int round it; here no value lies beyond the bound.
            whole = Decimal(math.ceil(number) if key == "min" else math.floor(number))
            return max(whole, Decimal(1)) if key == "step" and number > 0 else whole
        return number

    def _check(self) -> None:
        low, high = self.low, self.high
        least, most = self.parameter.min or "0", self.parameter.max or "0"
        # The bounds of an int are rounded inwards, past each other where no whole number lies between them.
        if low > high and Decimal(least) <= Decimal(most):
            raise self._error(f"no whole number lies from min '{least}' to max '{most}'")
        # A bell over a single point has no width; the other distributions can be a single value.
        if low > high or (float(low) == float(high) and self._normal):
            raise self._error(f"min '{low}' does not lie below max '{high}'")
        if self._logarithmic and float(low) <= 0:
            raise self._error(f"{self.parameter.distribution} needs min above 0, not '{low}'")
        if self.step is None:
            return
        if self.step <= 0:
            raise self._error(f"step '{self.step}' is not above 0")
        if high - low > MOST_STEPS * self.step:
            raise self._error(f"step '{self.step}' is too small for a range from '{low}' to '{high}'")

    def _error(self, problem: str) -> ManifestError:
        return ManifestError(f"parameter '{self.parameter.name}': feasibleSpace: {problem}")


def _plain(number: Decimal) -> str:
    """Returns the text of a number: 0.3, not 0.30000000000000004, and whole numbers without exponent."""
    number = number.normalize()
    return str(int(number)) if number == int(number) else str(number)
