"""Schedules the trials of several searches on some GPUs, as Katib and Kubernetes do. Pure: no I/O.

Each search has a limited number of trials at a time; the one that has waited longest gets the next free GPUs.
"""

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """The trials of a search that are still to run, in order."""

    hours: tuple[float, ...]
    parallel: int
    """How many exist at a time, running or waiting for a GPU."""
    gpus: int
    """The GPUs of a trial."""


def makespan(loads: Sequence[Load], gpus: int) -> float:
    """Returns the hours until all trials are done on `gpus` GPUs. Raises ValueError if a trial needs more GPUs."""
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
