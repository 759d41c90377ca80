"""Says what a search does next: begin a new configuration, or go on with a paused one.

Each backend asks here when a slot is free, so that both search alike. Pure: no I/O.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from katib.search.history import Observation, Outcome
from katib.search.promotion import Configuration, Promote
from katib.search.sampler import Sampler
from katib.search.stopping import StopRule

_STATES: Mapping[Outcome, Literal["running", "paused", "completed", "failed"]] = {
    "running": "running",
    "stopped": "paused",
    "completed": "completed",
    "failed": "failed",
}


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
    position: int | None = None,
    names: Collection[str] = (),
) -> list[Step]:
    """Returns the next `count` steps; fewer where nothing is to be done until a running trial reports, or ever.

    `history` has one observation for each configuration, with its whole curve; `room` is the number of configurations
    that may still begin, None where nothing limits it. The other arguments are those of Sampler.propose.
    """
    known = list(history)
    steps: list[Step] = []
    while isinstance(rule, Promote) and len(steps) < count:
        going_on = rule.continues([_configuration(trial) for trial in known])
        if going_on is None:
            break
        index = next(place for place, trial in enumerate(known) if trial.name == going_on.name)
        steps.append(Step(known[index].assignments, continues=going_on.name))
        known[index] = replace(known[index], outcome="running")
    left = count - len(steps) if room is None else min(room, count - len(steps))
    if left > 0:
        points = sampler.propose(known, left, earlier=earlier, position=position, names=names)
        steps += [Step(point, trial=sampler.trial_name(point)) for point in points]
    return steps


def room_for(rule: StopRule | None, begun: int, most: int | None) -> int | None:
    """Returns how many configurations may still begin, of which `begun` have; `most` is the manifest's maxTrialCount.

    With `promote`, maxTrialCount counts continuations, and the rule's own setting the configurations.
    """
    limit = rule.configurations if isinstance(rule, Promote) else most
    return None if limit is None else max(0, limit - begun)


def _configuration(trial: Observation) -> Configuration:
    return Configuration(trial.name, _STATES[trial.outcome], trial.values)
