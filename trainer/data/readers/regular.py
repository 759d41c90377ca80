"""Reads files that others have made, but only regular ones: a pipe would block for ever, and a device never ends."""

import errno
import os
import stat
from pathlib import Path


def read_regular(path: Path) -> bytes:
    """Returns the content of a regular file. Raises OSError, also for anything else."""
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        require_regular(file.fileno())
        return file.read()


def require_regular(file: int | Path) -> None:
    """Raises OSError where `file`, a path or a descriptor, is no regular file."""
    mode = os.stat(file).st_mode  # noqa: PTH116 - of a descriptor, too
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file")
