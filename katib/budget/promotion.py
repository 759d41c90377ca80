"""Simulates what the stop rule promote spends, by running the very rule over made-up configurations. Pure: no I/O."""

import random
from dataclasses import dataclass, replace
from statistics import fmean

from katib.search.promotion import Configuration, Promote
from katib.trial import Direction

REPETITIONS = 40
NOISE = 0.7
"""The spread of a configuration's value at the first rung around its end, relative to that of the ends; it shrinks to
nothing at the end, so that early ranks agree moderately with the last."""


@dataclass(frozen=True)
class Spending:
    """What a search spends on average, and at most."""

    epochs: float
    """Epochs per configuration."""
    continuations: float
    most_continuations: int
    """In 19 of 20 searches there are no more."""


def spending(rule: Promote, configurations: int, epochs: float, parallel: int = 2, seed: int = 0) -> Spending:
    """Returns what `rule` spends on so many configurations; patience ends a trial after `epochs` of them."""
    luck = random.Random(seed)
    rungs = [rung for rung in rule.rung_epochs if rung < epochs]
    ends = [float(rung) for rung in rungs] + [float(epochs)]
    # A step of the simulation is a rung: what happens between two rungs decides nothing.
    stepwise = replace(rule, direction=Direction.MAXIMIZE, rung_epochs=tuple(range(1, len(ends))))
    found = [_search(stepwise, configurations, ends, parallel, luck) for _ in range(REPETITIONS)]
    counts = sorted(continuations for _, continuations in found)
    return Spending(
        fmean(spent for spent, _ in found) / configurations, fmean(counts), counts[int(0.95 * (len(counts) - 1) + 0.5)]
    )


def _search(
    rule: Promote, configurations: int, ends: list[float], parallel: int, luck: random.Random
) -> tuple[float, int]:
    """Returns the epochs and the continuations of one search."""
    curves = [_curve(len(ends), luck) for _ in range(configurations)]
    known: dict[str, Configuration] = {}
    busy: list[tuple[float, int]] = []
    """Of each running trial the time of its next rung, and its number."""
    now, continuations = 0.0, 0
    while True:
        while len(busy) < parallel:
            going_on = rule.continues(list(known.values()))
            if going_on is None and len(known) == configurations:
                break
            number = len(known) if going_on is None else int(going_on.name)
            continuations += going_on is not None
            one = going_on or Configuration(f"{number:06}", "running", ())
            known[one.name] = replace(one, state="running")
            busy.append((now + _segment(ends, len(one.values)), number))
        if not busy:
            return sum(ends[len(one.values) - 1] for one in known.values()), continuations
        now, number = event = min(busy)
        busy.remove(event)
        one = known[f"{number:06}"]
        values = curves[number][: len(one.values) + 1]
        others = [other.values for other in known.values() if other is not one and other.state != "completed"]
        completed = [other.values for other in known.values() if other.state == "completed"]
        if len(values) == len(ends):
            known[one.name] = replace(one, values=values, state="completed")
        elif rule.decide(values, others, completed):
            known[one.name] = replace(one, values=values, state="paused")
        else:
            known[one.name] = replace(one, values=values)
            busy.append((now + _segment(ends, len(values)), number))


def _segment(ends: list[float], reached: int) -> float:
    return ends[reached] - (ends[reached - 1] if reached else 0.0)


def _curve(steps: int, luck: random.Random) -> tuple[float, ...]:
    """Returns a value per rung that rises to the configuration's end; the rank at the first rung is a hint of it."""
    end, bias = luck.gauss(0, 1), luck.gauss(0, 1)
    return tuple(end + NOISE * bias * (1 - step / steps) + 10 * step for step in range(1, steps + 1))
