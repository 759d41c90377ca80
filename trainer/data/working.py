"""Shows how far long work is: a bar on a terminal, and a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

FIRST_SECONDS, LINE_SECONDS = 10.0, 60.0
"""When a log gets its first line, and the time between two after that."""

Progress = Callable[[str, int, int], None]
"""Receives the current activity, what is done of it, and how much there is; 0 where nobody knows that."""


@contextmanager
def shown(name: str = "", *, errors: bool = False) -> Iterator[Progress]:
    """Yields a function that shows the progress of `name`, which may be empty; with `errors`, on stderr."""
    stream = sys.stderr if errors else sys.stdout
    if not stream.isatty():
        yield Lines(name, stream).take
        return
    # The image of the cluster has no rich, and no terminal.
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(file=stream), transient=True) as bar:
        task = bar.add_task(_said(name, "begins"), total=None)

        def take(what: str, done: int, total: int) -> None:
            bar.update(task, description=_said(name, what), completed=done, total=total or None)

        yield take


class Lines:
    """Prints `train: packs, 1200 of 9000, about 180 s left` from time to time."""

    def __init__(self, name: str, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._stream, self._clock = name, stream, clock
        self._what, self._started = "", clock()
        self._due = self._started + FIRST_SECONDS

    def take(self, what: str, done: int, total: int) -> None:
        """Takes the progress, and prints it where the time for a line has come."""
        now = self._clock()
        if what != self._what:
            self._what, self._started = what, now
        if now < self._due:
            return
        self._due = now + LINE_SECONDS
        taken, left = now - self._started, ""
        if done and total and taken:
            left = f", about {taken / done * (total - done):.0f} s left"
        text = f"{_said(self._name, what)}, {done} of {total}{left}" if total else _said(self._name, what)
        print(text, file=self._stream, flush=True)


def _said(name: str, what: str) -> str:
    return f"{name}: {what}" if name else what
