"""Experiment tracking with Weights & Biases where WANDB_PROJECT is set, and nothing where it is not.

W&B's SDK runs in a process of its own (trainer/tracking/reporter.py), because it may block for minutes where its server
does not answer. The two meet in the run directory: the reporter reads config.json, summary.json and the examples there,
whenever the training says by a line on its stdin that there is something new. So a training never waits for W&B but at
its end, and there for a limited time. Called by the epoch loop.
"""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Protocol, cast

from trainer.tracking.example import Signals
from trainer.training.metric_line import METRIC

FOLDER = "wandb"
"""In the run directory: all that W&B writes, and the reporter's own log."""
LOG = "reporter.log"


class Tracker(Protocol):
    """Where the epochs' numbers go beside stdout."""

    def update(self) -> None:
        """summary.json has been written."""

    def best_epoch(self, examples: Callable[[], Sequence[Signals]]) -> None:
        """The epoch under way is the best so far; `examples` separates some of its validation mixtures."""

    def finish(self, exit_code: int, reason: str, seconds: float) -> None:
        """The process is about to end; 0 where the training is complete, else `reason` says what was wrong.

        Waits for at most `seconds`.
        """


class NoTracker:
    """Stands in where nothing is tracked, so that nobody has to ask."""

    def update(self) -> None:
        """Nothing to do."""

    def best_epoch(self, examples: Callable[[], Sequence[Signals]]) -> None:
        """Nothing to do; the examples are not made."""

    def finish(self, exit_code: int, reason: str, seconds: float) -> None:
        """Nothing to do."""


def open_tracker(run_dir: Path) -> Tracker:
    """W&B's tracker where WANDB_PROJECT asks for it and it can be started."""
    if not os.environ.get("WANDB_PROJECT") or os.environ.get("WANDB_MODE") == "disabled":
        return NoTracker()
    if not _is_installed():
        _say(
            "warning",
            "WANDB_PROJECT is set, but wandb is not installed (pip install wandb); training continues without W&B",
        )
        return NoTracker()
    try:
        return _Reporter(run_dir)
    except OSError as error:  # the training is worth more than its tracking
        _say("warning", f"W&B cannot be started ({error}); training continues without")
        return NoTracker()


def _is_installed() -> bool:
    """Returns whether there is such a package; a folder of runs in the current directory, called wandb too, is none."""
    spec = importlib.util.find_spec("wandb")
    return spec is not None and spec.origin is not None


class _Reporter:
    """The reporter's process, seen from the training."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        folder = run_dir / FOLDER
        folder.mkdir(exist_ok=True)
        with (folder / LOG).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trainer.tracking.reporter", str(run_dir), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the training, which then tells the reporter
            )
        self._input = cast(IO[bytes], self._process.stdin)
        self._output = cast(IO[bytes], self._process.stdout)
        os.set_blocking(self._input.fileno(), False)
        os.set_blocking(self._output.fileno(), False)
        self._read = b""
        self._warned = False

    def update(self) -> None:
        self._tell("\n")

    def best_epoch(self, examples: Callable[[], Sequence[Signals]]) -> None:
        try:
            for number, example in enumerate(examples(), start=1):
                example.write(self._run_dir / FOLDER / f"example-{number}.wav")
        except OSError as error:
            _say("warning", f"examples for W&B cannot be written ({error}); training goes on")
        self._tell("\n")

    def finish(self, exit_code: int, reason: str, seconds: float) -> None:
        self._tell(json.dumps({"exit_code": exit_code, "reason": reason}) + "\n")
        self._input.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._warned = True
            _say(
                "warning",
                f"W&B did not come to its end in {seconds:.0f} s and was left; what is missing there can be sent "
                f"with `wandb sync {self._run_dir / FOLDER}/*run-*`",
            )
        self._relay()
        self._output.close()

    def _tell(self, line: str) -> None:
        # A full pipe holds thousands of lines that say the same, one that is closed is told of by the reporter.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._input.fileno(), line.encode())
        self._relay()

    def _relay(self) -> None:
        """Print what the reporter has to say.

        Done by the training's own thread, so that no line of it can come between a metric line and its end.
        """
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._output.fileno(), 65536):
                self._read += part
        *lines, self._read = self._read.split(b"\n")
        for line in lines:
            kind, _, text = line.decode(errors="replace").partition(" ")
            self._warned = self._warned or kind == "warning"
            _say(kind, text)
        if self._process.poll() and not self._warned:  # it ended before it could say why, for example at an import
            self._warned = True
            log = self._run_dir / FOLDER / LOG
            _say("warning", f"W&B cannot be started ({_last_line(log)}, see {log}); training continues without")


def _last_line(file: Path) -> str:
    try:
        return (file.read_text(errors="replace").splitlines() or ["without a word"])[-1].strip()
    except OSError as error:
        return str(error.strerror)


def _say(kind: str, text: str) -> None:
    """One line: a warning on stderr, anything else on stdout.

    W&B's words may hold the metric's name, which Katib's collector would trip over, or the key.
    """
    for secret in filter(None, (os.environ.get("WANDB_API_KEY"),)):
        text = text.replace(secret, "…")
    text = " ".join(text.split()).replace(METRIC, "the metric")
    if kind == "warning":
        print(f"warning: {text}", file=sys.stderr, flush=True)
    else:
        print(text, flush=True)
