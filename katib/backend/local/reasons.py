"""Why a trial ended or cannot go on, in words. Called by the engine."""

import errno
import os
import signal
from pathlib import Path

from katib.errors import EngineError, RecordError

SHOWN = 40
"""Characters of a metric that is no number."""
NO_SPACE = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def how(code: int) -> str:
    """Returns what an exit code says: a number, or the signal that ended the process."""
    if code >= 0:
        return f"exit code {code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"killed by {signal.Signals(-code).name}{hint}"


def shown(text: str) -> str:
    """Returns the beginning of a text that a trial printed."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def says_disk_full(line: str) -> bool:
    """Returns whether a trial's last line holds the system's words for a full disk: no fault of the trial, nor mended
    by a retry.
    """
    return any(text in line for text in NO_SPACE)


def unwritable(path: Path, error: OSError) -> EngineError:
    """Returns the engine itself cannot write `path`, or what `error` names below it."""
    kind, fix = EngineError, "make room"
    if error.errno in (errno.ELOOP, errno.EINVAL):  # no file of ours
        kind, fix = RecordError, "remove it"
    return kind(
        f"{error.filename or path}: cannot be written ({error.strerror}); what has finished is kept, "
        f"{fix} and start the same command again"
    )
