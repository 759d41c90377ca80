"""The trainer in the container beside this one: found, watched and ended through the pod's shared process namespace.

Katib's webhook turns a trial's command into `sh -c "COMMAND 1>FILE 2>&1 … && echo completed > DIR/$$.pid"`, so the shell's
end and what it leaves in DIR/<its id>.pid say how the training ended (webhook/v1beta1/pod/utils.go). Called by watch.py.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
COMPLETED, EARLY_STOPPED = "completed", "early-stopped"


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

        False where there is nothing to stop. Raises OSError where the mark cannot be written, or its user is another
        one's, which a container-level runAsUser makes of it.
        """
        children = self._children()
        if self.shell is None or not children:
            return False
        mark = self._mark(self.shell.pid)
        mark.write_text(f"{EARLY_STOPPED}\n")
        stopped = False
        try:
            mark.chmod(0o666)  # the shell writes into it next
            stopped = self._signal(signal.SIGTERM)
        finally:
            if not stopped:
                mark.unlink(missing_ok=True)
        return stopped

    def kill(self) -> bool:
        """End a trainer that has not ended when asked. Whether there was one."""
        return self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> bool:
        reached = False
        for child in self._children():
            try:
                os.kill(child.pid, number)
            except ProcessLookupError:
                continue
            reached = True
        return reached

    def _children(self) -> list[Process]:
        return [process for process in _processes() if process.parent == self.shell.pid] if self.shell else []

    def _find(self) -> Process | None:
        """The wrapper's shell; not the copy of itself that it makes for a moment before it starts the trainer."""
        found = {process.pid: process for process in _processes() if self._wrapper in _command(process.pid)}
        found.pop(os.getpid(), None)
        return next((process for process in found.values() if process.parent not in found), None)

    def _mark(self, pid: int) -> Path:
        return self._folder / f"{pid}.pid"

    def _marks(self) -> list[Path]:
        return sorted(self._folder.glob("*.pid"))


def _processes() -> list[Process]:
    ids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]
    return [process for pid in ids if (process := _process(pid))]


def _process(pid: int) -> Process | None:
    """From /proc/PID/stat (proc(5)); the name in its second field may hold anything. None where it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if not fields or fields[0] in "ZX" else Process(pid, int(fields[1]), int(fields[19]))


def _command(pid: int) -> bytes:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""
