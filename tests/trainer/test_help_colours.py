"""The trainer's help on a terminal of somebody who wants no colours (no-color.org)."""

import io

import pytest
import tyro

from trainer.command_line import parse


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("wish", "coloured"), [("1", False), ("", True)])
def test_help_has_colours_unless_nobody_wants_them(monkeypatch: pytest.MonkeyPatch, wish: str, coloured: bool) -> None:
    monkeypatch.setitem(tyro._experimental_options, "ansi_codes", True)
    monkeypatch.setenv("NO_COLOR", wish)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    with pytest.raises(SystemExit, match="0"):
        parse(["fingerprint", "--help"])
    assert "fingerprint" in terminal.getvalue()
    assert ("\x1b[" in terminal.getvalue()) == coloured
