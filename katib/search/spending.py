"""Simulates what the stop rule promote spends, by running the very rule over made-up configurations. Pure: no I/O."""

import math
import random
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

from katib.search.history import Observation
from katib.search.promotion import Promote
from katib.trial import Direction

REPETITIONS = 40
MOST_SIMULATED = 50
"""Configurations. With more of them the epochs of each stay the same (15.5 of 50, of 100 and of 200 configurations),
continuations grow about as the square root of their number (7, 11 and 15), and the time as its square."""


MOST_RUNGS, QUICK_REPETITIONS = 16, 32
"""For a headline: of several times as many rungs, hardly a configuration comes to the later ones."""


@dataclass(frozen=True)
class Spending:
    """What a search spends on average."""

    epochs: float
    """Epochs per configuration."""
    continuations: float


def spending(
    rule: Promote, configurations: int, epochs: float, parallel: int = 2, repetitions: int = REPETITIONS
) -> Spending:
    """Returns what `rule` spends on so many configurations; patience ends a trial after `epochs` of them.

    A configuration has one value at all its rungs. How many go on follows from how many have come to a rung, not from
    which: with ranks that change from rung to rung, up to ones drawn anew, the epochs stay the same to 1 %. They are
    those of the benchmark (docs/search.md): 15.8 of a DPRNN configuration, and 15.9 there.
    """
    luck, simulated = random.Random(0), min(configurations, MOST_SIMULATED)
    rungs = [rung for rung in rule.rung_epochs if rung < epochs]
    ends = [float(rung) for rung in rungs] + [float(epochs)]
    # A step of the simulation is a rung: what happens between two rungs decides nothing.
    stepwise = replace(rule, direction=Direction.MAXIMIZE, rung_epochs=tuple(range(1, len(ends))))
    found = [_search(stepwise, [luck.random() for _ in range(simulated)], ends, parallel) for _ in range(repetitions)]
    return Spending(
        fmean(spent for spent, _ in found) / simulated,
        fmean(continued for _, continued in found) * math.sqrt(configurations / simulated),
    )


@cache
def expected_part(rule: Promote, configurations: int, epochs: float, parallel: int) -> float:
    """Returns about which part of the epochs of whole trainings `rule` spends, 1 being all; in a fraction of a second.

    It is within a few percent of what `spending` says.
    """
    rule = replace(rule, rung_epochs=rule.rung_epochs[:MOST_RUNGS])
    repetitions = max(1, QUICK_REPETITIONS // (len(rule.rung_epochs) + 1))
    return spending(rule, configurations, epochs, parallel, repetitions=repetitions).epochs / epochs


def epochs_ahead(rest: float, begun: int, new: int) -> tuple[float, ...]:
    """Returns the epochs ahead of each of the trials that have begun, and of those that are yet to begin.

    `rest` is what the whole search has yet to spend. A paused configuration may take a part of it, and nobody knows
    which; so those that are to train share it. One that has begun has an epoch ahead at least.
    """
    share = begun + max(0, new)
    return (max(float(begun), rest) / share,) * share if share else ()


def _search(rule: Promote, worths: list[float], ends: list[float], parallel: int) -> tuple[float, int]:
    """Returns the epochs and the continuations of one search over configurations of these worths."""
    known: dict[str, Observation] = {}
    busy: list[tuple[float, int]] = []
    """Of each running trial the time of its next rung, and its number."""
    now, continuations = 0.0, 0
    while True:
        while len(busy) < parallel:
            going_on = rule.continues(list(known.values()))
            if going_on is None and len(known) == len(worths):
                break
            number = len(known) if going_on is None else int(going_on.name)
            continuations += going_on is not None
            one = going_on or Observation({}, "running", None, (), f"{number:06}")
            known[one.name] = replace(one, outcome="running")
            busy.append((now + _segment(ends, len(one.values)), number))
        if not busy:
            return sum(ends[len(one.values) - 1] for one in known.values()), continuations
        now, number = event = min(busy)
        busy.remove(event)
        one = known[f"{number:06}"]
        values = (worths[number],) * (len(one.values) + 1)
        others = [other.values for other in known.values() if other is not one and other.outcome != "completed"]
        completed = [other.values for other in known.values() if other.outcome == "completed"]
        if len(values) == len(ends):
            known[one.name] = replace(one, values=values, outcome="completed")
        elif rule.decide(values, others, completed):
            known[one.name] = replace(one, values=values, outcome="stopped")
        else:
            known[one.name] = replace(one, values=values)
            busy.append((now + _segment(ends, len(values)), number))


def _segment(ends: list[float], reached: int) -> float:
    return ends[reached] - (ends[reached - 1] if reached else 0.0)
