"""Shows that long work goes on: in one line of a terminal that is replaced, or a line each minute elsewhere."""

import threading
import time
from dataclasses import dataclass, field

from katib.terminal import Output, output, say
from katib.text import duration

TERMINAL_SECONDS, PIPE_SECONDS = 0.5, 60.0


class StillAtWork:
    """Says how long something takes that says nothing itself, until its context ends."""

    def __init__(self, what: str, out: Output | None = None) -> None:
        self._what, self._out = what, out or output()
        self._started = time.monotonic()
        self._end, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> "StillAtWork":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()
        self._clear()

    def note(self, text: str) -> None:
        """Shows a sentence."""
        with self._lock:
            self._clear()
            say(text)

    def _repeat(self) -> None:
        while not self._end.wait(TERMINAL_SECONDS if self._out.live else PIPE_SECONDS):
            line = f"{self._what}, {duration(time.monotonic() - self._started)}"
            with self._lock:
                if self._out.live:
                    self._clear()
                    self._out.console.file.write(line[: self._out.size.columns - 1])
                    self._out.console.file.flush()
                else:
                    say(line)

    def _clear(self) -> None:
        if self._out.live:
            self._out.console.file.write("\r\x1b[K")
            self._out.console.file.flush()


@dataclass
class CopyProgress:
    """The progress of a copy of `total` bytes."""

    total: int
    out: Output = field(default_factory=output)
    done: int = 0
    sent: int = 0
    started: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)

    def __enter__(self) -> "CopyProgress":
        self.begin()
        return self

    def __exit__(self, *exception: object) -> None:
        self._clear()

    def begin(self) -> None:
        """Notes that a connection begins, which first compares what is there."""
        self.done, self.sent, self.started = 0, 0, time.monotonic()

    def advance(self, size: int, *, sent: bool) -> None:
        """Notes that so many more bytes were `sent`, or else compared with what is there already."""
        self.done += size
        self.sent += size if sent else 0
        if time.monotonic() - self.shown < (TERMINAL_SECONDS if self.out.live else PIPE_SECONDS):
            return
        self.shown = time.monotonic()
        if self.out.live:
            self._clear()
            self.out.console.file.write(self.line[: self.out.size.columns - 1])
            self.out.console.file.flush()
        else:
            say(self.line)

    def note(self, text: str) -> None:
        """Shows a sentence."""
        self._clear()
        say(text)

    @property
    def line(self) -> str:
        """How far it is, how fast, and when it ends."""
        rate = self.sent / max(1e-3, time.monotonic() - self.started)
        left = f", {rate / 1e6:.0f} MB/s, about {duration((self.total - self.done) / rate)} left" if rate else ""
        return f"{self.done / 1e9:.2f} of {self.total / 1e9:.2f} GB{left}"

    def _clear(self) -> None:
        if self.out.live:
            self.out.console.file.write("\r\x1b[K")
