"""Turns are handed out fairly whatever one caller sends, against orders worked out by hand.

And nothing is kept of who left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from katib.services.turns import Key, TooMuchError, Turns


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), 5))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Queue:
    """Who asks for turns, and in which order they get them."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.order: list[str] = []
        self.held: list[Key] = []

    def ask(self, caller: str, experiment: str = "", size: int = 0) -> asyncio.Task[None]:
        async def wait() -> None:
            self.held.append(await self.turns.take(caller, experiment, size))
            self.order.append(f"{caller}{experiment}")

        return asyncio.create_task(wait())

    async def finish(self) -> None:
        """Ends one turn after the other until none is left."""
        await settled()
        while self.held:
            self.turns.give(self.held.pop(0))
            await settled()


def test_one_caller_leaves_a_place_to_the_others() -> None:
    async def scene() -> None:
        queue = Queue(Turns(3, 2))
        for number in range(20):
            queue.ask("flood", str(number))
        await settled()
        queue.ask("other")
        await settled()
        assert queue.order == ["flood0", "flood1", "other"]

    run(scene)


def test_one_experiment_has_one_turn_at_a_time() -> None:
    async def scene() -> None:
        queue = Queue(Turns(3, 3))
        for _ in range(9):
            queue.ask("katib", "flood")
        queue.ask("katib", "small")
        await settled()
        assert queue.order == ["katibflood", "katibsmall"]

    run(scene)


def test_callers_and_then_their_experiments_take_turns() -> None:
    """With one place. Who finds nobody waiting is served at once, and counts as new when it comes again."""

    async def scene() -> None:
        queue = Queue(Turns(1, 1))
        for caller, experiment in (("a", "1"), ("a", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("b", "1")):
            queue.ask(caller, experiment)
        await queue.finish()
        assert queue.order == ["a1", "a1", "b1", "a2", "b1", "a1"]

    run(scene)


@pytest.mark.parametrize(
    ("mine", "most"),
    [(lambda number: "one", 32), (str, 64)],
    ids=["of one experiment", "of one caller"],
)
def test_of_a_flood_only_so_much_waits_and_others_still_may(mine: Callable[[int], str], most: int) -> None:
    """A quarter and a half of 128 places in the queue, beside those that have a turn."""

    async def scene() -> None:
        queue = Queue(Turns(1, 1))
        queue.ask("flood", "first")
        await settled()
        asked = [queue.ask("flood", mine(number)) for number in range(200)]
        await settled()
        refused = [task for task in asked if task.done()]
        assert len(refused) == 200 - most
        assert all(isinstance(task.exception(), TooMuchError) for task in refused)
        other = queue.ask("other", "one")
        await queue.finish()
        assert other.done()
        assert queue.order.index("otherone") <= 2

    run(scene)


def test_bytes_that_wait_are_bounded_and_one_caller_may_not_have_them_all() -> None:
    """3 MB of 4 for one caller: its fourth request of 1 MB is refused, another's is not."""

    async def scene() -> None:
        queue = Queue(Turns(1, 1))
        queue.ask("first")
        await settled()
        asked = [queue.ask("flood", str(number), 1 << 20) for number in range(4)]
        asked += [queue.ask("other", str(number), 1 << 20) for number in range(2)]
        await settled()
        assert [task.done() for task in asked] == [False, False, False, True, False, True]
        await queue.finish()
        assert not queue.ask("flood", "later", 1 << 20).done()

    run(scene)


def size(turns: Turns) -> int:
    """Returns what it holds of callers and experiments."""
    return sum(len(held) for held in vars(turns).values() if hasattr(held, "__len__"))


def test_nothing_is_kept_of_those_that_were_served_refused_or_left() -> None:
    """A thousand experiments of a hundred callers."""

    async def scene() -> None:
        turns = Turns(2, 1)
        queue = Queue(turns)
        for number in range(1_000):
            task = queue.ask(str(number % 100), str(number), 100)
            if number % 3 == 0:
                await settled()
                task.cancel()
        await queue.finish()
        assert size(turns) == 0

    run(scene)


def test_a_turn_that_was_given_to_one_who_left_is_the_nexts() -> None:
    """Cancelled in the moment between the turn and its use."""

    async def scene() -> None:
        turns = Turns(1, 1)
        first = await turns.take("a")
        second: Awaitable[Key] = asyncio.ensure_future(turns.take("b"))
        third = asyncio.ensure_future(turns.take("c"))
        await settled()
        turns.give(first)
        second.cancel()  # type: ignore[attr-defined]
        await settled()
        assert (await third)[0] == "c"

    run(scene)


def test_who_leaves_in_the_moment_in_which_a_turn_comes_free_takes_none_along() -> None:
    """Cancelled, and the turn given back, before the loop runs once more: the next has it, and nothing is kept."""

    async def scene() -> None:
        turns = Turns(1, 1)
        first = await turns.take("a")
        leaving, staying = (asyncio.ensure_future(turns.take(caller)) for caller in "bc")
        await settled()
        leaving.cancel()
        turns.give(first)
        await settled()
        assert leaving.cancelled()
        turns.give(await staying)
        assert size(turns) == 0

    run(scene)
