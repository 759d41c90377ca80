"""When trials are done: a list schedule of several searches on some GPUs, as Katib and Kubernetes make it. Pure.

Each search keeps so many trials in being; who waits longest gets the next GPUs that are free. Called by plan.py.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """The trials of one search that are still to be run, in their order."""

    hours: tuple[float, ...]
    parallel: int
    """That are in being at a time: at work, or waiting for a GPU."""
    gpus: int
    """A trial's."""


def makespan(loads: Sequence[Load], gpus: int) -> float:
    """Hours until all trials are done on `gpus` GPUs. Raises ValueError where a trial needs more than there are."""
    too_many = [load.gpus for load in loads if load.hours and load.gpus > gpus]
    if too_many:
        raise ValueError(f"a trial needs {max(too_many)} GPUs, and there are {gpus}")
    left = [deque(load.hours) for load in loads]
    # The first trial of each search, then the second of each, and so on.
    places = (
        (place, number) for number, load in enumerate(loads) for place in range(min(load.parallel, len(load.hours)))
    )
    waiting = deque(number for _, number in sorted(places))
    running: list[tuple[float, int]] = []
    free, now = gpus, 0.0
    while waiting or running:
        while waiting and loads[waiting[0]].gpus <= free:
            number = waiting.popleft()
            heapq.heappush(running, (now + left[number].popleft(), number))
            free -= loads[number].gpus
        now, number = heapq.heappop(running)
        free += loads[number].gpus
        if len(left[number]) > waiting.count(number):
            waiting.append(number)
    return now
