"""Ctrl-C, and a stdout that takes nothing or is not there: one line at most, and no trace, in whatever verb."""

import os
import pty
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


PROGRAMS = {"katib": "katib.run()", "trainer": "guard.guarded(main)"}


@pytest.mark.parametrize("module", PROGRAMS)
@pytest.mark.parametrize("terminal", [False, True])
def test_a_locale_without_the_characters_is_no_trace(module: str, terminal: bool, tmp_path: Path) -> None:
    script = tmp_path / "late.py"
    script.write_text(
        "import sys, katib.__main__ as katib, trainer.guard as guard\n"
        "def main(words):\n"
        "    print('0.1 \\u00b1 0.2 \\udcff')\n"
        "    return 0\n"
        "katib.main = main\n"
        f"sys.exit({PROGRAMS[module]})\n"
    )
    ours, theirs = pty.openpty() if terminal else os.pipe()
    done = subprocess.run(
        [sys.executable, str(script)],
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.read(ours, 100).split() == (b"0.1 ? 0.2 ?" if terminal else "0.1 ± 0.2 ?".encode()).split()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("module", PROGRAMS)
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_devnull_and_never_the_number_of_a_file(module: str, closed: str, tmp_path: Path) -> None:
    """A file that got the number of stdout or stderr would hold what is printed there."""
    script = tmp_path / "late.py"
    script.write_text(
        "import os, sys, katib.__main__ as katib, trainer.guard as guard\n"
        "def main(words):\n"
        "    with open(sys.argv[1], 'wb', buffering=0) as file:\n"
        "        print('to stdout', flush=True)\n"
        "        print('to stderr', file=sys.stderr, flush=True)\n"
        "        sys.stdin.read()\n"
        "        file.write(str(file.fileno() > 2).encode())\n"
        "    return 0\n"
        "katib.main = main\n"
        f"sys.exit({PROGRAMS[module]})\n"
    )
    out = tmp_path / "out"
    command = f'exec "$0" "$1" "$2" {closed}'
    words = ["sh", "-c", command, sys.executable, str(script), str(out)]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    assert (done.returncode, out.read_text()) == (0, "True")
