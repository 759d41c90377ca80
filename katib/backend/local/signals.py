"""Signals of the engine's process as bytes on a descriptor, so that one wait serves them and the trials' output alike.

Called by the engine.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Signals:
    """What has come; `descriptor` can be waited for."""

    descriptor: int

    def take(self) -> list[int]:
        """Returns the signals since the last call, in their order; SIGCHLD when a trial has ended."""
        try:
            return list(os.read(self.descriptor, 4096))
        except BlockingIOError:
            return []


@contextmanager
def listening() -> Iterator[Signals]:
    """Take over the stop signals and SIGCHLD inside the block. To be entered in the main thread."""
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
    """Python writes the signal to the descriptor; nothing else is to happen."""
