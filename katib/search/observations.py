"""Turns the trials of a search into observations for a Gaussian process: points with noisy values.

A failed trial gets a low value, a running one none, and a stopped one the value that it would have reached, estimated
from the curves of completed trials. Pure: no I/O.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from statistics import fmean, median
from typing import TYPE_CHECKING

import numpy as np

from katib.search.history import Observation
from katib.search.space import Space
from katib.trial import Direction

if TYPE_CHECKING:
    # At run time SciPy, which comes with it, is loaded only for a fit.
    from katib.search.gaussian_process import Array

HUGE = 1e100
"""Values are clipped to ±HUGE so that their squares stay finite."""
FAILED_QUANTILE = 0.25
"""A failed trial counts as the lower quarter of the others: its surroundings are bad, but not proven the worst."""


@dataclass(frozen=True)
class Observations:
    """The trials with a value, of which greater is better, and the pending ones."""

    points: Array
    """[N, D] on the unit cube."""
    values: Array
    """[N]"""
    variance: Array
    """[N], the variance of each value beyond the noise of all."""
    source: Array
    """[N], 1 for a trial of an earlier search, else 0."""
    pending: Array
    """[P, D], the points of running trials."""


def observe(
    space: Space, history: Sequence[Observation], earlier: Sequence[Observation], direction: Direction
) -> Observations:
    """Returns the observations of a search and of earlier ones; trials of another space are left out."""
    sign = direction.sign
    trials = [*_trials(space, history, sign), *(replace(trial, source=1.0) for trial in _trials(space, earlier, sign))]
    values = [trial.value for trial in trials if trial.value is not None]
    failed = float(np.quantile(values, FAILED_QUANTILE)) if values else None
    pairs = [(trial, failed if trial.value is None else trial.value) for trial in trials if not trial.pending]
    valued = [(trial, value) for trial, value in pairs if value is not None]
    pending = [trial.point for trial in trials if trial.pending and not trial.source]
    width = len(space.axes)
    return Observations(
        points=np.array([trial.point for trial, _ in valued]).reshape(len(valued), width),
        values=np.array([value for _, value in valued]),
        variance=np.array([trial.variance for trial, _ in valued]),
        source=np.array([trial.source for trial, _ in valued]),
        pending=np.array(pending).reshape(len(pending), width),
    )


def expected_ends(history: Sequence[Observation], direction: Direction) -> list[tuple[float, float] | None]:
    """Returns of each stopped trial the value that it would have reached, and its standard deviation; None of others.

    None as well where no completed trial says what later epochs bring.
    """
    completed = _Completed.of(history, direction.sign)
    found: list[tuple[float, float] | None] = []
    for trial in history:
        if trial.outcome != "stopped" or trial.worth is None or not completed.ends:
            found.append(None)
        else:
            value, variance = completed.expected(trial)
            found.append((direction.sign * value, math.sqrt(variance)))
    return found


@dataclass(frozen=True)
class _Trial:
    """One trial; `value` is None where it is pending or has failed."""

    point: tuple[float, ...]
    value: float | None
    variance: float = 0.0
    pending: bool = False
    source: float = 0.0


def _trials(space: Space, history: Sequence[Observation], sign: float) -> list[_Trial]:
    """Returns the trials of one search, in an order that does not depend on how they were listed."""
    completed = _Completed.of(history, sign)
    trials: list[_Trial] = []
    for trial in history:
        point = space.shares(trial.assignments)
        if point is None:
            continue
        if trial.outcome == "running":
            trials.append(_Trial(point, None, pending=True))
        elif trial.outcome == "failed" or trial.worth is None:
            trials.append(_Trial(point, None))
        elif trial.outcome == "stopped":
            trials.append(_Trial(point, *completed.expected(trial)))
        else:
            trials.append(_Trial(point, sign * _clipped(trial)))
    return sorted(trials, key=lambda trial: (trial.point, trial.pending, trial.value or 0.0))


@dataclass(frozen=True)
class _Completed:
    """The completed trials of a search, from which the gains of stopped ones are estimated."""

    sign: float
    ends: list[float]
    """The final values, greater is better."""
    bests: list[list[float]]
    """The best values so far at each step."""
    by_step: dict[int, tuple[float, float] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, history: Sequence[Observation], sign: float) -> _Completed:
        completed = [trial for trial in history if trial.outcome == "completed" and trial.worth is not None]
        curves = [
            [min(max(sign * value, -HUGE), HUGE) if math.isfinite(value) else -math.inf for value in trial.values]
            for trial in completed
        ]
        ends = [sign * _clipped(trial) for trial in completed]
        return cls(sign, ends, [list(accumulate(curve, max)) for curve in curves])

    def expected(self, trial: Observation) -> tuple[float, float]:
        """Returns the value that a stopped trial would have reached, and the variance of this estimate.

        It would have gained after its last step what the completed trials gained after that step. Where their curves
        are unknown, it would have ended between its own value and the median of the completed ones.
        """
        value, gain = self.sign * _clipped(trial), self._gain_after(len(trial.values))
        if gain is not None:
            return value + gain[0], gain[1] + (gain[0] / 4) ** 2
        middle = max(value, median(self.ends)) if self.ends else value
        return (value + middle) / 2, ((middle - value) / 4) ** 2

    def _gain_after(self, step: int) -> tuple[float, float] | None:
        """Returns mean and variance of what completed trials gained after `step`; None where no curve is known.

        A trial that was complete by then, because patience ended it, gained nothing.
        """
        if step not in self.by_step:
            reached = [
                (end, bests[:step][-1]) for end, bests in zip(self.ends, self.bests, strict=True) if bests[:step]
            ]
            gains = [end - best for end, best in reached if best > -math.inf]
            self.by_step[step] = (fmean(gains), float(np.var(gains))) if gains else None
        return self.by_step[step]


def _clipped(trial: Observation) -> float:
    return min(max(trial.worth or 0.0, -HUGE), HUGE)
