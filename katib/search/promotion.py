"""Decides which configuration trains on: `promote` pauses a trial on thin evidence and takes it back on better.

It is asynchronous successive halving with promotion (Li et al. 2020, MLSys, algorithm 2), continued from the
checkpoint: at a rung a trial goes on if it is among the best 1/eta of the configurations that reached the rung, and
else it pauses. Each new report may put a paused configuration among them, and then it goes on where it was, before a
new one begins. Pure: no I/O.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from katib.search.history import Observation
from katib.search.stopping import Curve, Stop, bests_at
from katib.trial import Direction


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
        bests = bests_at(others, completed, step, self.direction)
        bar = self._bar([*bests, best])
        if bar is not None and not self.direction.better(bar, best):
            return None
        return Stop("promote", step, best, best if bar is None else bar, len(bests))

    def continues(self, configurations: Sequence[Observation]) -> Observation | None:
        """Returns the paused configuration that is to go on; None where none deserves it.

        There is one observation for each configuration, with its curve over all continuations. Of several the one that
        has come farthest goes on, and of those the best.
        """
        completed = [each.values for each in configurations if each.outcome == "completed"]
        others = [each.values for each in configurations if each.outcome in ("running", "stopped")]
        for rung in reversed(self.rung_epochs):
            bar = self._bar(bests_at(others, completed, rung, self.direction))
            waiting = [
                (-self.direction.sign * best, each.name, each)
                for each in configurations
                if each.outcome == "stopped" and self._rung(len(each.values)) == rung
                if (best := self.direction.best(each.values[:rung])) is not None
            ]
            worth, _, first = min(waiting, key=lambda item: item[:2], default=(0.0, "", None))
            if bar is not None and first is not None and -worth >= self.direction.sign * bar:
                return first
        return None

    def _rung(self, epochs: int) -> int:
        """Returns the last rung that a trial of so many epochs has reached; 0 before the first."""
        return max((rung for rung in self.rung_epochs if rung <= epochs), default=0)

    def _bar(self, bests: Sequence[float]) -> float | None:
        """Returns the worst value that goes on; None where there are too few for a best 1/eta."""
        places = int(len(bests) / self.eta)
        return sorted(bests, key=lambda value: -self.direction.sign * value)[places - 1] if places else None
