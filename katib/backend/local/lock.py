"""The lock of a file, and who has it: asked of the kernel, never believed of what the file says.

A start ends what an engine that was killed has left running. Whom it may signal is decided here: a process of the same
user that holds this very lock through a descriptor of its own, as proc(5) says of it, or lsof where there is no /proc.
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
    """Returns a descriptor that holds the lock of the file `path`, which is made where there is none.

    None where a process has it. Raises OSError, and FolderError where the file system has no locks.
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
            f"{path}: the file system here ({_mounted(path)}) has no locks, without which two engines could run one search;"
            " name a folder on a local disk with OUT= (--out)"
        ) from None
    return descriptor


def is_locked(path: Path) -> bool:
    """Returns whether a process has the lock of the file `path`. Raises OSError and FolderError as `lock` does."""
    if not path.is_symlink() and not path.exists():
        return False
    if (descriptor := lock(path)) is None:
        return True
    os.close(descriptor)
    return False


def holders(path: Path) -> list[int]:
    """Returns the processes of this user that hold the lock of the file `path`, as far as they can be seen from here."""
    try:
        file = path.stat(follow_symlinks=False)
    except OSError:
        return []
    found = _by_proc(file) if PROC.is_dir() else _by_lsof(path)
    return sorted(number for number in found if number > 1 and number != os.getpid())


def _by_proc(file: os.stat_result) -> list[int]:
    found = []
    for process in PROC.iterdir():
        with suppress(OSError):  # it has ended, or is somebody else's
            if process.name.isdigit() and process.stat().st_uid == os.getuid() and _has(process, file):
                found.append(int(process.name))
    return found


def _has(process: Path, file: os.stat_result) -> bool:
    """Returns whether one of its descriptors of the file carries the lock (proc(5), /proc/pid/fdinfo)."""
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):
            info = process / "fdinfo" / descriptor.name
            if os.path.samestat(descriptor.stat(), file) and "FLOCK" in info.read_text():
                return True
    return False


def _by_lsof(path: Path) -> list[int]:
    """Returns those that have the file open at all: lsof of macOS does not tell which of them locked it."""
    if (program := shutil.which("lsof")) is None:
        return []
    words = [program, "-a", "-t", "-u", str(os.getuid()), "--", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split() if word.isdecimal()]


def named(processes: list[int]) -> str:
    """Returns `process 4711`, `processes 4711, 4712`, or that they cannot be seen."""
    if not processes:
        return "a process that cannot be seen from here (of another user, container or machine)"
    return f"process{'es' if processes[1:] else ''} {', '.join(map(str, processes))}"


def _mounted(path: Path) -> str:
    """Returns the kind and the place of the file system that holds `path`.

    Proc(5) says how a line of mounts is built.
    """
    try:
        mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    except OSError:
        return "of an unknown kind"
    there = [(place, kind) for _, place, kind, *_ in mounts if path.resolve().is_relative_to(place)]
    place, kind = max(there, key=lambda one: len(one[0]), default=("/", "of an unknown kind"))
    return f"{kind} at {place}"
