"""Finds, watches and ends the trainer in the container beside this one, through the pod's shared process namespace.

Katib's webhook turns a trial's command into `sh -c "COMMAND 1>FILE 2>&1 … && echo completed > DIR/$$.pid"`, so the
shell's end and its mark, the file DIR/<its id>.pid, say how the training ended (webhook/v1beta1/pod/utils.go).
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
"""The states of a thread that runs no code until it is continued, or ever."""
MARK_BYTES = 1 << 10
"""The most bytes of a mark that are read."""
HOLD_TIMEOUT = 10.0
"""Seconds for a trainer to stop running."""


@dataclass(frozen=True)
class Process:
    """A process; its start, in clock ticks since boot, distinguishes it from a later one with the same id."""

    pid: int
    parent: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        now = _process(self.pid)
        return now is not None and now.started == self.started


class Trainer:
    """The processes of the training that writes to the file `output`."""

    def __init__(self, output: Path) -> None:
        self._folder = output.parent
        self._output = output
        self._wrapper = f"echo {COMPLETED} > {self._folder}/".encode()
        self.shell: Process | None = None
        self._over = False

    @property
    def ended(self) -> bool:
        """Whether the training has begun and ended. Once true it stays true."""
        if self._over:
            return True
        if self.shell is None:
            # The files come first: if they exist and then no shell is found, the shell that wrote them has ended.
            has_begun = self._output.exists() or bool(self._marks())
            self.shell = self._find()
            self._over = has_begun and self.shell is None
        else:
            self._over = not self.shell.alive
        return self._over

    @property
    def completed(self) -> bool:
        """Whether the trainer ended without error; to be asked after its end."""
        marks = [self._mark(self.shell.pid)] if self.shell else self._marks()
        return any(_first_line(mark) == COMPLETED for mark in marks)

    def stop(self) -> bool:
        """Asks the trainer to save and end, so that the shell takes its exit code for an early stop.

        The mark must exist before the trainer ends by the signal, and must not exist where it ended by itself, or its
        failure would be forgiven. So the trainer is suspended meanwhile: if it is alive after the signal, it did not
        end before.

        Returns False where nothing runs that could be stopped. Raises OSError where the mark cannot be written, or
        where the trainer runs as another user, which a container-level runAsUser causes.
        """
        children = self._children()
        if self.shell is None or not children:
            return False
        mark = self._mark(self.shell.pid)
        draft = mark.with_suffix(".draft")
        # The trainer can write to the folder as well, and may have put a link there.
        draft.unlink(missing_ok=True)
        with draft.open("x") as file:
            file.write(f"{EARLY_STOPPED}\n")
        try:
            # The shell writes into it next.
            draft.chmod(0o666)
            with _held(children):
                _signal(children, signal.SIGTERM)
                if stopped := any(child.alive for child in children):
                    draft.rename(mark)
        finally:
            draft.unlink(missing_ok=True)
        return stopped

    def kill(self) -> None:
        """Kills a trainer that has not ended when asked."""
        _signal(self._children(), signal.SIGKILL)

    def _children(self) -> list[Process]:
        return [process for process in _processes() if process.parent == self.shell.pid] if self.shell else []

    def _find(self) -> Process | None:
        """Returns the wrapper's shell, and not its copy, which exists for a moment before the trainer starts."""
        shells = {process.pid: process for process in _processes() if self._wrapper in _command(process.pid)}
        shells.pop(os.getpid(), None)
        return next((process for process in shells.values() if process.parent not in shells), None)

    def _mark(self, pid: int) -> Path:
        return self._folder / f"{pid}.pid"

    def _marks(self) -> list[Path]:
        return sorted(self._folder.glob("*.pid"))


def _signal(processes: Sequence[Process], number: signal.Signals) -> None:
    """Sends a signal to those processes that still exist. Raises PermissionError."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


@contextmanager
def _held(processes: Sequence[Process]) -> Iterator[None]:
    """Suspends the processes meanwhile: enters once each is suspended or has ended, at most after HOLD_TIMEOUT.

    A process is suspended at once, except in the middle of a slow write.
    """
    try:
        _signal(processes, signal.SIGSTOP)
        end = time.monotonic() + HOLD_TIMEOUT
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
    """Returns a process; None where it has ended."""
    try:
        fields = _fields(PROC / str(pid) / "stat")
    except OSError:
        return None
    return None if not fields or fields[0] in "ZX" else Process(pid, int(fields[1]), int(fields[19]))


def _fields(stat: Path) -> list[str]:
    """Returns the fields of a file `stat` of proc(5), from the state on: the name before may hold anything.

    Raises OSError.
    """
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
