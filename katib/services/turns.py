"""Hands out turns fairly: among callers first, then among the experiments that one caller asks for.

However much one caller sends, a free place is left to the others, and each of its experiments has one turn at a time.
What waits is bounded in number and in bytes; what comes beyond that is refused at once, so that no queue grows with a
flood. Everything here runs on one event loop, which is why nothing is locked.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

from katib.errors import SepsweepError

Key = tuple[str, str]
"""A caller and its experiment."""


class TooMuchError(SepsweepError):
    """More is asked than can be served within the memory and the time that there are."""


@dataclass
class Turns:
    """`places` turns at once, one caller having `of_caller` of them at most and each of its experiments
    `of_experiment`.
    """

    places: int
    of_caller: int
    of_experiment: int = 1
    most_waiting: int = 128
    """Of which one caller may have half, and each of its experiments a quarter."""
    most_bytes: int = 4 << 20
    """Of all requests that wait; one caller may have three quarters of them."""
    _taken: Counter[object] = field(default_factory=Counter)
    """Turns, by caller and by key; those of all stand under None."""
    _queued: Counter[object] = field(default_factory=Counter)
    """Who waits, counted in the same way."""
    _bytes: Counter[object] = field(default_factory=Counter)
    _waiting: "OrderedDict[str, OrderedDict[str, deque[asyncio.Future[None]]]]" = field(default_factory=OrderedDict)
    """By caller and experiment; whoever had a turn longest ago comes first."""

    async def take(self, caller: str, experiment: str = "", size: int = 0) -> Key:
        """Waits for a turn, which `give` must get back. Raises TooMuchError where too much waits already."""
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
        """Gives a turn back, and thereby to the next."""
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
        while self._taken[None] < self.places and (key := self._next()):
            caller, experiment = key
            turn = self._waiting[caller][experiment].popleft()
            self._count(self._queued, key, -1)
            if not turn.cancelled():  # by one who is about to leave
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
        """Keeps nothing of a caller or an experiment for which nobody waits."""
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
