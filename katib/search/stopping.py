"""The stop rules: whether the trial that has just reported is to end, by the curves of all trials.

medianstop follows Golovin et al. 2017 (Google Vizier, section 3.2.1) in the form that suits a running best: compared at
every step from `start_step` on, with the true median over every other trial that got that far, be it running or
stopped, or that ran to its own end before. Katib's own (v0.19, earlystopping/v1beta1/medianstop/service.py) compares
once, with a mean of means over succeeded trials.

successivehalving is the stopping form of asynchronous successive halving (Li et al. 2020, MLSys, algorithm 2; the trial
that reaches a rung goes on at once or ends for good): at each rung the trial goes on while it is among the best 1/eta
of those that reached the rung, itself included.

Pure; called by the local engine after each report, and by the early-stopping service when a trial's collector asks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, Protocol

from katib.errors import ManifestError, nearest
from katib.manifest.experiment import Algorithm
from katib.metrics import TOLERANCES
from katib.search.setting import numbers, one_of, real, whole
from katib.search.settings import Settings
from katib.text import count, with_unit
from katib.trial import Direction

Curve = Sequence[float]
"""A trial's values, one a step from 1. One that is not finite takes up its step and is worth nothing."""

Looks = Literal["every", "once"]


@dataclass(frozen=True)
class Stop:
    """Why a trial is to be ended: its best value up to `step` is worse than `bar`, in the metric's unit."""

    rule: Literal["medianstop", "successivehalving"]
    step: int
    best: float
    bar: float
    """The median of the other trials, or the worst value that goes on."""
    trials: int
    """The other trials that it was compared with."""


def because(stop: Stop, metric: str, direction: Direction) -> str:
    """Returns what the rule found, as the table of either backend has it."""
    others = count(stop.trials, "other trial")
    bar = {
        "medianstop": f"the median of {others}",
        "successivehalving": f"the bar of successive halving over {others}",
    }[stop.rule]
    return (
        f"best of epoch {stop.step}, {with_unit(stop.best, metric)}, is {'below' if direction is Direction.MAXIMIZE else 'above'}"
        f" {bar}, {with_unit(stop.bar, metric)}"
    )


class StopRule(Protocol):
    """A rule with its settings. It keeps nothing between two questions."""

    def decide(self, own: Curve, others: Sequence[Curve], completed: Sequence[Curve] = ()) -> Stop | None:
        """Returns why the trial that has just reported `own[-1]` is to end; None where it continues.

        `completed` are the curves of the other trials that ran to their own end, `others` those of the rest, in any
        order. A completed trial counts at every step with its best up to then, also after its last one: patience may
        have ended it, and more epochs would not have been trained.
        """


@dataclass(frozen=True)
class MedianStop:
    """Katib's settings of the rule, and two of ours.

    `looks`: at every step from `start_step` on, or once, at that step. `tolerance`, in the metric's unit: a trial no
    further than that from the median goes on. Late in a search most trials lie near the best, and among them a bare
    median ends every second one for the luck of its seed, the best as often as any (benchmarks/search/compare.py); with
    0 it is bare.
    """

    direction: Direction
    min_trials_required: int = 3
    start_step: int = 4
    looks: Looks = "every"
    tolerance: float = 0.0

    def decide(self, own: Curve, others: Sequence[Curve], completed: Sequence[Curve] = ()) -> Stop | None:
        """As in StopRule. A trial without any worth decides nothing and does not count."""
        step, best = len(own), self.direction.best(own)
        looks = step == self.start_step if self.looks == "once" else step >= self.start_step
        if not looks or best is None:
            return None
        bests = _bests(others, completed, step, self.direction)
        if not bests or len(bests) < self.min_trials_required:
            return None
        middle = median(bests)
        worse = self.direction.sign * (middle - best) > self.tolerance
        return Stop("medianstop", step, best, middle, len(bests)) if worse else None


@dataclass(frozen=True)
class SuccessiveHalving:
    """`rungs` are steps, ascending; with none given they are start_step * eta^0, eta^1, ... without end."""

    direction: Direction
    eta: int = 2
    rungs: tuple[int, ...] = ()
    start_step: int = 4
    min_trials_required: int = 3

    def decide(self, own: Curve, others: Sequence[Curve], completed: Sequence[Curve] = ()) -> Stop | None:
        """As in StopRule. A trial without any worth decides nothing and does not count."""
        step, best = len(own), self.direction.best(own)
        if best is None or not self._is_rung(step):
            return None
        bests = _bests(others, completed, step, self.direction)
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


_STARTS = {"min_trials_required": whole(1), "start_step": whole(1)}
STOP_RULES: Mapping[str, Settings] = {
    "medianstop": Settings(
        stock=_STARTS,
        ours={
            "looks": one_of("every", "once"),
            "tolerance": real(lambda value: 0 <= value < math.inf, "a number of at least 0"),
        },
    ),
    # Katib has no stop rule of this name.
    "successivehalving": Settings(ours={"eta": whole(2), "rungs": numbers(1), **_STARTS}),
}


def stop_rule(algorithm: Algorithm, direction: Direction, metric: str) -> StopRule:
    """Returns the rule that a manifest's `earlyStopping` asks for, on its objective.

    Raises ManifestError for another rule or setting.
    """
    if algorithm.name not in STOP_RULES:
        raise ManifestError(
            f"earlyStopping: unknown algorithm '{algorithm.name}': {nearest(algorithm.name, STOP_RULES)}"
        )
    settings = STOP_RULES[algorithm.name].checked("earlyStopping", algorithm)
    required = int(settings.get("min_trials_required", MedianStop.min_trials_required))
    start = int(settings.get("start_step", MedianStop.start_step))
    if algorithm.name == "medianstop":
        looks: Looks = "once" if settings.get("looks") == "once" else "every"
        tolerance = float(settings.get("tolerance", TOLERANCES.get(metric, 0.0)))
        return MedianStop(direction, required, start, looks, tolerance)
    return SuccessiveHalving(
        direction, int(settings.get("eta", SuccessiveHalving.eta)), _rungs(settings), start, required
    )


def _rungs(settings: Mapping[str, str]) -> tuple[int, ...]:
    return tuple(sorted({int(rung) for rung in settings.get("rungs", "").split(",") if rung}))


def _bests(others: Sequence[Curve], completed: Sequence[Curve], step: int, direction: Direction) -> list[float]:
    """Returns the best up to `step` of each trial that got that far, or is complete, and has any worth."""
    far = [*completed, *(values for values in others if len(values) >= step)]
    found = [direction.best(values[:step]) for values in far]
    return [value for value in found if value is not None]
