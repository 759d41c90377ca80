"""Ctrl-C, and a stdout that takes nothing: one line at most, and no trace, in whatever verb."""

import subprocess
import sys
from pathlib import Path

import pytest

import katib.__main__ as program
from trainer.guard import guarded

ROOT = Path(__file__).parents[2]
STOPPED = "error: stopped by Ctrl-C; the same command begins again, or goes on\n"


def interrupted(_: object) -> int:
    """Is stopped while it loads its libraries, which takes seconds."""
    raise KeyboardInterrupt


def test_ctrl_c_while_a_verb_loads_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "_module", interrupted)
    monkeypatch.setattr(sys, "argv", ["katib", "demo"])
    assert (program.run(), capsys.readouterr().err) == (130, STOPPED)


def test_ctrl_c_in_a_program_of_the_trainer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert (guarded(interrupted), capsys.readouterr().err) == (130, STOPPED)


@pytest.mark.parametrize("words", [["--help"], ["check", "--help"], ["render", "demo"]])
def test_a_stdout_that_is_full_or_closed_is_no_trace(words: list[str]) -> None:
    command = [sys.executable, "-m", "katib", *words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    line = "error: stdout cannot be written (No space left on device); make room, or name a file\n"
    assert (done.returncode, done.stderr) == (1, line)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
