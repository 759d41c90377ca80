"""Work that says nothing itself is shown: in one line of a terminal, and a line now and then in a log."""

import re
import time
from collections.abc import Callable

import pytest

from katib.cli import _progress
from katib.cli._progress import StillAtWork
from katib.terminal import output
from tests.verbs import SECONDS, Terminal


def wait_until(holds: Callable[[], object]) -> None:
    """Returns as soon as it holds; fails where it never does."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_log_has_a_line_now_and_then_and_notes_between(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "PIPE_SECONDS", 0.05)
    shown: list[str] = []
    with StillAtWork("pushes") as work:
        wait_until(lambda: shown.extend(capsys.readouterr().out.splitlines()) or len(shown) >= 2)
        work.note("pushed: x")
    assert all(re.fullmatch(r"pushes, \d+ s", line) for line in shown)
    assert "pushed: x" in capsys.readouterr().out.splitlines()


def test_a_terminal_has_one_line_that_is_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "TERMINAL_SECONDS", 0.05)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with StillAtWork("pushes", output(terminal)) as work:
        wait_until(lambda: re.search(r"(\r\x1b\[Kpushes, \d+ s){2}", terminal.getvalue()))
        work.note("pushed: x")
    written = terminal.getvalue()
    assert written.endswith("\r\x1b[K")
    assert "\n" not in written
    assert capsys.readouterr().out == "pushed: x\n"
