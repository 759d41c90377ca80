"""status -w on a real pseudo-terminal of 80 by 24: four searches turn by pages, and no frame is larger than it."""

import os
import pty
import re
import termios
import threading
from typing import Any

import pytest
from rich.cells import cell_len

from katib.backend.cluster import watching
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.status import Curves
from katib.terminal import output
from tests.katib.backend.cluster.test_status import Logs
from tests.katib.backend.cluster.test_status_screen import series

FRAMES = 12


class Still(Informer):
    """An informer to which nothing happens, until it is interrupted."""

    def __init__(self) -> None:
        self.looks = 0

    @property
    def problem(self) -> None:
        """Nothing."""

    def objects(self) -> dict[Any, Any]:
        return {}

    def wait(self, seconds: float) -> bool:
        self.looks += 1
        if self.looks == FRAMES:
            raise KeyboardInterrupt
        return False


def test_four_searches_turn_by_pages_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    seconds = iter(range(10_000))
    monkeypatch.setattr(watching, "progress_of", lambda *_: series(12))
    monkeypatch.setattr(watching, "PAGE_SECONDS", 1.0)
    monkeypatch.setattr("katib.backend.cluster.watching.time.monotonic", lambda: float(next(seconds)))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    written = bytearray()

    def read() -> None:
        try:
            while part := os.read(ours, 65536):
                written.extend(part)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal, pytest.raises(KeyboardInterrupt):
        watching._draw(Logs(""), Still(), Curves(), None, output(terminal), None)
    reader.join(10)
    os.close(ours)
    text = written.decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert all(cell_len(line) <= 80 for line in re.split(r"[\r\n]+", plain))
    assert max(frame.count("A") for frame in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", text)) < 24
    pages = [int(number) for number in re.findall(r"page (\d+) of \d+", plain)]
    assert len(set(pages)) == int(re.findall(r"page \d+ of (\d+)", plain)[0]) > 2
    for model in ("convtasnet", "dprnn", "sepformer", "spmamba"):
        assert re.search(rf"series3-{model}  Running  \d+ of 17 trials ended, \d+ (running|waiting)", plain)
