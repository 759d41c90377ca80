"""Estimates when a search ends, from the durations of its ended trials. Pure: no I/O."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

WEEK = timedelta(days=7)


def seconds_left(each: float, elapsed: Sequence[float], waiting: int, parallel: int) -> float:
    """Returns the seconds until the last trial ends if each takes `each` seconds.

    Running trials began `elapsed` seconds ago; `waiting` more start as slots become free.
    """
    slots = sorted(max(0.0, each - seconds) for seconds in elapsed)
    slots = [0.0] * (parallel - len(slots)) + slots
    rounds, rest = divmod(waiting, max(1, len(slots)))
    ends = [slot + each * (rounds + (place < rest)) for place, slot in enumerate(slots)]
    return max(ends, default=0.0)


def epochs_each(rungs: Sequence[int], eta: float, epochs: float) -> float:
    """Returns about how many of `epochs` a configuration gets where the best 1/eta go on after each rung.

    The rule promote, which does not wait for all, spends a tenth to a quarter more (katib/search/spending.py).
    """
    ends = [0.0, *(float(rung) for rung in rungs if rung < epochs), epochs]
    return sum((end - begin) / eta**passed for passed, (begin, end) in enumerate(pairwise(ends)))


def seconds_of_epochs(rest: float, epoch: float, running: int, parallel: int) -> float:
    """Returns the seconds until `rest` epochs of `epoch` seconds are trained; a running trial has one at least."""
    return max(rest, float(running)) * epoch / max(1, parallel)


def ends_at(seconds: float, begin: float) -> str:
    """Returns the local time `seconds` after the Unix time `begin`: `14:05` today, `Sat 14:05` within a week.

    Then `Tue 9 Dec`, and another year is added: `Fri 1 Jan 2027`.
    """
    try:
        # The offset from UTC is that of each time, which summer time may change between them.
        now, end = (datetime.fromtimestamp(moment).astimezone() for moment in (begin, begin + seconds))
    except (OverflowError, ValueError, OSError):
        return "in thousands of years"
    if end.date() == now.date():
        return f"{end:%H:%M}"
    if end.date() - now.date() < WEEK:
        return f"{end:%a %H:%M}"
    year = "" if end.year == now.year else f" {end.year}"
    return f"{end:%a} {end.day} {end:%b}{year}"
