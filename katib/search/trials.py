"""The trials that a search has had so far, prepared for its algorithm. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from katib.search.history import Observation, Outcome
from katib.search.points import Points
from katib.search.space import Key, Space


@dataclass
class Trials:
    """The trials of this search and of earlier ones, and the points that are proposed meanwhile."""

    listed: list[Observation]
    """The trials of this search, in an order that does not depend on how they were listed."""
    earlier: Sequence[Observation]
    """The trials of searches before it; their space may be another."""
    tried: set[Key]
    """The points of this search."""
    known: set[Key]
    """The points of this search and of earlier ones."""
    failed: Points
    """The points at which trials of this search have failed."""
    given_up: Points
    """Those at which they have failed or were stopped: another trial there would end as they did."""

    @classmethod
    def of(cls, space: Space, history: Sequence[Observation], earlier: Sequence[Observation]) -> "Trials":
        """Returns the trials of a search; those of another space are not among its points."""
        listed, earlier = sorted(history, key=_order), sorted(earlier, key=_order)
        tried = {key for trial in listed if (key := space.key(trial.assignments))}
        before = {key for trial in earlier if (key := space.key(trial.assignments))}
        failed, given_up = _points(space, listed, "failed"), _points(space, listed, "failed", "stopped")
        return cls(listed, earlier, tried, tried | before, failed, given_up)

    @property
    def count(self) -> int:
        """How many trials there are, earlier ones included."""
        return len(self.listed) + len(self.earlier)

    def add(self, space: Space, point: Mapping[str, str]) -> None:
        """Adds a proposed point as a running trial."""
        self.listed.append(Observation(point, "running"))
        self.exclude(space, point)

    def exclude(self, space: Space, point: Mapping[str, str]) -> None:
        """Keeps a point from being proposed."""
        key = tuple(point.values()) if (own := space.key(point)) is None else own
        self.tried.add(key)
        self.known.add(key)


def _points(space: Space, trials: Sequence[Observation], *outcomes: Outcome) -> Points:
    found = [space.shares(trial.assignments) for trial in trials if trial.outcome in outcomes]
    return Points(space, [point for point in found if point is not None])


def _order(trial: Observation) -> tuple[object, ...]:
    return sorted(trial.assignments.items()), trial.outcome, trial.worth or 0.0, len(trial.values)
