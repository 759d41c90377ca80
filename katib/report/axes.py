"""Turns the searched parameters into axes that a figure can draw.

The axes are those of the manifest; where it is not known, they span the trials' values.
"""

import math
from dataclasses import dataclass

from katib.search.axis import Axis
from katib.table.axes import axes as table_axes
from katib.table.sample import spread
from katib.table.trial_table import TrialTable
from katib.text import short

MOST_TICKS = 6


@dataclass(frozen=True)
class Line:
    """A drawn axis, of numbers or of listed values."""

    name: str
    axis: Axis

    @property
    def logarithmic(self) -> bool:
        """Whether equal factors are equal distances."""
        return self.axis.parameter.distribution in ("logUniform", "logNormal") and not self.listed

    @property
    def listed(self) -> bool:
        """Whether the values are named one by one."""
        return self.axis.parameter.type in ("discrete", "categorical")

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest number."""
        return float(self.axis.low), float(self.axis.high)

    def place(self, text: str | None) -> float | None:
        """Returns the position of a value between the ends, 0 to 1; None for a value of another search."""
        if text is None:
            return None
        if self.listed:
            values = self.axis.parameter.values
            return (values.index(text) + 0.5) / len(values) if text in values else None
        try:
            return place(float(text), *self.bounds, logarithmic=self.logarithmic)
        except ValueError:
            return None

    def ticks(self) -> list[tuple[float, str]]:
        """Returns the labels between the ends, each with its position."""
        if self.listed:
            return [(self.place(text) or 0.0, text) for text in spread(self.axis.parameter.values, MOST_TICKS)]
        return ticks(*self.bounds, logarithmic=self.logarithmic)

    def layout(self) -> dict[str, object]:
        """Returns Plotly's axis, wide enough for everything that was searched."""
        if self.listed:
            values = list(self.axis.parameter.values)
            return {"type": "category", "categoryorder": "array", "categoryarray": values}
        low, high = self.bounds
        numbers = round_numbers(low, high, logarithmic=self.logarithmic)
        ends = [math.log10(low), math.log10(high)] if self.logarithmic else [low, high]
        margin = 0.04 * (ends[1] - ends[0]) or 0.5
        return {
            "type": "log" if self.logarithmic else "linear",
            "tickvals": numbers,
            "ticktext": [short(repr(number)) for number in numbers],
            "range": [ends[0] - margin, ends[1] + margin],
        }


def axes(table: TrialTable) -> list[Line]:
    """Returns one axis per searched parameter, in the manifest's order."""
    return [Line(name, axis) for name, axis in table_axes(table).items()]


def place(value: float, low: float, high: float, *, logarithmic: bool) -> float | None:
    """Returns how far `value` is from `low` to `high`, 0 to 1; None outside."""
    if not low <= value <= high:
        return None
    if logarithmic:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return (value - low) / (high - low) if high > low else 0.5


def ticks(low: float, high: float, *, logarithmic: bool) -> list[tuple[float, str]]:
    """Returns round numbers from `low` to `high`, each with its position."""
    numbers = round_numbers(low, high, logarithmic=logarithmic)
    places = ((place(number, low, high, logarithmic=logarithmic), number) for number in numbers)
    return [(where, short(repr(number))) for where, number in places if where is not None]


def round_numbers(low: float, high: float, *, logarithmic: bool) -> list[float]:
    """Returns round numbers from `low` to `high`, or the two ends where there are none."""
    numbers = _decades(low, high) if logarithmic else _steps(low, high)
    if len(numbers) < 2:
        return [low, high] if low < high else [low]
    return numbers


def _decades(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [float(f"{factor}e{power}") for power in powers for factor in factors]
        inside = [number for number in found if low * 0.999 <= number <= high * 1.001]
        if len(inside) >= 3:
            break
    return [min(max(number, low), high) for number in spread(inside, MOST_TICKS)]


def _steps(low: float, high: float) -> list[float]:
    if low >= high:
        return [low]
    rough = (high - low) / (MOST_TICKS - 1)
    size = 10 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [min(max(index * step, low), high) for index in range(first, last + 1)]
