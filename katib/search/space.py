"""The search space of an Experiment: one axis per parameter.

A point is given by its shares (on the unit cube), its coordinates or its texts. Pure: no I/O.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from katib.manifest.search import Parameter
from katib.search.axis import Axis, Coordinate

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Key = tuple[str, ...]
"""A point in the space's own spelling, so that 1e-3 and 0.001 are one."""


@dataclass(frozen=True)
class Space:
    """All axes of a search, by parameter name."""

    axes: Mapping[str, Axis]

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> "Space":
        """Returns the space of these parameters. Raises ManifestError."""
        return cls({parameter.name: Axis(parameter) for parameter in parameters})

    @property
    def distributions(self) -> "dict[str, BaseDistribution]":
        """The distributions that a sampler draws from."""
        return {name: axis.distribution for name, axis in self.axes.items()}

    def assignments(self, coordinates: Mapping[str, Coordinate]) -> dict[str, str]:
        """Returns the values of a trial at these coordinates."""
        return {name: axis.text(coordinates[name]) for name, axis in self.axes.items()}

    @cached_property
    def size(self) -> int | None:
        """The number of points; None where they cannot be counted."""
        levels = [axis.levels for axis in self.axes.values()]
        return None if None in levels else math.prod(level for level in levels if level is not None)

    def point(self, index: int) -> dict[str, str]:
        """Returns one of the countable points, in the order of a grid: the last parameter changes first."""
        values: dict[str, str] = {}
        for name, axis in reversed(list(self.axes.items())):
            index, level = divmod(index, axis.levels or 1)
            values[name] = axis.level(level)
        return {name: values[name] for name in self.axes}

    def at(self, shares: Sequence[float]) -> dict[str, str]:
        """Returns the values of a trial at a point of the unit cube, one share per axis; 0 <= share < 1."""
        return {name: axis.at(share) for (name, axis), share in zip(self.axes.items(), shares, strict=True)}

    def shares(self, assignments: Mapping[str, str]) -> tuple[float, ...] | None:
        """Returns the point of the unit cube for a trial with these values; None for a trial of another space."""
        if not self.axes.keys() <= assignments.keys():
            return None
        shares = [axis.share(assignments[name]) for name, axis in self.axes.items()]
        return None if None in shares else tuple(share for share in shares if share is not None)

    def coordinates(self, assignments: Mapping[str, str]) -> dict[str, Coordinate] | None:
        """Returns the coordinates of a trial with these values; None for a trial of another space."""
        if not self.axes.keys() <= assignments.keys():
            return None
        coordinates = {name: axis.coordinate(assignments[name]) for name, axis in self.axes.items()}
        return None if None in coordinates.values() else cast(dict[str, Coordinate], coordinates)

    def key(self, assignments: Mapping[str, str]) -> Key | None:
        """Returns the point of a trial with these values as a key; None for a trial of another space."""
        coordinates = self.coordinates(assignments)
        return None if coordinates is None else tuple(self.assignments(coordinates).values())
