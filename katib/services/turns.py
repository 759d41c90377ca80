"""Hands out turns fairly: first among callers, then among the experiments of one caller.

However much one caller sends, a turn is left to the others, and each of its experiments has one turn at a time. Waiting
requests are bounded in number and in bytes; those beyond are refused at once, so that no queue grows with a flood.
Everything here runs on one event loop, so nothing is locked.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

from katib.errors import SepsweepError

Key = tuple[str, str]
"""A caller and its experiment."""


class TooMuchError(SepsweepError):
    """The request exceeds the memory or the time that the service has."""


@dataclass
class Turns:
    """The turns at a number of threads or readers."""

    most: int
    """The turns at once."""
    of_caller: int
    """The turns at once of one caller."""
    of_experiment: int = 1
    """The turns at once of one experiment of a caller."""
    most_waiting: int = 128
    """The requests that may wait; one caller may have half of them, each of its experiments a quarter."""
    most_bytes: int = 4 << 20
    """The bytes of all waiting requests; one caller may have three quarters of them."""
    _taken: Counter[object] = field(default_factory=Counter)
    """Turns by caller and by key; the sum of all is under None."""
    _queued: Counter[object] = field(default_factory=Counter)
    """Waiting requests, counted in the same way."""
    _bytes: Counter[object] = field(default_factory=Counter)
    _waiting: "OrderedDict[str, OrderedDict[str, deque[asyncio.Future[None]]]]" = field(default_factory=OrderedDict)
    """Waiting requests by caller and experiment; the one whose last turn was longest ago comes first."""

    async def take(self, caller: str, experiment: str = "", size: int = 0) -> Key:
        """Waits for a turn, which must be given back with `give`. Raises TooMuchError where too much waits already."""
        key = caller, experiment
        self._require_room(key, size)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._waiting.setdefault(caller, OrderedDict()).setdefault(experiment, deque())
        queue.append(turn)
        self._count(self._queued, key, 1)
        self._count(self._bytes, key, size)
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(key)
            else:
                self._leave(key, turn)
            raise
        finally:
            self._count(self._bytes, key, -size)
        return key

    def give(self, key: Key) -> None:
        """Gives a turn back, so that the next request gets it."""
        self._count(self._taken, key, -1)
        self._hand_out()

    def _require_room(self, key: Key, size: int) -> None:
        waiting, caller = self._queued, key[0]
        if (
            waiting[None] >= self.most_waiting
            or waiting[caller] >= self.most_waiting // 2
            or waiting[key] >= self.most_waiting // 4
            or self._bytes[None] + size > self.most_bytes
            or self._bytes[caller] + size > self.most_bytes * 3 // 4
        ):
            raise TooMuchError(f"{waiting[key]} requests wait already; ask again later")

    def _hand_out(self) -> None:
        while self._taken[None] < self.most and (key := self._next()):
            caller, experiment = key
            turn = self._waiting[caller][experiment].popleft()
            self._count(self._queued, key, -1)
            if not turn.cancelled():  # by a caller that is about to leave
                self._count(self._taken, key, 1)
                self._waiting[caller].move_to_end(experiment)
                self._waiting.move_to_end(caller)
                turn.set_result(None)
            self._forget(key)

    def _next(self) -> Key | None:
        for caller, experiments in self._waiting.items():
            if self._taken[caller] >= self.of_caller:
                continue
            for experiment in experiments:
                if self._taken[caller, experiment] < self.of_experiment:
                    return caller, experiment
        return None

    def _leave(self, key: Key, turn: "asyncio.Future[None]") -> None:
        caller, experiment = key
        queue = self._waiting.get(caller, OrderedDict()).get(experiment, deque())
        if turn in queue:
            queue.remove(turn)
            self._count(self._queued, key, -1)
            self._forget(key)

    def _forget(self, key: Key) -> None:
        """Removes a caller or an experiment for which no request waits."""
        caller, experiment = key
        if not self._waiting[caller][experiment]:
            del self._waiting[caller][experiment]
        if not self._waiting[caller]:
            del self._waiting[caller]

    @staticmethod
    def _count(counts: Counter[object], key: Key, by: int) -> None:
        for who in (None, key[0], key):
            counts[who] += by
            if not counts[who]:
                del counts[who]
