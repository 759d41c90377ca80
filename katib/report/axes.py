"""Turns the searched parameters into axes that a figure can draw.

The axes are those of the manifest; where it is not known, they span the trials' values.
"""

import math
from dataclasses import dataclass

from katib.draw.scale import Category, Linear, Log, Scale
from katib.search.axis import Axis
from katib.table.axes import axes as table_axes
from katib.table.trial_table import TrialTable

MARGIN = 0.04
"""Of an axis beyond its ends, in a figure of points."""


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

    def scale(self, margin: float = 0.0) -> Scale:
        """Returns the scale of everything that was searched, wider by a share at both ends."""
        if self.listed:
            return Category(tuple(self.axis.parameter.values))
        low, high = self.bounds
        if self.logarithmic:
            factor = (high / low) ** margin if high > low else 1 + margin
            return Log(low / factor, high * factor)
        more = margin * (high - low) or (0.5 if margin else 0.0)
        return Linear(low - more, high + more, whole=self.axis.parameter.type == "int")

    def place(self, text: str | None) -> float | None:
        """Returns the position of a value between the ends, 0 to 1; None for a value of another search."""
        if text is None:
            return None
        try:
            found = self.scale().place(text)
        except ValueError:
            return None
        return found if math.isfinite(found) and 0 <= found <= 1 else None


def axes(table: TrialTable) -> list[Line]:
    """Returns one axis per searched parameter, in the manifest's order."""
    return [Line(name, axis) for name, axis in table_axes(table).items()]
