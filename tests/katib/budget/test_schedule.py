"""When trials are done, against a plain simulation of every hour and cases worked out by hand."""

import random

import pytest

from katib.budget.schedule import Load, makespan


def by_the_hour(loads: list[Load], gpus: int) -> int:
    """Returns a plain loop over whole hours: each load keeps `parallel` trials in being while it has any, and who waits
    longest begins first, when his GPUs are free; nobody overtakes. One that makes a place for its next trial queues at
    the end, those of one hour in the order of their loads.
    """
    left = [[int(hours) for hours in load.hours] for load in loads]
    begun = [0] * len(loads)
    queue: list[int] = []
    running: list[list[int]] = []
    for place in range(max(load.parallel for load in loads)):
        for number, load in enumerate(loads):
            if place < load.parallel and place < len(load.hours):
                queue.append(number)
                begun[number] += 1
    now = 0
    while queue or running:
        busy = sum(loads[number].gpus for _, number in running)
        while queue and busy + loads[queue[0]].gpus <= gpus:
            number = queue.pop(0)
            running.append([left[number].pop(0), number])
            busy += loads[number].gpus
        now += 1
        for one in running:
            one[0] -= 1
        for one in sorted((one for one in running if one[0] == 0), key=lambda one: one[1]):
            running.remove(one)
            if begun[one[1]] < len(loads[one[1]].hours):
                queue.append(one[1])
                begun[one[1]] += 1
    return now


@pytest.mark.parametrize("seed", range(100))
def test_a_schedule_takes_as_long_as_a_simulation_of_every_hour(seed: int) -> None:
    draw = random.Random(seed)
    gpus = draw.randint(1, 4)
    loads = [
        Load(
            tuple(float(draw.randint(1, 5)) for _ in range(draw.randint(0, 6))),
            draw.randint(1, 4),
            draw.randint(1, gpus),
        )
        for _ in range(draw.randint(1, 3))
    ]
    assert makespan(loads, gpus) == by_the_hour(loads, gpus)


def test_a_trial_that_needs_more_gpus_than_there_are_is_named() -> None:
    """One of two loads fits; a load without trials needs nothing."""
    fits, large = Load((1.0,), 1, 1), Load((1.0,), 1, 4)
    with pytest.raises(ValueError, match=r"^a trial needs 4 GPUs, and there are 2$"):
        makespan([fits, large], 2)
    with pytest.raises(ValueError, match="a trial needs 4 GPUs"):
        makespan([large, fits], 2)
    with pytest.raises(ValueError, match="a trial needs 4 GPUs"):
        makespan([large, Load((1.0,), 1, 3), Load((), 1, 8)], 2)
    assert makespan([fits, Load((), 1, 4)], 2) == 1.0
    assert makespan([fits, large], 4) == 2.0
    assert makespan([], 1) == 0.0
