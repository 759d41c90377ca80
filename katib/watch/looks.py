"""Looks at something again where somebody asks and the last look is old enough; nothing happens while nobody asks."""

import threading
import time
from collections.abc import Callable


class Looks:
    """Runs `look` in a thread of its own, one at a time, and `seconds` after the last one at the earliest."""

    def __init__(self, look: Callable[[], None], seconds: float) -> None:
        self._look, self._seconds = look, seconds
        self._lock, self._done = threading.Lock(), threading.Event()
        self._done.set()
        self._busy, self._ended = False, -float("inf")

    def wait(self, patience: float) -> None:
        """Waits at most `patience` in s for a look that is under way, or due now, or for what it shows early."""
        with self._lock:
            if not self._busy and time.monotonic() - self._ended >= self._seconds:
                self._busy = True
                self._done.clear()
                threading.Thread(target=self._run, daemon=True).start()
        self._done.wait(patience)

    def show(self) -> None:
        """Ends the waiting: the look goes on, and has something to show already."""
        self._done.set()

    def _run(self) -> None:
        try:
            self._look()
        finally:
            self._ended = time.monotonic()
            self._busy = False
            self._done.set()
