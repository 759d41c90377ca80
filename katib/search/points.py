"""Measures how far points of the unit cube lie from those at which trials have ended. Pure: no I/O."""

from collections.abc import Sequence

import numpy as np

from katib.search.space import Space


class Points:
    """Points of the unit cube, up to thousands, with which each draw is compared."""

    def __init__(self, space: Space, points: Sequence[Sequence[float]]) -> None:
        axes = list(space.axes.values())
        self.points = np.array(points, dtype=float).reshape(-1, len(axes))
        """[N, D]"""
        self._unordered = [index for index, axis in enumerate(axes) if not axis.ordered]
        self._levels = np.array([axes[index].levels or 1 for index in self._unordered], dtype=float)

    def distance(self, shares: Sequence[float]) -> float:
        """Returns the distance to the nearest point; 1 where there is none.

        The distance is the greatest difference on any axis, in shares. Two values of an unordered axis are 1 apart.
        """
        apart = np.abs(self.points - np.asarray(shares))
        apart[:, self._unordered] = apart[:, self._unordered] * self._levels >= 0.5
        return float(apart.max(axis=1).min(initial=1.0))
