"""The process in which W&B's SDK runs: `python -m trainer.tracking.reporter RUN_DIR PID`, started by the tracker.

It reports the run directory of the training whose process is PID: what defines the training, its history from the first
epoch on, and examples of the best epoch. A line on stdin says that summary.json has been written, a line of JSON that
the training ends; stdin's end without one, that it was killed. Where there is no key, or no server answers, the run is
kept in the run directory, to be sent later.
"""

import contextlib
import io
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import wandb

from trainer.tracking import FOLDER
from trainer.tracking.example import CHANNELS, Signals, spectrograms
from trainer.tracking.identity import run_id, run_name
from trainer.training.metric_line import METRIC
from trainer.training.run_directory import CONFIG, SUMMARY

URL = "url"
"""In W&B's folder: the address of the run, for whoever reads results."""
START_SECONDS = 30
PROBE_SECONDS = 5
END_SECONDS = 60
"""After the training was killed; where it ends by itself it says how long it waits, by killing this process."""

STATES = {2: "bad input", 3: "diverged", 4: "out of memory", 5: "data fault", 137: "killed"}
FACTS = ("state", "reason", "best_epoch", "mixture_val_si_snr", "nonfinite_batches")
"""Of summary.json, in the run's own summary."""
STOPPED = (130, 143)
"""By Ctrl-C or SIGTERM, for example by the search: no failure."""


def main(run_dir: Path, training: int, offline: bool) -> int:
    """Report `run_dir` until the training ends."""
    tell = _Voice()
    try:
        return _report(run_dir, training, offline, tell)
    except Exception as error:  # whatever W&B may raise, and a disk that is full
        tell("warning", f"W&B failed ({type(error).__name__}: {error}); training goes on without")
        return 1


def _report(run_dir: Path, training: int, offline: bool, tell: "_Voice") -> int:
    # Not buffered, so that what has not been read is still there for the program that is called below.
    news = io.FileIO(0, closefd=False)
    if not offline and news.readline().strip():
        return 0  # it ended before there was a summary
    offline = offline or not _asked_online() or not _server_answers(tell)
    try:
        with _limit(START_SECONDS):
            run = _start(run_dir, training, offline)
    except Exception as error:
        if offline:
            raise
        # Not in this process, whose SDK may still hang in what it was doing.
        tell("warning", f"W&B cannot be started ({error}); it goes on offline")
        tell.hand_on()
        again = [sys.executable, "-m", "trainer.tracking.reporter", str(run_dir), str(training), "offline"]
        os.execv(sys.executable, again)  # noqa: S606 - the same program
    if run.settings.mode == "offline":
        tell("note", f"W&B offline: send it later with `wandb sync {Path(run.dir).parent}`")
    elif run.url:
        tell("note", f"W&B: {run.url}")
        (run_dir / FOLDER / URL).write_text(run.url)
    reporter = _Reporter(run, run_dir)
    reporter.catch_up()
    for line in news:
        if line.strip():
            end = json.loads(line)
            break
        reporter.catch_up()
    else:
        end = {"exit_code": 137, "reason": "the process is gone without a word: killed, or out of memory"}
        _leave_after(END_SECONDS)
    reporter.finish(**end)
    return 0


class _Reporter:
    """What of the run directory W&B has been told."""

    def __init__(self, run: wandb.Run, run_dir: Path) -> None:
        self._run, self._run_dir = run, run_dir
        # Epochs that the server has from before a resume: its steps are epochs, and this is the next one.
        self._done = max(0, run.starting_step - 1)
        self._told: dict[str, int] = {}
        self._facts: dict[str, Any] = {}
        run.define_metric(METRIC, summary="max")

    def catch_up(self) -> None:
        """Tell what is new."""
        summary = json.loads((self._run_dir / SUMMARY).read_text())
        for record in summary["history"]:
            if record["epoch"] > self._done:
                self._done = record["epoch"]
                self._run.log(_flat(record), step=record["epoch"])
        if examples := self._new_examples():
            self._run.log(examples, step=self._done)
        facts = {name: summary[name] for name in FACTS}
        if facts != self._facts:
            self._facts = facts
            self._run.summary.update(facts)

    def finish(self, exit_code: int, reason: str) -> None:
        """The last words; an alert where the training failed."""
        self.catch_up()
        if exit_code and exit_code not in STOPPED:
            state = STATES.get(exit_code, "failed")
            self._run.alert(f"{self._run.name}: {state}", reason or state, "ERROR")
        self._run.finish(exit_code)

    def _new_examples(self) -> dict[str, Any]:
        """Sounds and pictures of the examples that have changed; of mixture and targets, which do not, once."""
        media: dict[str, Any] = {}
        for file in sorted((self._run_dir / FOLDER).glob("example-*.wav")):
            written = file.stat().st_mtime_ns
            if self._told.get(file.stem) == written:
                continue
            first = file.stem not in self._told
            self._told[file.stem] = written
            example = Signals.read(file)
            pictures = spectrograms(example.signals)
            for channel, name in enumerate(CHANNELS):
                if first or name.startswith("estimate"):
                    sound = wandb.Audio(example.signals[channel], example.rate, f"{example.title}: {name}")
                    picture = wandb.Image(pictures[channel], caption=f"{example.title}: {name}")
                    media |= {f"{file.stem}/{name}": sound, f"{file.stem}/{name} spectrogram": picture}
        return media


def _start(run_dir: Path, training: int, offline: bool) -> wandb.Run:
    summary = json.loads((run_dir / SUMMARY).read_text())
    config = json.loads((run_dir / CONFIG).read_text())
    return wandb.init(
        id=run_id(run_dir, run_dir / FOLDER, os.environ),
        name=run_name(run_dir, os.environ),
        dir=run_dir,
        config=config | {"epochs": summary["epochs"], "parameters": summary["parameters"]},
        resume=None if offline else "allow",
        mode="offline" if offline else None,
        settings=wandb.Settings(
            silent=True,
            console="off",
            init_timeout=START_SECONDS,
            x_stats_pid=training,  # whose use of the GPU is measured
            x_save_requirements=False,
            disable_git=True,
            save_code=False,
        ),
    )


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Returns an epoch as W&B's charts have it: numbers by name."""
    numbers = {name: value for name, value in record.items() if isinstance(value, int | float)}
    variants = {f"{METRIC}_{variant}": value for variant, value in record["variants"].items()}
    rate = record["mixtures"] / record["seconds"] if record["seconds"] else 0.0
    return numbers | variants | {"val_loss": -record[METRIC], "mixtures_per_second": rate}


def _asked_online() -> bool:
    """By a key, or by WANDB_MODE where the key lies in W&B's own files."""
    mode = os.environ.get("WANDB_MODE")
    return mode != "offline" and bool(mode or os.environ.get("WANDB_API_KEY"))


def _server_answers(tell: "_Voice") -> bool:
    """Returns whether W&B's server says anything at all.

    Its SDK does not come back from a host that it cannot reach.
    """
    url = wandb.setup().settings.base_url
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS):  # noqa: S310 - the user's own setting
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError) as error:
        tell("warning", f"W&B's server {url} cannot be reached ({error}); it goes on offline")
        return False


class _Voice:
    """What is meant for the training's output. W&B's own prints go to the log, whatever they are printed with."""

    def __init__(self) -> None:
        self._output = os.dup(1)
        os.dup2(2, 1)

    def __call__(self, kind: str, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._output, f"{kind} {' '.join(text.split())}\n".encode())

    def hand_on(self) -> None:
        """Back to where it was, for another program in this process."""
        os.dup2(self._output, 1)


@contextlib.contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def raise_timeout(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"no answer in {seconds} s")

    signal.signal(signal.SIGALRM, raise_timeout)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def _leave_after(seconds: float) -> None:
    timer = threading.Timer(seconds, lambda: os._exit(1))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), offline=sys.argv[3:] == ["offline"]))
