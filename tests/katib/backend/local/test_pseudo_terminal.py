"""A search on a real pseudo-terminal of 80 by 24: no line is wrapped, nothing scrolls that is to be replaced."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

from rich.cells import cell_len

from tests.katib.backend.local.rig import Rig, as_text, script
from tests.verbs import environment


def shown(rig: Rig, search: dict[str, object], columns: int = 80, lines: int = 24) -> tuple[str, int]:
    """Returns all that a search writes to a terminal, and its exit code."""
    path = rig.folder / "search.yaml"
    path.write_text(as_text(search))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    env = {name: value for name, value in environment().items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "katib", "local", str(path), "--out", str(rig.out)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=env | {"TERM": "xterm", "PYTHONUTF8": "1"}
    ) as process:
        os.close(theirs)
        written = b""
        while part := _read(ours):
            written += part
    os.close(ours)
    return written.decode(), process.returncode


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""


def test_a_search_of_24_trials_fits_80_columns_and_24_rows(rig: Rig) -> None:
    values = tuple(map(str, range(1, 25)))
    search = script("for epoch in 1 2 3 4 5 6; do echo val_si_snr=$X.$epoch; done", values=values)
    search["spec"]["parallelTrialCount"] = 4
    written, code = shown(rig, search)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert all(cell_len(line) <= 80 for line in re.split(r"[\r\n]+", plain))
    # A frame is erased line by line upwards: never more lines than the terminal has.
    ups = [match.count("A") for match in re.findall(r"(?:\x1b\[1A\x1b\[2K)+", written)]
    assert max(ups) < 24
    heads = re.findall(r"test: (\d+) of 24 trials ended, (\d+) running", plain)
    assert heads
    assert any(int(ended) > 18 and int(running) > 0 for ended, running in heads)
    assert re.search(r"and \d+ more: .*; page \d of \d, next in", plain.replace("\r\n", " "))
    assert re.search(r" Succeeded +6 +\d+\.\d\d dB +\d+ s  [▁▂▃▄▅▆▇█]{6}  ", plain)
