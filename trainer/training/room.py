"""Waits for room while the volume of the run directory is full.

Otherwise a search on a full volume would use up the tries of all its trials within minutes, each with a finished epoch
in memory. Other errors (no permission, a read-only volume) do not go away by waiting and are left to the caller.
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
from trainer.metric_line import say
from trainer.training.stop import Stopped, StopRequest

T = TypeVar("T")
POLL_SECONDS = 30
"""Seconds between two tries at most; the first ones follow each other sooner, for room that somebody is making."""
REMIND_SECONDS = 600


def is_full(error: OSError) -> bool:
    """Returns whether a volume is full, or a quota on it is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Room:
    """How long a training waits for room on the volume of its run directory."""

    minutes: float
    """From the first write that fails to the end of the wait."""
    stop: StopRequest

    def until(self, file: Path, attempt: Callable[[], T]) -> T:
        """Calls `attempt`, which writes `file` or leaves nothing, until the volume has room, and returns its value.

        Raises StorageError where the volume is still full after the wait, Stopped where a signal comes meanwhile, and
        OSError where something else is wrong with the volume.
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
                    _report(f"room again: {file} is written")
                return result
            now = time.monotonic()
            left = began + 60 * self.minutes - now
            if self.stop.requested:
                raise Stopped from full
            if left <= 0:
                raise StorageError(
                    f"{file}: cannot be written ({full.strerror}) after {self.minutes:g} minutes of waiting for room; "
                    "finished epochs are kept: make room and run the same command to resume"
                ) from full
            if now - said >= REMIND_SECONDS:
                said = now
                end = datetime.now(UTC) + timedelta(seconds=left)
                _report(
                    f"waits for room: {file} cannot be written ({full.strerror}); tries again at least every "
                    f"{POLL_SECONDS} s, gives up at {end:%H:%M} UTC"
                )
            self.stop.wait(min(POLL_SECONDS, 1 + (now - began) / 4, left))


def _report(line: str) -> None:
    """Prints the line, unless stdout is a file on a full volume, too: the wait matters more."""
    with contextlib.suppress(OSError):
        say(line)
