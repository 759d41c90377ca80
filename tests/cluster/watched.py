"""Runs a verb that continues until it is interrupted, as a process whose output is watched."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from types import TracebackType

PATIENCE = 300.0
"""Seconds for a verb to print something that it prints within a few."""


class Watched:
    """`python -m katib WORDS` with its output on a pipe or a `terminal`, as a context manager."""

    def __init__(self, *words: str, terminal: bool = False) -> None:
        self._output, theirs = pty.openpty() if terminal else os.pipe()
        if terminal:
            termios.tcsetwinsize(theirs, (40, 80))
        command = [sys.executable, "-m", "katib", *words]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.printed = ""
        self._seen = 0

    def until(self, text: str) -> None:
        """Waits until `text` has been printed after what was waited for before."""
        end = time.monotonic() + PATIENCE
        while (place := self.printed.find(text, self._seen)) < 0:
            ready = select.select([self._output], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, f"{text!r} was not printed: {self.printed}"
            part = self._read()
            assert part, f"{text!r} was not printed before the verb ended: {self.printed}"
            self.printed += part
        self._seen = place + len(text)

    def interrupt(self) -> int:
        """Interrupts the process like Ctrl-C, and returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        while part := self._read():
            self.printed += part
        return self._process.wait(PATIENCE)

    def _read(self) -> str:
        try:
            return os.read(self._output, 1 << 16).decode(errors="replace")
        except OSError:  # how a terminal says that nobody writes any more
            return ""

    def __enter__(self) -> "Watched":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._output)
