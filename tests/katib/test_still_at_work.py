"""Work that says nothing itself is shown: in one line of a terminal, and a line now and then in a log."""

import re
import time

import pytest

from katib.cli import _progress
from katib.cli._progress import StillAtWork
from katib.terminal import output
from tests.verbs import Terminal


def test_a_log_has_a_line_now_and_then_and_notes_between(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "PIPE_SECONDS", 0.05)
    with StillAtWork("pushes") as work:
        time.sleep(0.2)
        work.note("pushed: x")
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("pushes, 0 s") >= 2
    assert "pushed: x" in lines


def test_a_terminal_has_one_line_that_is_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "TERMINAL_SECONDS", 0.05)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with StillAtWork("pushes", output(terminal)) as work:
        time.sleep(0.2)
        work.note("pushed: x")
    written = terminal.getvalue()
    assert re.search(r"(\r\x1b\[Kpushes, 0 s){2}", written)
    assert written.endswith("\r\x1b[K")
    assert "\n" not in written
    assert capsys.readouterr().out == "pushed: x\n"
