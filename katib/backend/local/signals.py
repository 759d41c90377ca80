"""Delivers this process's signals as bytes on a descriptor, so that one wait covers them and the trials' output."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Signals:
    """The signals that have arrived; `descriptor` becomes readable with the first one."""

    descriptor: int

    def take(self) -> list[int]:
        """Returns the signals since the last call, in their order, such as SIGCHLD for a trial that has ended."""
        try:
            return list(os.read(self.descriptor, 4096))
        except BlockingIOError:
            return []


@contextmanager
def listening() -> Iterator[Signals]:
    """Yields the stop signals and SIGCHLD inside the block, which has to be entered in the main thread."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, _note) for number in (*STOPS, signal.SIGCHLD)}
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield Signals(reader)
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _note(number: int, frame: FrameType | None) -> None:
    """Does nothing: Python has written the signal to the descriptor."""
