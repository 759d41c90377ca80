"""One trial's process: started in a session of its own, read line by line, ended, and found again after kill -9 of the engine.

The process inherits a file lock that the engine took before it was there, and writes its id into that file before it becomes
the trial's command. So at every instant the lock tells whether a process of the trial lives and the file which one it is;
ids that the system has given to others do no harm. Called by the engine.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from katib.local.family import lives, to_stop

OUTPUT, HOLD = "output.log", "process.lock"
LINE_LIMIT = 1 << 16
"""Bytes of a line that are looked at; a trial that prints endless lines must not fill the memory."""

# The shell's own id is the trial's after exec. Without a disk to write it to there is no trial.
_SHIM = 'echo $$ >"$0" && exec "$@"'


class TrialProcess:
    """A running trial. `fileno` is the descriptor of its output, to be waited for."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], folder: Path, place: Path | None = None
    ) -> None:
        """Start `argv` with its files in `folder`, which exists, in the folder `place`. Raises OSError."""
        hold = _hold(folder)
        assert hold is not None, f"{folder}: a process of this trial lives"  # noqa: S101 (end_leftovers comes first)
        self._log: IO[bytes] = (folder / OUTPUT).open("ab")
        try:
            os.truncate(hold, 0)
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _SHIM, str(folder / HOLD), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=place,
                start_new_session=True,
                pass_fds=[hold],
            )
        finally:
            os.close(hold)
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 (asked for above)
        self._pipe = pipe
        os.set_blocking(pipe.fileno(), False)
        self._rest = b""
        self._asked: list[int] = []
        """Processes that were asked to end, the trial's own among them."""
        self.silent = False
        """Whether its output has come to an end; a process may outlive that."""
        self.started = time.time()
        self.ends_by: float | None = None
        """When a process that was told to end is killed, on the monotonic clock."""
        self.last_line = ""
        """The last line that says anything: of a trial that failed, why."""

    def fileno(self) -> int:
        """Of the trial's stdout and stderr."""
        return self._pipe.fileno()

    def lines(self, *, all_of_it: bool = False) -> list[str]:
        """Lines that have come, also written to output.log. Raises OSError where the disk is full."""
        chunks = []
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.fileno(), LINE_LIMIT):
                chunks.append(chunk)
                if not all_of_it:
                    break
            self.silent = self.silent or not chunk
        data = b"".join(chunks)
        # Before the write to the log, which may fail: the line that says why the trial ended must be known.
        *whole, self._rest = (self._rest + data).split(b"\n")
        if all_of_it and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        self._rest = self._rest[:LINE_LIMIT]
        found = [line[:LINE_LIMIT].decode(errors="replace").rstrip("\r") for line in whole]
        self.last_line = next((line.strip() for line in reversed(found) if line.strip()), self.last_line)
        if data:
            self._log.write(data)
            self._log.flush()
        return found

    def stop(self, grace: float) -> None:
        """Ask it to save and end, behind a shell too. What a trainer has started is its own to end."""
        if self.ends_by is None:
            self.ends_by = time.monotonic() + grace
            self._asked = _ask(self._process.pid) if self._process.poll() is None else []

    def kill(self) -> None:
        """End it and whatever it has started, at once."""
        _kill_group(self._process.pid)

    def poll(self) -> int | None:
        """Its exit code, negative where a signal ended it; None while it runs, or the program behind its shell still saves."""
        code = self._process.poll()
        return None if code is not None and self.saves else code

    @property
    def saves(self) -> bool:
        """Whether its shell is gone and the program behind it, which was asked to end, is still at it within its time."""
        if self.ends_by is None or self._process.poll() is None or time.monotonic() >= self.ends_by:
            return False
        return any(lives(process_id) for process_id in self._asked if process_id != self._process.pid)

    def close(self) -> None:
        """After its end: leave nothing of it behind."""
        self.kill()
        self._pipe.close()
        with contextlib.suppress(OSError):
            self._log.close()


def set_aside(folder: Path, number: int) -> None:
    """Keep the output of an earlier try as output-1.log, …, apart from that of the next one. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        (folder / OUTPUT).rename(folder / f"{Path(OUTPUT).stem}-{number}{Path(OUTPUT).suffix}")


def end_leftovers(folders: Sequence[Path], grace: float) -> list[Path]:
    """End what an engine that was killed has left running in these folders; each may save first. Those that had something."""
    left = [folder for folder in folders if _holder(folder) is not None]
    for folder in left:
        if (process_id := _holder(folder)) is not None:
            _ask(process_id)
    deadline = time.monotonic() + grace
    for folder in left:
        while (process_id := _holder(folder)) is not None:
            if time.monotonic() > deadline:
                _kill_group(process_id)
            time.sleep(0.02)
    return left


def _holder(folder: Path) -> int | None:
    """The process that lives in `folder`; None where there is none."""
    if not (folder / HOLD).exists():
        return None
    while (hold := _hold(folder)) is None:
        # It writes its id first of all, so this waits for no more than that.
        if (text := (folder / HOLD).read_text()).endswith("\n"):
            return int(text)
        time.sleep(0.02)
    os.close(hold)
    return None


def _hold(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None where a process has it."""
    descriptor = os.open(folder / HOLD, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _ask(process_id: int) -> list[int]:
    """Ask a process to end, and the program behind it where it is a shell. Returns all that were asked."""
    found = to_stop(process_id)
    for one in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGTERM)
    return found


def _kill_group(process_id: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)
