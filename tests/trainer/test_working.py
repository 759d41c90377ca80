"""Long work shows how far it is: a line now and then in a log, a bar on a terminal."""

import io
import sys

import pytest

from trainer.data.working import Lines, shown


def test_a_log_has_a_line_after_10_s_and_one_a_minute_with_the_time_left() -> None:
    now, out = [0.0], io.StringIO()
    lines = Lines("train", out, lambda: now[0])
    for second in range(141):
        now[0] = float(second)
        lines.take("packs", 10 * second, 2000)
    now[0] = 190.0
    lines.take("reads back", 0, 2000)
    now[0] = 260.0
    lines.take("waits", 0, 0)
    assert out.getvalue().splitlines() == [
        "train: packs, 100 of 2000, about 190 s left",
        "train: packs, 700 of 2000, about 130 s left",
        "train: packs, 1300 of 2000, about 70 s left",
        "train: reads back, 0 of 2000",
        "train: waits",
    ]


@pytest.mark.parametrize("errors", [False, True])
def test_a_terminal_has_a_bar_on_the_stream_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, errors: bool) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    streams = {"stdout": Terminal(), "stderr": Terminal()}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setenv("TERM", "xterm")
    with shown("train", errors=errors) as progress:
        progress("packs", 0, 0)
        progress("packs", 3, 4)
    used, other = ("stderr", "stdout") if errors else ("stdout", "stderr")
    assert "train: packs" in streams[used].getvalue()
    assert streams[other].getvalue() == ""
