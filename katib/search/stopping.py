"""Decides, by the curves of all trials, whether the trial that has just reported is to stop. Pure: no I/O.

medianstop follows Golovin et al. 2017 (Google Vizier, section 3.2.1) in the form that suits a running best: at every
step from `start_step` on, a trial is compared with the true median over every other trial that got that far, running or
stopped, or that ran to its own end before. Katib's own rule (v0.19, earlystopping/v1beta1/medianstop/service.py)
compares once, with a mean of means over succeeded trials.

successivehalving is the stopping form of asynchronous successive halving (Li et al. 2020, MLSys, algorithm 2): a trial
that reaches a rung continues at once if it is among the best 1/eta of those that reached the rung, itself included, and
ends for good otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, Protocol

from katib.measure import Measure
from katib.text import count, with_unit
from katib.trial import Direction

Curve = Sequence[float]
"""A trial's values, one per step from 1. A value that is not finite counts as a step and never as the best."""

Looks = Literal["every", "once"]


@dataclass(frozen=True)
class Stop:
    """The reason to stop a trial: its best value up to `step` is worse than `bar`, in the metric's unit."""

    rule: Literal["medianstop", "successivehalving", "promote"]
    step: int
    best: float
    bar: float
    """The median of the other trials, or the worst value that continues."""
    trials: int
    """The number of other trials that it was compared with."""


def because(stop: Stop, metric: Measure, direction: Direction) -> str:
    """Returns the reason in words, as the trial table has it."""
    others = count(stop.trials, "other trial")
    bar = {
        "medianstop": f"the median of {others}",
        "successivehalving": f"the bar of successive halving over {others}",
        "promote": f"the bar of the best configurations among {others}",
    }[stop.rule]
    if stop.rule == "promote" and stop.bar == stop.best:  # too few have got there for a best 1/eta
        return f"best of epoch {stop.step}, {with_unit(stop.best, metric)}, cannot be compared yet: {others} got there"
    side = "below" if direction is Direction.MAXIMIZE else "above"
    best, limit = with_unit(stop.best, metric), with_unit(stop.bar, metric)
    return f"best of epoch {stop.step}, {best}, is {side} {bar}, {limit}"


class StopRule(Protocol):
    """A rule with its settings. It has no state."""

    def decide(self, own: Curve, others: Sequence[Curve], completed: Sequence[Curve] = ()) -> Stop | None:
        """Returns why the trial that has just reported `own[-1]` is to stop; None where it continues.

        `completed` are the curves of the other trials that ran to their own end, `others` those of the rest, in any
        order. A completed trial counts at every step with its best up to then, also after its last one: patience may
        have ended it, so that more epochs would not have been trained.
        """


@dataclass(frozen=True)
class MedianStop:
    """The median rule, with Katib's settings and two of ours, `looks` and `tolerance`.

    Late in a search most trials lie near the best. Among them the bare median, with tolerance 0, stops every second one
    for the luck of its seed, the best as often as any (benchmarks/search/compare.py).
    """

    direction: Direction
    min_trials_required: int = 3
    start_step: int = 4
    looks: Looks = "every"
    """Whether a trial is compared at every step from `start_step` on, or once, at that step."""
    tolerance: float = 0.0
    """How far below the median a trial may be and continue, in the metric's unit."""

    def decide(self, own: Curve, others: Sequence[Curve], completed: Sequence[Curve] = ()) -> Stop | None:
        """Decides as StopRule says. A trial without a finite value neither stops nor counts."""
        step, best = len(own), self.direction.best(own)
        looks = step == self.start_step if self.looks == "once" else step >= self.start_step
        if not looks or best is None:
            return None
        bests = bests_at(others, completed, step, self.direction)
        if not bests or len(bests) < self.min_trials_required:
            return None
        middle = median(bests)
        worse = self.direction.sign * (middle - best) > self.tolerance
        return Stop("medianstop", step, best, middle, len(bests)) if worse else None


@dataclass(frozen=True)
class SuccessiveHalving:
    """The rule of successive halving."""

    direction: Direction
    eta: int = 2
    rungs: tuple[int, ...] = ()
    """Steps, ascending; where none are given they are start_step * eta^0, start_step * eta^1 and so on."""
    start_step: int = 4
    min_trials_required: int = 3

    def decide(self, own: Curve, others: Sequence[Curve], completed: Sequence[Curve] = ()) -> Stop | None:
        """Decides as StopRule says. A trial without a finite value neither stops nor counts."""
        step, best = len(own), self.direction.best(own)
        if best is None or not self._is_rung(step):
            return None
        bests = bests_at(others, completed, step, self.direction)
        if not bests or len(bests) < self.min_trials_required:
            return None
        ranked = sorted([*bests, best], key=lambda value: -self.direction.sign * value)
        bar = ranked[max(1, len(ranked) // self.eta) - 1]
        worse = self.direction.better(bar, best)
        return Stop("successivehalving", step, best, bar, len(bests)) if worse else None

    def _is_rung(self, step: int) -> bool:
        if self.rungs:
            return step in self.rungs
        rung = self.start_step
        while rung < step:
            rung *= self.eta
        return rung == step


def bests_at(others: Sequence[Curve], completed: Sequence[Curve], step: int, direction: Direction) -> list[float]:
    """Returns the best finite value up to `step` of each trial that got that far or is complete."""
    curves = [*completed, *(curve for curve in others if len(curve) >= step)]
    bests = [direction.best(curve[:step]) for curve in curves]
    return [value for value in bests if value is not None]
