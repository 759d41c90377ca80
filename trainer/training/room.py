"""Waits where the volume of the run directory is full, until somebody makes room there.

A search on a volume that fills would otherwise use up the tries of all its trials within minutes, each with a finished
epoch in memory. Other errors of a file (no right, a read-only volume) do not pass by waiting and are left to the
caller.
"""

import contextlib
import errno
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from trainer.errors import StorageError
from trainer.training.metric_line import say
from trainer.training.stop import Stopped, StopRequest

T = TypeVar("T")
POLL_SECONDS = 30
REMIND_SECONDS = 600


def is_full(error: OSError) -> bool:
    """Returns whether a volume is full, or a quota on it used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Room:
    """How long a training waits for room on the volume of its run directory."""

    minutes: float
    """From the first write that fails to the end of the wait."""
    stop: StopRequest

    def until(self, file: Path, attempt: Callable[[], T]) -> T:
        """Returns what `attempt` does, which writes `file` or leaves nothing, once the volume has room for it.

        Raises StorageError where it is still full after the wait, Stopped where a signal comes meanwhile, and OSError
        where something else is wrong with the volume.
        """
        began, said = time.monotonic(), -math.inf
        while True:
            try:
                result = attempt()
            except OSError as error:
                if not is_full(error):
                    raise
                full = error
            else:
                if said > -math.inf:
                    _tell(f"room again: {file} is written")
                return result
            now = time.monotonic()
            left = began + 60 * self.minutes - now
            if self.stop.requested:
                raise Stopped from full
            if left <= 0:
                raise StorageError(
                    f"{file}: cannot be written ({full.strerror}) after {self.minutes:g} minutes of waiting for room; "
                    "finished epochs are kept, make room and start the same command again"
                ) from full
            if now - said >= REMIND_SECONDS:
                said = now
                end = datetime.now(UTC) + timedelta(seconds=left)
                _tell(
                    f"waits for room: {file} cannot be written ({full.strerror}); tries again every "
                    f"{POLL_SECONDS} s, gives up at {end:%H:%M} UTC"
                )
            self.stop.wait(min(POLL_SECONDS, left))


def _tell(line: str) -> None:
    """Says it, unless stdout is a file on a full volume too: the wait matters more."""
    with contextlib.suppress(OSError):
        say(line)
