"""Decides which configuration trains on: `promote` pauses a trial on thin evidence and takes it back on better.

It is asynchronous successive halving with promotion (Li et al. 2020, MLSys, algorithm 2), continued from the
checkpoint: at a rung a trial goes on if it is among the best 1/eta of the configurations that reached the rung, and
else it pauses. Each new report may put a paused configuration among them, and then it goes on where it was, before a
new one begins. Pure: no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from katib.search.stopping import Curve, Stop
from katib.trial import Direction


@dataclass(frozen=True)
class Configuration:
    """A point of the space, and all that was trained of it."""

    name: str
    """The name of its first trial."""
    state: Literal["running", "paused", "completed", "failed"]
    values: Curve
    """One value per epoch, joined over its continuations."""


@dataclass(frozen=True)
class Promote:
    """The rule with its settings. It has no state."""

    direction: Direction
    rung_epochs: tuple[int, ...]
    """The epochs after which a trial may pause, ascending."""
    eta: float = 2.0
    """At each rung the best 1/eta go on."""
    configurations: int | None = None
    """How many configurations are begun; None where maxTrialCount alone limits them."""

    def decide(self, own: Curve, others: Sequence[Curve], completed: Sequence[Curve] = ()) -> Stop | None:
        """Returns why the trial that has just reported `own[-1]` is to pause; None where it goes on."""
        step, best = len(own), self.direction.best(own)
        if best is None or step not in self.rung_epochs:
            return None
        bests = self._bests([*completed, *(curve for curve in others if len(curve) >= step)], step)
        bar = self._bar([*bests, best])
        if bar is not None and not self.direction.better(bar, best):
            return None
        return Stop("promote", step, best, best if bar is None else bar, len(bests))

    def continues(self, configurations: Sequence[Configuration]) -> Configuration | None:
        """Returns the paused configuration that is to go on; None where none deserves it.

        Of several the one that has come farthest goes on, and of those the best.
        """
        known = [one for one in configurations if one.state != "failed"]
        for rung in reversed(self.rung_epochs):
            reached = [one for one in known if one.state == "completed" or len(one.values) >= rung]
            bar = self._bar(self._bests([one.values for one in reached], rung))
            waiting = [one for one in reached if one.state == "paused" and self._rung(len(one.values)) == rung]
            ranked = sorted(waiting, key=lambda one: (-self._worth(one, rung), one.name))
            if bar is not None and ranked and self._worth(ranked[0], rung) >= self.direction.sign * bar:
                return ranked[0]
        return None

    def _rung(self, epochs: int) -> int:
        """Returns the last rung that a trial of so many epochs has reached; 0 before the first."""
        return max((rung for rung in self.rung_epochs if rung <= epochs), default=0)

    def _worth(self, one: Configuration, rung: int) -> float:
        best = self.direction.best(one.values[:rung])
        return float("-inf") if best is None else self.direction.sign * best

    def _bests(self, curves: Sequence[Curve], step: int) -> list[float]:
        bests = [self.direction.best(curve[:step]) for curve in curves]
        return [best for best in bests if best is not None]

    def _bar(self, bests: Sequence[float]) -> float | None:
        """Returns the worst value that goes on; None where there are too few for a best 1/eta."""
        places = int(len(bests) / self.eta)
        return sorted(bests, key=lambda value: -self.direction.sign * value)[places - 1] if places else None
