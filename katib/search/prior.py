"""Reads the setting `prior`, the values that somebody expects to be best and how sure of each, and makes a density.

The check of manifests, the suggestion service and the local engine all read it here. A model weighs its criterion by
the density, less with every trial (Hvarfner et al. 2022, ICLR), and the points before the model are drawn through it.
Pure: no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from katib.errors import nearest

if TYPE_CHECKING:
    # At run time NumPy is loaded only for a proposal.
    from katib.search.gaussian_process import Array
    from katib.search.space import Space

WIDTHS: Mapping[str, float] = {"strong": 0.06, "fair": 0.12, "weak": 0.25}
"""How sure one can be, as the standard deviation of the best value, in shares of the axis, around the expected one."""
SURE = "fair"
"""How sure one is where nothing is said."""
ELSEWHERE = 0.1
"""The probability that the expectation says nothing, so that no value is ruled out (Mallik et al. 2023, NeurIPS, mix a
prior with a uniform distribution too)."""
DISPROOFS = 2
"""So many failures where the best was expected end what the prior says: failures also count against the search, which
ends with its maxFailedTrialCount."""
CELLS = 512
"""A density is constant on so many parts of a continuous axis."""
SHAPE = 'a JSON mapping such as {"lr": {"at": "0.001", "sure": "strong"}}; sure is ' + ", ".join(WIDTHS)


@dataclass(frozen=True)
class Expected:
    """The value of one parameter that is expected to be best, as text, and how sure that is (a key of WIDTHS)."""

    at: str
    sure: str = SURE


def read_prior(text: str) -> dict[str, Expected]:
    """Reads the value of the setting. Raises ValueError where it does not have the `SHAPE`."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("not a mapping")
    return {name: _expected(item) for name, item in found.items()}


def _expected(item: object) -> Expected:
    if not isinstance(item, dict) or not {"at"} <= item.keys() <= {"at", "sure"}:
        raise ValueError("not a value with how sure it is")
    at, sure = item["at"], item.get("sure", SURE)
    if isinstance(at, bool) or not isinstance(at, str | int | float) or not isinstance(sure, str) or sure not in WIDTHS:
        raise ValueError("not a value with how sure it is")
    return Expected(str(at), sure)


def problems(
    prior: Mapping[str, Expected], names: Sequence[str], coordinate: Callable[[str, str], Hashable | None]
) -> Iterator[str]:
    """Yields in words why the prior does not fit the space with the parameters `names`.

    `coordinate` returns the position of a parameter's value on its axis; None where it is not a value of the parameter.
    """
    known = set(names)
    for name, expected in prior.items():
        if name not in known:
            yield f"no parameter '{name}': {nearest(name, names)}"
        elif coordinate(name, expected.at) is None:
            yield f"{name} {expected.at} is outside its feasibleSpace"


@dataclass(frozen=True)
class Density:
    """The density of the best point on the unit cube: on each axis one of its own, constant on equal parts."""

    heights: tuple[Array, ...]
    """For each axis the density on its parts; a single part where nothing is expected."""

    @classmethod
    def of(cls, space: Space, prior: Mapping[str, Expected]) -> Density:
        """Returns the density of a prior that fits the space."""
        import numpy as np

        heights = []
        for name, axis in space.axes.items():
            share = axis.share(prior[name].at) if name in prior else None
            if share is None:
                heights.append(np.ones(1))
                continue
            count = (axis.levels or 1) if axis.even and (not axis.ordered or (axis.levels or 1) < CELLS) else CELLS
            away = (np.arange(count) + 0.5) / count - share
            if axis.ordered:
                bell = np.exp(-0.5 * (away / WIDTHS[prior[name].sure]) ** 2)
            else:
                # Another value of a list is no nearer than the rest: the axis' share that lies within a deviation.
                bell = np.where(np.abs(away) < 0.5 / count, 1.0, WIDTHS[prior[name].sure])
            heights.append(ELSEWHERE + (1 - ELSEWHERE) * bell / bell.mean())
        return cls(tuple(heights))

    def log(self, points: Array) -> Array:
        """Returns ln of the density at `points` [M, D]."""
        import numpy as np

        total = np.zeros(len(points))
        for column, height in zip(points.T, self.heights, strict=True):
            total += np.log(height[np.minimum((column * len(height)).astype(int), len(height) - 1)])
        return total

    def is_disproved(self, failed: Array) -> bool:
        """Returns whether too many of the points [N, D] of failed trials lie where it expects the best."""
        return int((self.log(failed) > 0).sum()) >= DISPROOFS

    def weight(self, points: Array, trials: int) -> Array:
        """Returns what ln of a criterion gains at `points` [M, D]: ln of the density divided by the trials so far."""
        return self.log(points) / max(trials, 1)

    def drawn(self, shares: Sequence[float]) -> tuple[float, ...]:
        """Returns the point that has on each axis the given share of the density below it."""
        import numpy as np

        found = []
        for share, height in zip(shares, self.heights, strict=True):
            if len(height) == 1:
                found.append(share)
                continue
            edges = np.linspace(0.0, 1.0, len(height) + 1)
            below = np.append(0.0, np.cumsum(height) / height.sum())
            found.append(min(float(np.interp(share, below, edges)), float(np.nextafter(1.0, 0.0))))
        return tuple(found)
