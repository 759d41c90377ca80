"""Starts a trial's process in a session of its own, reads it line by line, and finds it after kill -9 of the engine.

The process inherits a file lock that the engine took before it started, and writes its id into that file before it
becomes the trial's command. So at every instant the lock says whether a process of the trial is alive. The id in the
file only says which of the processes that hold the lock (katib/backend/local/lock.py) is the trial's own; no other
process is ever signalled.
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
from katib.untrusted import LINE_LIMIT, clean, line_text, open_file, read_text, split_lines

HOLD = "process.lock"
KILL_TIMEOUT = 5.0
"""The seconds that a process may take to end after SIGKILL, and the trial's other processes after its own has ended."""
CLOCK_SET = 5.0
"""The seconds by which a clock differs from the running time once it was set; a slow adjustment stays below."""

# The shell's id is the trial's after exec. Where the disk is too full to write it, no trial starts.
_SHIM = 'echo $$ >"$0" && exec "$@"'


class TrialProcess:
    """A running trial. `fileno` is the descriptor of its output, which can be waited for."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], folder: Path, working_dir: Path | None = None
    ) -> None:
        """Starts `argv` in `working_dir`, with its files in `folder`, which exists.

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
                cwd=working_dir,
                start_new_session=True,
                pass_fds=[hold],
            )
        finally:
            os.close(hold)
        pipe = self._process.stdout
        assert pipe is not None  # noqa: S101 (stdout is a pipe)
        self._pipe = pipe
        os.set_blocking(pipe.fileno(), False)
        self._rest = b""
        self._asked: list[int] = []
        """The processes that were asked to end, the trial's own among them."""
        self.silent = False
        """Whether its output has ended, which the process may outlive."""
        self.started = time.time()
        """The Unix time in s, for the record; its running time is measured on a clock that cannot be set."""
        self._began = time.monotonic()
        self._hold = folder / HOLD
        self.ends_by: float | None = None
        """When a process that was asked to end is killed, in s on the monotonic clock."""
        self.last_line = ""
        """The last line that is not empty; where a trial failed, it says why."""

    @property
    def seconds(self) -> float:
        """Its running time."""
        return time.monotonic() - self._began

    def clock_was_set(self) -> bool:
        """Returns whether the clock was set while it ran, or the machine slept; `started` follows the clock then."""
        moved = time.time() - self.started - self.seconds
        if abs(moved) < CLOCK_SET:
            return False
        self.started += moved
        return True

    def fileno(self) -> int:
        """Returns the descriptor of its stdout and stderr."""
        return self._pipe.fileno()

    def lines(self, *, all_of_it: bool = False) -> list[str]:
        """Returns the lines that have arrived and appends them to output.log. Raises OSError where the disk is full."""
        chunks = []
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.fileno(), LINE_LIMIT):
                chunks.append(chunk)
                if not all_of_it:
                    break
            self.silent = self.silent or not chunk
        data = b"".join(chunks)
        # The line that says why the trial ended must be known before the write to the log, which may fail.
        whole, self._rest = split_lines(self._rest + data)
        if all_of_it and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        texts = [line_text(line) for line in whole]
        shown = map(_shown, reversed(whole))
        self.last_line = next(filter(None, shown), self.last_line)
        if data:
            self._log.write(data)
            self._log.flush()
        return texts

    def stop(self, grace: float) -> None:
        """Asks it to save and end, also behind a shell. What a trainer has started is the trainer's to end."""
        if self.ends_by is None:
            self.ends_by = time.monotonic() + grace
            self._asked = _ask(self._process.pid) if self._process.poll() is None else []

    def kill(self) -> None:
        """Kills it and whatever it has started."""
        # A process of its id that exists after it was collected is another one: the system has reused the id.
        if self._process.returncode is None or not lives(self._process.pid):
            _kill_group(self._process.pid)

    def poll(self) -> int | None:
        """Returns its exit code, negative where a signal ended it; None while it runs.

        It counts as running while the program behind its shell still saves.
        """
        code = self._process.poll()
        return None if code is not None and self.saves else code

    @property
    def saves(self) -> bool:
        """Whether its shell has ended while the program behind it, which was asked to end, may still save."""
        if self.ends_by is None or self._process.poll() is None or time.monotonic() >= self.ends_by:
            return False
        return any(lives(process_id) for process_id in self._asked if process_id != self._process.pid)

    def close(self) -> None:
        """Ends what the trial has left running, as nothing outlives the first process of a container."""
        self.kill()
        with contextlib.suppress(OSError, FolderError):
            if is_locked(self._hold):
                _kill(holders(self._hold))
        self._pipe.close()
        with contextlib.suppress(OSError):
            self._log.close()


def _shown(line: bytes) -> str:
    """Returns what a terminal shows of a line, which is what follows its last carriage return."""
    if len(line) > LINE_LIMIT:
        return f"(a line of more than {LINE_LIMIT} bytes, which is not read)"
    return next(filter(None, (clean(drawn).strip() for drawn in reversed(line_text(line).split("\r")))), "")


def set_aside(folder: Path, number: int) -> None:
    """Renames the output of an earlier try to output-1.log, and so on, before the next try. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        (folder / OUTPUT).rename(folder / f"{Path(OUTPUT).stem}-{number}{Path(OUTPUT).suffix}")


def end_leftovers(folders: Sequence[Path], grace: float, say: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Ends what an engine that was killed has left running in these folders; each process may save first.

    Returns the folders in which something was running. Raises FolderError where a process keeps the lock because it may
    not be signalled or does not end.
    """
    held = [folder for folder in folders if _is_held(folder)]
    deadlines = {folder: _end(folder, grace, say) for folder in held}
    for folder, deadline in deadlines.items():
        killed = False
        while _is_held(folder):
            now, processes = time.monotonic(), holders(folder / HOLD)
            if now > deadline + KILL_TIMEOUT:
                raise FolderError(
                    f"{folder / HOLD}: is held by {named(processes)}; end it, then run the same command again"
                )
            if now > deadline and not killed:
                killed = True
                _kill(processes)
            time.sleep(0.02)
    return held


def _end(folder: Path, grace: float, say: Callable[[str], None]) -> float:
    """Asks the processes of a trial to end; returns until when they may save, in s on the monotonic clock."""
    processes, recorded = holders(folder / HOLD), _recorded(folder)
    own = [process for process in processes if process == recorded] or list(filter(_leads, processes))
    for process in own or processes:
        _ask(process)
    wait = grace if own else min(grace, KILL_TIMEOUT)
    say(f"trial {folder.name}  is still held by {named(processes)}; waiting for it to end, at most {wait:.0f} s")
    return time.monotonic() + wait


def _leads(process_id: int) -> bool:
    """Returns whether a process leads a session, as a trial's own process does."""
    with contextlib.suppress(OSError):
        return os.getsid(process_id) == process_id
    return False


def _recorded(folder: Path) -> int | None:
    """Returns the id in the lock's file, which is only a hint which of the holders is the trial's own process."""
    try:
        text = read_text(folder / HOLD, most=32).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def _is_held(folder: Path) -> bool:
    """Returns whether a process of the trial is alive. Raises FolderError where the file cannot be locked."""
    try:
        return is_locked(folder / HOLD)
    except OSError as error:
        raise FolderError(f"{folder / HOLD}: {error.strerror}; remove it, then run the same command again") from None


def _taken(folder: Path) -> int:
    """Returns a descriptor that holds the folder's lock, after it has killed what an earlier try has left running.

    Raises OSError and EngineError.
    """
    ends = time.monotonic() + KILL_TIMEOUT
    while (hold := lock(folder / HOLD)) is None:
        processes = holders(folder / HOLD)
        if time.monotonic() > ends:
            raise EngineError(
                f"{folder / HOLD}: is held by {named(processes)}, which an earlier try has left running; end it, then"
                " run the same command again"
            )
        _kill(processes)
        time.sleep(0.02)
    return hold


def _kill(processes: Sequence[int]) -> None:
    """Kills processes that hold the lock, and the groups that they lead."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)
            if os.getpgid(process) == process:
                os.killpg(process, signal.SIGKILL)


def _ask(process_id: int) -> list[int]:
    """Asks a process to end, and the program behind it where it is a shell; returns all that were asked."""
    processes = to_stop(process_id)
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGTERM)
    return processes


def _kill_group(process_id: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process_id, signal.SIGKILL)
