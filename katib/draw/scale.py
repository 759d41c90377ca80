"""Maps values to positions from 0 to 1 along an axis, and chooses the round numbers that label it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from katib.text import short

MOST_TICKS = 6
FAR = 50.0
"""A position further beyond the ends than so many lengths of the axis is drawn there; a frame shows neither."""
MOST = 1e308
"""Ends beyond it, to which a margin may have led, are taken for it."""
Value = float | str
T = TypeVar("T")


class Scale(Protocol):
    """An axis: `place` is linear beyond the ends, which a frame cuts off."""

    def place(self, value: Value) -> float:
        """Returns the position of a value, 0 at the lower end of the axis and 1 at the upper one."""
        ...

    def ticks(self, most: int = MOST_TICKS) -> list[tuple[float, str]]:
        """Returns at most so many labels, each with its position."""
        ...


@dataclass(frozen=True)
class Linear:
    """An axis on which equal differences are equal distances."""

    low: float
    high: float
    whole: bool = False
    """Whether only whole numbers label it, as those of trials and epochs."""

    def place(self, value: Value) -> float:
        """Returns the position of a value."""
        # In halves, because the difference of two floats may be beyond the greatest one.
        low, high = max(self.low, -MOST) / 2, min(self.high, MOST) / 2
        share = (float(value) / 2 - low) / (high - low) if high > low else 0.5
        return min(max(share, -FAR), FAR)

    def ticks(self, most: int = MOST_TICKS) -> list[tuple[float, str]]:
        """Returns round numbers between the ends."""
        numbers = round_numbers(self.low, self.high, most=most)
        if self.whole:
            numbers = [one for one in numbers if one == round(one)]
        return [(self.place(one), short(repr(one))) for one in numbers]


@dataclass(frozen=True)
class Log:
    """An axis on which equal factors are equal distances; both ends are above 0."""

    low: float
    high: float

    def place(self, value: Value) -> float:
        """Returns the position of a value, which is above 0."""
        ends = math.log(self.low), math.log(self.high)
        return Linear(*ends).place(math.log(float(value)))

    def ticks(self, most: int = MOST_TICKS) -> list[tuple[float, str]]:
        """Returns powers of ten between the ends, or one to five times such."""
        numbers = round_numbers(self.low, self.high, logarithmic=True, most=most)
        return [(self.place(one), short(repr(one))) for one in numbers]


@dataclass(frozen=True)
class Category:
    """An axis of listed values, each with the same room."""

    values: tuple[str, ...]

    def place(self, value: Value) -> float:
        """Returns the middle of a value's room. Raises ValueError for a value that is not listed."""
        return (self.values.index(str(value)) + 0.5) / len(self.values)

    def ticks(self, most: int = MOST_TICKS) -> list[tuple[float, str]]:
        """Returns the values, of many some at even distances."""
        return [(self.place(text), text) for text in _even(self.values, most)]


@dataclass(frozen=True)
class Clock:
    """An axis of Unix times in s, labelled in UTC."""

    low: float
    high: float

    def place(self, value: Value) -> float:
        """Returns the position of a time."""
        return Linear(self.low, self.high).place(value)

    def ticks(self, most: int = MOST_TICKS) -> list[tuple[float, str]]:
        """Returns round minutes, hours or days between the ends: the date where it changes, else the time."""
        step = next((one for one in _STEPS if (self.high - self.low) / one < most), _STEPS[-1])
        step *= max(1, math.ceil((self.high - self.low) / step / most))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        found, day = [], ""
        for index in range(first, last + 1):
            moment = datetime.fromtimestamp(index * step, UTC)
            date = f"{moment:%a} {moment.day} {moment:%b}"
            found.append((self.place(index * step), date if step >= _DAY or date != day else f"{moment:%H:%M}"))
            day = date
        return found


_DAY = 86_400
_STEPS = (60, 300, 600, 1800, 3600, 7200, 10_800, 21_600, 43_200, _DAY, 2 * _DAY, 7 * _DAY)


def round_numbers(low: float, high: float, *, logarithmic: bool = False, most: int = MOST_TICKS) -> list[float]:
    """Returns round numbers from `low` to `high`, or the two ends where there are none."""
    low, high = max(low, -MOST), min(high, MOST)
    numbers = _decades(low, high, most) if logarithmic else _multiples(low, high, most)
    if len(numbers) < 2:
        return [low, high] if low < high else [low]
    return numbers


def _decades(low: float, high: float, most: int) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    inside: list[float] = []
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [float(f"{factor}e{power}") for power in powers for factor in factors]
        inside = [number for number in found if low * 0.999 <= number <= high * 1.001]
        if len(inside) >= 3:
            break
    return [min(max(number, low), high) for number in _even(inside, most)]


def _multiples(low: float, high: float, most: int) -> list[float]:
    if low >= high:
        return [low]
    if not math.isfinite(high - low) or high - low < 1e-300:
        return [low, high]
    rough = (high - low) / max(1, most - 1)
    size = 10 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    # A multiple of 0.1 is 0.30000000000000004 else.
    return [min(max(float(f"{index * step:.12g}"), low), high) for index in range(first, last + 1)]


def _even(items: Sequence[T], most: int) -> list[T]:
    """Returns all items, or `most` of them at even distances, the first and the last included."""
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / max(1, most - 1))] for index in range(most)]
