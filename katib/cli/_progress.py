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
        _clear(self._out)

    def note(self, text: str) -> None:
        """Shows a sentence."""
        with self._lock:
            _clear(self._out)
            say(text)

    def _repeat(self) -> None:
        while not self._end.wait(_pause(self._out)):
            with self._lock:
                _show(self._out, f"{self._what}, {duration(time.monotonic() - self._started)}")


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
        _clear(self.out)

    def begin(self) -> None:
        """Notes that a connection begins, which first compares what is there."""
        self.done, self.sent, self.started = 0, 0, time.monotonic()

    def advance(self, size: int, *, sent: bool) -> None:
        """Notes that so many more bytes were `sent`, or else compared with what is there already."""
        self.done += size
        self.sent += size if sent else 0
        if time.monotonic() - self.shown >= _pause(self.out):
            self.shown = time.monotonic()
            _show(self.out, self.line)

    def note(self, text: str) -> None:
        """Shows a sentence."""
        _clear(self.out)
        say(text)

    @property
    def line(self) -> str:
        """How far it is, how fast, and when it ends."""
        rate = self.sent / max(1e-3, time.monotonic() - self.started)
        left = f", {rate / 1e6:.0f} MB/s, about {duration((self.total - self.done) / rate)} left" if rate else ""
        return f"{self.done / 1e9:.2f} of {self.total / 1e9:.2f} GB{left}"


def _pause(out: Output) -> float:
    """Returns the seconds between two lines."""
    return TERMINAL_SECONDS if out.live else PIPE_SECONDS


def _show(out: Output, line: str) -> None:
    """Shows a line, on a terminal in place of the one before."""
    if out.live:
        _clear(out)
        out.console.file.write(line[: out.size.columns - 1])
        out.console.file.flush()
    else:
        say(line)


def _clear(out: Output) -> None:
    if out.live:
        out.console.file.write("\r\x1b[K")
        out.console.file.flush()
