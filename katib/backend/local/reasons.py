"""Words for why a trial ended, or why the engine cannot continue it."""

import errno
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from katib.backend.local.record import Trial
from katib.errors import EngineError, RecordError

SHOWN = 40
"""The number of characters of a text that are shown."""
NO_SPACE = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def may_go_on(trials: Iterable[Trial], *, pauses: bool) -> bool:
    """Returns whether a trial that has stopped early may go on: its search pauses trials, and has not ended."""
    return pauses and any(not trial.finished for trial in trials)


def told(trial: Trial, reason: str) -> str:
    """Returns the reason of a trial whose search goes on; a paused one says that it may go on, too."""
    return f"paused, may go on: {reason}" if trial.state == "EarlyStopped" else reason


def how(code: int) -> str:
    """Returns the words for an exit code; a negative one is the signal that ended the process."""
    if code >= 0:
        return f"exit code {code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"killed by {signal.Signals(-code).name}{hint}"


def shown(text: str) -> str:
    """Returns the beginning of a text that a trial printed."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def says_disk_full(line: str) -> bool:
    """Returns whether a trial's last line holds the system's words for a full disk.

    That is no fault of the trial, and a retry does not fix it.
    """
    return any(text in line for text in NO_SPACE)


def unwritable(path: Path, error: OSError) -> EngineError:
    """Returns the error of an engine that cannot write `path`, or the file below it that `error` names."""
    kind, fix = EngineError, "make room"
    if error.errno in (errno.ELOOP, errno.EINVAL):  # it is a link or a device, and none of our files
        kind, fix = RecordError, "remove it"
    return kind(
        f"{error.filename or path}: cannot be written ({error.strerror}); what has finished is kept, "
        f"{fix} and run the same command again"
    )
