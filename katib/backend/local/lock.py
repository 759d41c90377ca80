"""Locks a file and finds the processes that hold the lock, according to the kernel, never to the file's content.

A start ends the processes that a killed engine has left running. It may signal those of the same user that hold this
very lock through a descriptor of their own, according to proc(5), or to lsof where there is no /proc.
"""

import errno
import fcntl
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from katib.backend.local.family import PROC
from katib.errors import FolderError
from katib.untrusted import open_file

_WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_MOUNTS = Path("/proc/self/mounts")


def lock(path: Path) -> int | None:
    """Returns a descriptor that holds the lock of the file `path`, creating the file; None where a process holds it.

    Raises OSError, and FolderError where the file system has no locks.
    """
    descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        if error.errno not in _WITHOUT_LOCKS:
            raise
        raise FolderError(
            f"{path}: the file system here ({_mounted(path)}) has no locks, and without them two engines could run one"
            " search; give a folder on a local disk with OUT= (--out)"
        ) from None
    return descriptor


def is_locked(path: Path) -> bool:
    """Returns whether a process holds the lock of the file `path`. Raises OSError and FolderError as `lock` does."""
    if not path.is_symlink() and not path.exists():
        return False
    if (descriptor := lock(path)) is None:
        return True
    os.close(descriptor)
    return False


def holders(path: Path) -> list[int]:
    """Returns the visible processes of this user, except this one, that hold the lock of the file `path`."""
    try:
        file = path.stat(follow_symlinks=False)
    except OSError:
        return []
    processes = _by_proc(file) if PROC.is_dir() else _by_lsof(path)
    return sorted(process for process in processes if process > 1 and process != os.getpid())


def _by_proc(file: os.stat_result) -> list[int]:
    holders = []
    for process in PROC.iterdir():
        with suppress(OSError):  # it has ended, or belongs to another user
            if process.name.isdigit() and process.stat().st_uid == os.getuid() and _holds(process, file):
                holders.append(int(process.name))
    return holders


def _holds(process: Path, file: os.stat_result) -> bool:
    """Returns whether one of the process's descriptors of the file carries the lock (proc(5), /proc/pid/fdinfo)."""
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):
            info = process / "fdinfo" / descriptor.name
            if os.path.samestat(descriptor.stat(), file) and "FLOCK" in info.read_text():
                return True
    return False


def _by_lsof(path: Path) -> list[int]:
    """Returns the processes that have the file open at all: lsof of macOS does not say which of them locked it."""
    if (program := shutil.which("lsof")) is None:
        return []
    words = [program, "-a", "-t", "-u", str(os.getuid()), "--", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split() if word.isdecimal()]


def named(processes: list[int]) -> str:
    """Returns `process 4711`, `processes 4711, 4712`, or words for processes that are not visible."""
    if not processes:
        return "a process that is not visible from here (of another user, container or machine)"
    return f"process{'es' if processes[1:] else ''} {', '.join(map(str, processes))}"


def _mounted(path: Path) -> str:
    """Returns the type and the mount point of the file system that holds `path` (proc(5), /proc/pid/mounts)."""
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return "of an unknown kind"
    above = [(point, kind) for _, point, kind, *_ in mounts if path.resolve().is_relative_to(point)]
    point, kind = max(above, key=lambda mount: len(mount[0]), default=("/", "of an unknown kind"))
    return f"{kind} at {point}"
