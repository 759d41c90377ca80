"""The search space: each parameter of an Experiment as an axis that a sampler can move on, and back to Katib's strings.

A sampler sees Optuna distributions; a trial gets the text that Katib would put into its command. The normal
distributions, which Optuna lacks, are an axis of quantiles. Pure; called by katib/search/sampler.py.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from statistics import NormalDist
from typing import cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from katib.errors import ManifestError
from katib.experiment import Parameter

SIGMAS = 3
"""The bounds of a normal distribution lie so many standard deviations from its mean (Katib v0.19,
suggestion/v1beta1/hyperopt/base_service.py: sigma is a sixth of the range); it is cut off there."""

Coordinate = float | str
"""Where a trial stands on an axis: a number, or the text itself where the parameter is a list."""


@dataclass(frozen=True)
class Axis:
    """One parameter of the search. Raises ManifestError where its numbers make no range."""

    parameter: Parameter

    def __post_init__(self) -> None:
        if not self._listed:
            self._check()

    @cached_property
    def distribution(self) -> BaseDistribution:
        """What the sampler draws coordinates from."""
        if self._listed:
            return CategoricalDistribution(self.parameter.values)
        if self._normal:
            return FloatDistribution(0.0, 1.0)
        low, high = self.low, self.high
        if self.step is not None:
            high = low + self._steps * self.step
        if self._logarithmic:
            # Optuna has no steps on a logarithmic axis; `text` goes to the nearest.
            if self.parameter.type == "int" and self.step == 1:
                return IntDistribution(int(low), int(high), log=True)
            return FloatDistribution(float(low), float(high), log=True)
        if self.parameter.type == "int":
            return IntDistribution(int(low), int(high), step=int(self.step or 1))
        return FloatDistribution(float(low), float(high), step=float(self.step) if self.step else None)

    def text(self, coordinate: Coordinate) -> str:
        """The value that a trial at `coordinate` is given, within the bounds and on a step."""
        if self._listed:
            return str(coordinate)
        value = self._from_quantile(float(coordinate)) if self._normal else float(coordinate)
        if self.step is None:
            return repr(min(max(value, float(self.low)), float(self.high)))
        steps = round((Decimal(value) - self.low) / self.step)
        return _plain(self.low + min(max(steps, 0), self._steps) * self.step)

    def coordinate(self, text: str) -> Coordinate | None:
        """Where a trial with this value stands; None where the value is not one of this axis."""
        if self._listed:
            return text if text in self.parameter.values else None
        try:
            value = float(text)
        except ValueError:
            return None
        if not float(self.low) <= value <= float(self.high):
            return None
        return self._to_quantile(value) if self._normal else value

    def values(self) -> tuple[str, ...] | None:
        """All values in order, as texts; None where they cannot be listed."""
        if self._listed:
            return self.parameter.values
        if self.step is None:
            return None
        return tuple(_plain(self.low + index * self.step) for index in range(self._steps + 1))

    def at(self, share: float) -> str:
        """The value that has `share` of the distribution below it; 0 <= share < 1."""
        if self._listed:
            return self.parameter.values[int(share * len(self.parameter.values))]
        if self._normal:
            return self.text(share)
        low, high = float(self.low), float(self.high)
        if self._logarithmic:
            return self.text(math.exp(math.log(low) + share * (math.log(high) - math.log(low))))
        if self.step is not None:
            return _plain(self.low + int(share * (self._steps + 1)) * self.step)
        return self.text(low + share * (high - low))

    def record(self, text: str) -> tuple[BaseDistribution, float | int | str]:
        """The value as a record of trials shows it, with the bounds and the scale that a chart needs."""
        if self._listed:
            return self.distribution, text
        if self.parameter.type == "int":
            return IntDistribution(int(self.low), int(self.high), log=self._logarithmic), int(text)
        return FloatDistribution(float(self.low), float(self.high), log=self._logarithmic), float(text)

    @property
    def low(self) -> Decimal:
        """The lower bound."""
        return self._number("min", self.parameter.min or "")

    @property
    def high(self) -> Decimal:
        """The upper bound."""
        return self._number("max", self.parameter.max or "")

    @property
    def step(self) -> Decimal | None:
        """From one value to the next; 1 for an int that names none, None for a double that names none."""
        if self.parameter.step:
            return self._number("step", self.parameter.step)
        return Decimal(1) if self.parameter.type == "int" else None

    @property
    def _listed(self) -> bool:
        return self.parameter.type in ("discrete", "categorical")

    @property
    def _normal(self) -> bool:
        return self.parameter.distribution in ("normal", "logNormal")

    @property
    def _logarithmic(self) -> bool:
        return self.parameter.distribution in ("logUniform", "logNormal")

    @property
    def _steps(self) -> int:
        return int((self.high - self.low) // (self.step or 1))

    @property
    def _bell(self) -> NormalDist:
        low, high = self._scaled(float(self.low)), self._scaled(float(self.high))
        return NormalDist((low + high) / 2, (high - low) / (2 * SIGMAS))

    def _from_quantile(self, share: float) -> float:
        tail = NormalDist().cdf(-SIGMAS)
        value = self._bell.inv_cdf(tail + share * (1 - 2 * tail))
        return math.exp(value) if self._logarithmic else value

    def _to_quantile(self, value: float) -> float:
        tail = NormalDist().cdf(-SIGMAS)
        return min(max((self._bell.cdf(self._scaled(value)) - tail) / (1 - 2 * tail), 0.0), 1.0)

    def _scaled(self, value: float) -> float:
        return math.log(value) if self._logarithmic else value

    def _number(self, key: str, text: str) -> Decimal:
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite():
            raise self._error(f"{key} '{text}' is not a number")
        if self.parameter.type == "int" and number != int(number):
            raise self._error(f"{key} '{text}' is not a whole number")
        return number

    def _check(self) -> None:
        low, high = self.low, self.high
        # A bell over a single point has no width; the other distributions can be a single value.
        if low > high or (low == high and self._normal):
            raise self._error(f"min '{low}' does not lie below max '{high}'")
        if self._logarithmic and low <= 0:
            raise self._error(f"{self.parameter.distribution} needs min above 0, not '{low}'")
        if self.step is not None and self.step <= 0:
            raise self._error(f"step '{self.step}' is not above 0")

    def _error(self, problem: str) -> ManifestError:
        return ManifestError(f"parameter '{self.parameter.name}': feasibleSpace: {problem}")


@dataclass(frozen=True)
class Space:
    """All axes of a search, by parameter name."""

    axes: Mapping[str, Axis]

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> "Space":
        """The space of these parameters. Raises ManifestError."""
        return cls({parameter.name: Axis(parameter) for parameter in parameters})

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What a sampler draws from."""
        return {name: axis.distribution for name, axis in self.axes.items()}

    def assignments(self, coordinates: Mapping[str, Coordinate]) -> dict[str, str]:
        """What a trial at these coordinates is given."""
        return {name: axis.text(coordinates[name]) for name, axis in self.axes.items()}

    def coordinates(self, assignments: Mapping[str, str]) -> dict[str, Coordinate] | None:
        """Where a trial with these values stands; None where it is a trial of another space."""
        found = {name: axis.coordinate(assignments.get(name, "")) for name, axis in self.axes.items()}
        return None if None in found.values() else cast(dict[str, Coordinate], found)


def _plain(number: Decimal) -> str:
    """Without exponent for whole numbers, and as short as the steps are: 0.3, not 0.30000000000000004."""
    number = number.normalize()
    return str(int(number)) if number == int(number) else str(number)
