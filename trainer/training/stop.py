"""Handles SIGTERM and Ctrl-C, so that a training ends between two batches, where a checkpoint can be written.

The epoch loop reads `requested` after each batch; trainer/training/train.py listens and turns it into the exit code.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(Exception):  # noqa: N818 - not an error, but the way out of the training after a signal
    """A signal has come, and everything that had to be saved is on the disk."""


class StopRequest:
    """Remembers the first SIGTERM or SIGINT. A second Ctrl-C kills at once, as if there were no handler."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._time = 0.0
        self._at_once = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles SIGTERM and SIGINT inside the block, which must be entered in the main thread."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def leaving_at_once(self) -> Iterator[None]:
        """Makes a signal raise Stopped wherever the main thread is; nothing may be written inside the block."""
        self._at_once = True
        try:
            if self.requested:
                raise Stopped
            yield
        finally:
            self._at_once = False

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self._signal is not None

    @property
    def exit_code(self) -> int:
        """128 plus the signal, as a shell reports it: 143 after SIGTERM.

        Never 0, so that an eviction is not taken for a finished training.
        """
        return 128 + (self._signal or 0)

    def wait(self, seconds: float) -> None:
        """Sleeps until `seconds` are over or a signal comes."""
        end = time.monotonic() + seconds
        while not self.requested and time.monotonic() < end:
            time.sleep(0.1)

    def delay_exit(self, seconds: float) -> None:
        """Sleeps until `seconds` have passed since SIGTERM; Ctrl-C needs no delay.

        When Katib's metrics collector stops a trial, it sends SIGTERM and then reports the metrics. It also checks once
        per second whether the training has ended, and then exits at once, in the middle of that report.
        """
        if self._signal == signal.SIGTERM:
            time.sleep(max(0.0, self._time + seconds - time.monotonic()))

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self._signal, self._time = number, time.monotonic()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if self._at_once:
            raise Stopped
