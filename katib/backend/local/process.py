"""One trial's process: started in a session of its own, read line by line, ended, and found again after kill -9 of the
engine.

The process inherits a file lock that the engine took before it was there, and writes its id into that file before it
becomes the trial's command. So at every instant the lock tells whether a process of the trial lives. The id in the file
only says which of the processes that have the lock (katib/backend/local/lock.py) is the trial's own; no other process
is ever signalled.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from katib.backend.local.family import lives, to_stop
from katib.backend.local.lock import holders, is_locked, lock, named
from katib.errors import EngineError, FolderError
from katib.trainer_contract import OUTPUT
from katib.untrusted import LINE_LIMIT, clean, line_text, open_file, read_text

HOLD = "process.lock"
KILL_SECONDS = 5.0
"""How long a process may take to end after SIGKILL; and what only a trial's own process started, to end when that is
gone."""

# The shell's own id is the trial's after exec. Without a disk to write it to there is no trial.
_SHIM = 'echo $$ >"$0" && exec "$@"'


class TrialProcess:
    """A running trial. `fileno` is the descriptor of its output, to be waited for."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], folder: Path, place: Path | None = None) -> None:
        """Start `argv` with its files in `folder`, which exists, in the folder `place`.

        Raises OSError, and EngineError where a process of an earlier try does not end.
        """
        hold = _taken(folder)
        try:
            self._log: IO[bytes] = os.fdopen(open_file(folder / OUTPUT, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "ab")
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
        """The Unix time, for the record; how long it has run is told by a clock that nobody sets."""
        self._began = time.monotonic()
        self._hold = folder / HOLD
        self.ends_by: float | None = None
        """When a process that was told to end is killed, on the monotonic clock."""
        self.last_line = ""
        """The last line that says anything: of a trial that failed, why."""

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self._began

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
        self._rest = self._rest[: LINE_LIMIT + 1]  # one more, which says that it is too long
        found = [line_text(line) for line in whole]
        said = (clean(line).strip() for line in reversed(found))
        self.last_line = next((line for line in said if line), self.last_line)
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
        # Collected and yet there: its group is empty, and the system has given the id to somebody else.
        if self._process.returncode is None or not lives(self._process.pid):
            _kill_group(self._process.pid)

    def poll(self) -> int | None:
        """Its exit code, negative where a signal ended it.

        None while it runs, or the program behind its shell still saves.
        """
        code = self._process.poll()
        return None if code is not None and self.saves else code

    @property
    def saves(self) -> bool:
        """Whether its shell is gone and the program behind it, which was asked to end, is still at it within its time."""
        if self.ends_by is None or self._process.poll() is None or time.monotonic() >= self.ends_by:
            return False
        return any(lives(process_id) for process_id in self._asked if process_id != self._process.pid)

    def close(self) -> None:
        """After its end: leave nothing of it behind, as nothing outlives the first process of a container."""
        self.kill()
        with contextlib.suppress(OSError, FolderError):
            if is_locked(self._hold):
                _kill(holders(self._hold))
        self._pipe.close()
        with contextlib.suppress(OSError):
            self._log.close()


def set_aside(folder: Path, number: int) -> None:
    """Keep the output of an earlier try as output-1.log, …, apart from that of the next one. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        (folder / OUTPUT).rename(folder / f"{Path(OUTPUT).stem}-{number}{Path(OUTPUT).suffix}")


def end_leftovers(folders: Sequence[Path], grace: float, say: Callable[[str], None] = lambda text: None) -> list[Path]:
    """End what an engine that was killed has left running in these folders; each may save first.

    Those that had something.

    Raises FolderError where a lock stays with a process that may not be signalled or does not end.
    """
    left = [folder for folder in folders if _is_held(folder)]
    ends = {folder: _end(folder, grace, say) for folder in left}
    for folder, by in ends.items():
        killed = False
        while _is_held(folder):
            now, there = time.monotonic(), holders(folder / HOLD)
            if now > by + KILL_SECONDS:
                raise FolderError(
                    f"{folder / HOLD}: is held by {named(there)}; end it, then start the same command again"
                )
            if now > by and not killed:
                killed = True
                _kill(there)
            time.sleep(0.02)
    return left


def _end(folder: Path, grace: float, say: Callable[[str], None]) -> float:
    """Ask the processes of a trial to end; until when they may save, on the monotonic clock."""
    there = holders(folder / HOLD)
    own = [one for one in there if one == _recorded(folder)] or [one for one in there if _leads(one)]
    for one in own or there:
        _ask(one)
    wait = grace if own else min(grace, KILL_SECONDS)
    say(f"trial {folder.name}  is still held by {named(there)}; waiting for it to end, at most {wait:.0f} s")
    return time.monotonic() + wait


def _leads(process_id: int) -> bool:
    """Returns whether it leads a session, as a trial's own process does."""
    with contextlib.suppress(OSError):
        return os.getsid(process_id) == process_id
    return False


def _recorded(folder: Path) -> int | None:
    """Returns the id in the lock's file: a hint which of the holders is the trial's own process, and no more."""
    try:
        text = read_text(folder / HOLD, most=32).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def _is_held(folder: Path) -> bool:
    """Returns whether a process of the trial lives. Raises FolderError where the file is no lock."""
    try:
        return is_locked(folder / HOLD)
    except OSError as error:
        raise FolderError(f"{folder / HOLD}: {error.strerror}; remove it, then start the same command again") from None


def _taken(folder: Path) -> int:
    """Returns a descriptor that holds the folder's lock; what an earlier try has left behind is ended.

    Raises OSError and EngineError.
    """
    ends = time.monotonic() + KILL_SECONDS
    while (hold := lock(folder / HOLD)) is None:
        there = holders(folder / HOLD)
        if time.monotonic() > ends:
            raise EngineError(
                f"{folder / HOLD}: is held by {named(there)}, which an earlier try has left; end it, then start the same"
                " command again"
            )
        _kill(there)
        time.sleep(0.02)
    return hold


def _kill(processes: Sequence[int]) -> None:
    """Kill processes that have the lock, and the group of one that leads it."""
    for one in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)
            if os.getpgid(one) == one:
                os.killpg(one, signal.SIGKILL)


def _ask(process_id: int) -> list[int]:
    """Ask a process to end, and the program behind it where it is a shell. Returns all that were asked."""
    found = to_stop(process_id)
    for one in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGTERM)
    return found


def _kill_group(process_id: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)
