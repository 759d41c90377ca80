"""The trainer in the container beside this one: found, watched and ended through the pod's shared process namespace.

Katib's webhook turns a trial's command into `sh -c "COMMAND 1>FILE 2>&1 … && echo completed > DIR/$$.pid"`, so the
shell's end and what it leaves in DIR/<its id>.pid say how the training ended (webhook/v1beta1/pod/utils.go). Called by
watch.py.
"""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from katib.untrusted import read_text

PROC = Path("/proc")
COMPLETED, EARLY_STOPPED = "completed", "early-stopped"
HELD = "TtZX"
"""States of a thread that runs no more code until it is let go on, or never."""
MARK_BYTES = 1 << 10
"""Of a mark that can be one."""
HOLDS = 10.0
"""Seconds for a trainer to be held."""


@dataclass(frozen=True)
class Process:
    """A process, told from a later one of the same id by when it started (in clock ticks since boot)."""

    pid: int
    parent: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        now = _process(self.pid)
        return now is not None and now.started == self.started


class Trainer:
    """What `output`, the file that the shell redirects to, has to do with processes."""

    def __init__(self, output: Path) -> None:
        self._folder = output.parent
        self._output = output
        self._wrapper = f"echo {COMPLETED} > {self._folder}/".encode()
        self.shell: Process | None = None
        self._over = False

    @property
    def ended(self) -> bool:
        """Whether the training is over; not as long as it has not begun. Once true it stays true."""
        if self._over:
            return True
        if self.shell is None:
            # In this order: what a shell left before it was looked for, and was not found, it left before its end.
            left = self._output.exists() or bool(self._marks())
            self.shell = self._find()
            self._over = left and self.shell is None
        else:
            self._over = not self.shell.alive
        return self._over

    @property
    def completed(self) -> bool:
        """After the end: whether the shell says that the trainer came to its end without error."""
        marks = [self._mark(self.shell.pid)] if self.shell else self._marks()
        return any(_first_line(mark) == COMPLETED for mark in marks)

    def stop(self) -> bool:
        """Ask the trainer to save and end, so that the shell takes its exit code for an early stop.

        The mark must be there before the trainer ends by the signal, and must not be there where it ended by itself, or
        its failure would be forgiven. So it is held while both happen: what is still held after the signal has not
        ended before.

        False where there is nothing to stop, or nothing any more. Raises OSError where the mark cannot be written, or
        its user is another one's, which a container-level runAsUser makes of it.
        """
        children = self._children()
        if self.shell is None or not children:
            return False
        mark = self._mark(self.shell.pid)
        draft = mark.with_suffix(".draft")
        # The folder is the trainer's too, which may have put a link there.
        draft.unlink(missing_ok=True)
        with draft.open("x") as file:
            file.write(f"{EARLY_STOPPED}\n")
        try:
            draft.chmod(0o666)  # the shell writes into it next
            with _held(children):
                _signal(children, signal.SIGTERM)
                if told := any(child.alive for child in children):
                    draft.rename(mark)
        finally:
            draft.unlink(missing_ok=True)
        return told

    def kill(self) -> None:
        """End a trainer that has not ended when asked."""
        _signal(self._children(), signal.SIGKILL)

    def _children(self) -> list[Process]:
        return [process for process in _processes() if process.parent == self.shell.pid] if self.shell else []

    def _find(self) -> Process | None:
        """Returns the wrapper's shell.

        Not the copy of itself that it makes for a moment before it starts the trainer.
        """
        found = {process.pid: process for process in _processes() if self._wrapper in _command(process.pid)}
        found.pop(os.getpid(), None)
        return next((process for process in found.values() if process.parent not in found), None)

    def _mark(self, pid: int) -> Path:
        return self._folder / f"{pid}.pid"

    def _marks(self) -> list[Path]:
        return sorted(self._folder.glob("*.pid"))


def _signal(processes: Sequence[Process], number: signal.Signals) -> None:
    """To those that there still are. Raises PermissionError."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


@contextmanager
def _held(processes: Sequence[Process]) -> Iterator[None]:
    """Once each has stopped or ended: at once, but for one that is in the middle of a slow write, at most HOLDS
    seconds.
    """
    try:
        _signal(processes, signal.SIGSTOP)
        end = time.monotonic() + HOLDS
        while time.monotonic() < end and not all(_is_held(process) for process in processes):
            time.sleep(0.001)
        yield
    finally:
        _signal(processes, signal.SIGCONT)


def _is_held(process: Process) -> bool:
    try:
        states = [_fields(thread / "stat")[0] for thread in (PROC / str(process.pid) / "task").iterdir()]
    except OSError:
        return True
    return all(state in HELD for state in states)


def _processes() -> list[Process]:
    ids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]
    return [process for pid in ids if (process := _process(pid))]


def _process(pid: int) -> Process | None:
    """None where it has ended."""
    try:
        fields = _fields(PROC / str(pid) / "stat")
    except OSError:
        return None
    return None if not fields or fields[0] in "ZX" else Process(pid, int(fields[1]), int(fields[19]))


def _fields(stat: Path) -> list[str]:
    """Of proc(5)'s stat, from the state on; the name before it may hold anything. Raises OSError."""
    return stat.read_text(errors="replace").rpartition(")")[2].split()


def _command(pid: int) -> bytes:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def _first_line(path: Path) -> str:
    try:
        return read_text(path, MARK_BYTES).partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError):
        return ""
