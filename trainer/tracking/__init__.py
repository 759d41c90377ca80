"""Experiment tracking: with Weights & Biases if WANDB_PROJECT is set, or with the trackers in SEPSWEEP_TRACKERS.

tensorboard.py writes TensorBoard's event files. W&B's SDK runs in a process of its own (reporter.py), because it may
block for minutes if its server does not answer. A line on the reporter's stdin says that there is news in the run
directory, and the reporter then reads config.json, summary.json and the examples there. A training therefore waits for
W&B only at its end, and for a limited time. identity.py names the run, and example.py holds the sounds and spectrograms
of a separated mixture.
"""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol, cast

from trainer.errors import ConfigError
from trainer.metric_line import METRIC
from trainer.text import nearest, one_line
from trainer.tracking.example import Signals
from trainer.tracking.tensorboard import EventFile

TRACKERS = "SEPSWEEP_TRACKERS"
"""The environment variable with the names of the trackers, with commas; W&B alone where it is not set."""
WANDB, TENSORBOARD = KNOWN = ("wandb", "tensorboard")
FOLDER = "wandb"
"""Folder in the run directory for everything that W&B writes, and for the reporter's own log."""
LOG = "reporter.log"


class Tracker(Protocol):
    """Receives the numbers of the epochs, in addition to stdout."""

    def update(self) -> None:
        """Reports that summary.json has been written."""

    def best_epoch(self, examples: Callable[[], Sequence[Signals]]) -> None:
        """Reports that this epoch is the best so far; `examples` separates some validation mixtures."""

    def finish(self, exit_code: int, reason: str, seconds: float) -> None:
        """Reports that the process is about to end, and waits at most `seconds`.

        The exit code is 0 where the training is complete; otherwise `reason` says what was wrong.
        """


class NoTracker:
    """Stands in where nothing is tracked, so that no caller needs to check."""

    def update(self) -> None:
        """Does nothing."""

    def best_epoch(self, examples: Callable[[], Sequence[Signals]]) -> None:
        """Does nothing; the examples are not made."""

    def finish(self, exit_code: int, reason: str, seconds: float) -> None:
        """Does nothing."""


def tracker_names(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the trackers that SEPSWEEP_TRACKERS names, in order; W&B where it is not set. Raises ConfigError."""
    text = environment.get(TRACKERS)
    names = (WANDB,) if text is None else tuple(filter(None, (name.strip() for name in text.split(","))))
    for name in names:
        if name not in KNOWN:
            raise ConfigError(f"{TRACKERS} {name[:100]!r}: unknown tracker, {nearest(name, KNOWN)}")
        if names.count(name) > 1:
            raise ConfigError(f"{TRACKERS} {text!r}: {name} is there twice; remove one of the two")
    return names


def open_tracker(run_dir: Path) -> Tracker:
    """Returns the tracker that reports to all those that are wanted and can be started. Raises ConfigError."""
    names = tracker_names(os.environ)
    found = [_open_wandb(run_dir)] if WANDB in names else []
    if TENSORBOARD in names:
        found.append(_Events(run_dir))
    return found[0] if len(found) == 1 else Trackers(found)


def _open_wandb(run_dir: Path) -> Tracker:
    """Returns W&B's tracker if WANDB_PROJECT is set and it can be started; else a NoTracker."""
    if not os.environ.get("WANDB_PROJECT"):
        if TRACKERS in os.environ:
            _say("warning", f"{TRACKERS} has wandb, but WANDB_PROJECT is not set; training continues without W&B")
        return NoTracker()
    if os.environ.get("WANDB_MODE") == "disabled":
        return NoTracker()
    if not _is_installed():
        _say(
            "warning",
            "WANDB_PROJECT is set, but wandb is not installed (pip install wandb); training continues without W&B",
        )
        return NoTracker()
    try:
        return _Reporter(run_dir)
    # The training is worth more than its tracking.
    except OSError as error:
        _say("warning", f"W&B cannot be started ({error}); training continues without it")
        return NoTracker()


class Trackers:
    """Several trackers as one; without any, nothing is tracked."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = trackers

    def update(self) -> None:
        """Tells each."""
        for tracker in self._trackers:
            tracker.update()

    def best_epoch(self, examples: Callable[[], Sequence[Signals]]) -> None:
        """Tells each."""
        for tracker in self._trackers:
            tracker.best_epoch(examples)

    def finish(self, exit_code: int, reason: str, seconds: float) -> None:
        """Tells each; W&B alone takes time."""
        for tracker in self._trackers:
            tracker.finish(exit_code, reason, seconds)


class _Events(NoTracker):
    """TensorBoard's event file, as the training sees it: what fails is a warning, once."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._file: EventFile | None = None
        self._failed = False

    def update(self) -> None:
        if self._failed:
            return
        try:
            self._file = self._file or EventFile(self._run_dir)
            self._file.catch_up()
        # The training is worth more than its tracking.
        except (OSError, ValueError, KeyError) as error:
            self._failed = True
            _say("warning", f"TensorBoard's event file cannot be written ({error}); training continues without it")

    def finish(self, exit_code: int, reason: str, seconds: float) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()


def _is_installed() -> bool:
    """Returns whether the package is installed; a folder wandb/ of runs in the current directory does not count."""
    spec = importlib.util.find_spec("wandb")
    return spec is not None and spec.origin is not None


class _Reporter:
    """The reporter's process, as the training sees it."""

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
                # Ctrl-C is for the training, which then tells the reporter.
                start_new_session=True,
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
            _say("warning", f"examples for W&B cannot be written ({error}); training continues")
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
                f"W&B did not finish within {seconds:.0f} s and was stopped; send what is missing with "
                f"`wandb sync {self._run_dir / FOLDER}/*run-*`",
            )
        self._relay()
        self._output.close()

    def _tell(self, line: str) -> None:
        # A full pipe holds thousands of lines that say the same, and the reporter itself reports a closed one.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._input.fileno(), line.encode())
        self._relay()

    def _relay(self) -> None:
        """Prints the reporter's messages.

        The training's own thread does that, so that no message can come between a metric line and its end.
        """
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._output.fileno(), 65536):
                self._read += part
        *lines, self._read = self._read.split(b"\n")
        for line in lines:
            kind, _, text = line.decode(errors="replace").partition(" ")
            self._warned = self._warned or kind == "warning"
            _say(kind, text)
        # It may have ended before it could say why, for example at an import.
        if self._process.poll() and not self._warned:
            self._warned = True
            log = self._run_dir / FOLDER / LOG
            _say("warning", f"W&B cannot be started ({_last_line(log)}, see {log}); training continues without it")


def _last_line(file: Path) -> str:
    try:
        return (file.read_text(errors="replace").splitlines() or ["no message"])[-1].strip()
    except OSError as error:
        return str(error.strerror)


def _say(kind: str, text: str) -> None:
    """Prints one line: a warning on stderr, anything else on stdout.

    W&B's text may contain the metric's name, which would confuse Katib's collector, or the API key.
    """
    for secret in filter(None, (os.environ.get("WANDB_API_KEY"),)):
        text = text.replace(secret, "…")
    text = one_line(text).replace(METRIC, "the metric")
    if kind == "warning":
        print(f"warning: {text}", file=sys.stderr, flush=True)
    else:
        print(text, flush=True)
