"""Tells what has happened in a search between two looks at it, in sentences for its people. Pure: no I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from katib.manifest.gpu_hours import SPENT
from katib.measure import Measure
from katib.text import with_unit
from katib.trial import ENDED, WITHOUT_RESULT, Direction, State


@dataclass(frozen=True)
class Standing:
    """Where a trial stands."""

    state: State
    value: float | None = None
    """Its result, or the best of its epochs so far."""
    reason: str = ""
    """Why it was stopped or has failed."""
    silence: str = ""
    """That it has taken no step for a time in which it should have; empty where it has."""


@dataclass(frozen=True)
class Search:
    """What news say of the search."""

    name: str
    measure: Measure
    direction: Direction
    configurations: int | None
    pauses: bool
    """Whether an early stop is a pause, which is no news."""


Standings = Mapping[str, Standing]


def beginning(search: Search, now: Standings) -> str:
    """Returns that the search begins or goes on; it shows at once whether messages arrive."""
    return f"{search.name}: {'goes on' if now else 'begins'}, {_progress(search, now)}"


def news(search: Search, before: Standings, now: Standings) -> Iterator[str]:
    """Yields what is new: trials that failed, were stopped or fell silent, and a better result than all before."""
    for name, trial in now.items():
        earlier = before.get(name, Standing("Created"))
        if trial.state == "EarlyStopped" != earlier.state:
            if not search.pauses and not trial.reason.startswith(SPENT):
                yield f"{search.name}: {name} was stopped early{_because(trial.reason)}"
        elif trial.state in WITHOUT_RESULT and earlier.state not in WITHOUT_RESULT:
            yield f"{search.name}: {name} failed{_because(trial.reason)}"
        elif trial.silence and not earlier.silence:
            yield f"{search.name}: {name} is silent: {trial.silence}"
    known, found = best(search, before), best(search, now)
    if found and (known is None or search.direction.better(found[1], known[1])):
        value, gained = with_unit(found[1], search.measure), ""
        if known is not None:
            gained = f", {with_unit(known[1], search.measure)} before"
        yield f"{search.name}: new best {search.measure} {value} by {found[0]}{gained}; {_progress(search, now)}"


def ending(search: Search, now: Standings, why: str = "") -> str:
    """Returns that the search has ended, or why it has before its end."""
    found = best(search, now)
    result = f", best {search.measure} {with_unit(found[1], search.measure)} by {found[0]}" if found else ""
    return f"{search.name}: {f'ended before its end: {why}' if why else 'has ended'}, {_progress(search, now)}{result}"


def best(search: Search, trials: Standings) -> tuple[str, float] | None:
    """Returns the trial with the best result, and that; None where none has ended with one.

    Trials that run do not count: of the best one each epoch would be news.
    """
    results = [
        (name, trial.value)
        for name, trial in trials.items()
        if trial.state in ENDED and trial.state not in WITHOUT_RESULT and trial.value is not None
    ]
    return max(results, key=lambda item: search.direction.sign * item[1], default=None)


def _progress(search: Search, trials: Standings) -> str:
    """Returns `12 of 30 trials ended`; one that pauses has not."""
    states = [state for state in ENDED if not (search.pauses and state == "EarlyStopped")]
    ended = sum(trial.state in states for trial in trials.values())
    planned = f" of {search.configurations}" if search.configurations else ""
    return f"{ended}{planned} trials ended"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
