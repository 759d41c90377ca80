"""Says what a search does next: begin a new configuration, or go on with a paused one.

Each backend asks here when a slot is free, so that both search alike. Pure: no I/O.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from katib.search.history import Observation
from katib.search.promotion import Promote
from katib.search.sampler import Sampler
from katib.search.stopping import StopRule


@dataclass(frozen=True)
class Step:
    """The next trial: a new configuration, or the continuation of a paused one."""

    assignments: Mapping[str, str]
    continues: str = ""
    """The name of the paused configuration; empty for a new one."""
    trial: str = ""
    """The name that the trial must have; empty where any name will do."""


def next_steps(
    sampler: Sampler,
    rule: StopRule | None,
    history: Sequence[Observation],
    count: int = 1,
    *,
    room: int | None = None,
    earlier: Sequence[Observation] = (),
    names: Collection[str] = (),
) -> list[Step]:
    """Returns the next `count` steps; fewer where nothing is to be done until a running trial reports, or ever.

    `history` has one observation for each configuration, with its whole curve; `room` is the number of configurations
    that may still begin, None where nothing limits it. The other arguments are those of Sampler.propose.
    """
    known = list(history)
    steps: list[Step] = []
    while isinstance(rule, Promote) and len(steps) < count:
        going_on = rule.continues(known)
        if going_on is None:
            break
        steps.append(Step(going_on.assignments, continues=going_on.name))
        known[known.index(going_on)] = replace(going_on, outcome="running")
    left = count - len(steps) if room is None else min(room, count - len(steps))
    if left > 0:
        points = sampler.propose(known, left, earlier=earlier, names=names)
        steps += [Step(point, trial=sampler.trial_name(point)) for point in points]
    return steps


def room_for(rule: StopRule | None, begun: int, most: int | None) -> int | None:
    """Returns how many configurations may still begin, of which `begun` have; `most` is the manifest's maxTrialCount.

    With `promote`, maxTrialCount counts continuations, and the rule's own setting the configurations.
    """
    limit = rule.configurations if isinstance(rule, Promote) else most
    return None if limit is None else max(0, limit - begun)
