"""The process in which W&B's SDK runs: `python -m trainer.tracking.reporter RUN_DIR PID`.

It reports the run directory of the training with process id PID: what defines the training, its history from the first
epoch on, and examples of the best epoch. An empty line on stdin says that summary.json has been written, a line of JSON
that the training ends; the end of stdin without one, that it was killed. Without a key, or if no server answers, the
run is kept in the run directory, to be sent later.
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

import wandb

from trainer.metric_line import METRIC
from trainer.run_files import CONFIG, SUMMARY
from trainer.tracking import FOLDER
from trainer.tracking.epoch import chart_numbers
from trainer.tracking.example import CHANNELS, Signals, spectrograms
from trainer.tracking.identity import run_id, run_name

URL = "url"
"""File in W&B's folder with the address of the run, for those who read results."""
START_SECONDS = 30
PROBE_SECONDS = 5
END_SECONDS = 60
"""Time to end after the training was killed. A training that ends by itself stops waiting by killing this process."""

STATES = {2: "bad input", 3: "diverged", 4: "out of memory", 5: "data fault", 137: "killed"}
FACTS = ("state", "reason", "best_epoch", "mixture_val_si_snr", "nonfinite_batches")
"""Fields of summary.json that go into the run's own summary."""
STOPPED = (130, 143)
"""Exit codes after Ctrl-C and SIGTERM, for example from the search; neither is a failure."""


def main(run_dir: Path, training: int, offline: bool) -> int:
    """Reports `run_dir` until the training ends, and returns the exit code."""
    say = _Output()
    try:
        return _report(run_dir, training, offline, say)
    # Whatever W&B may raise, and a full disk.
    except Exception as error:
        say("warning", f"W&B failed ({type(error).__name__}: {error}); training continues without it")
        return 1


def _report(run_dir: Path, training: int, offline: bool, say: "_Output") -> int:
    """Starts the run and reports until the training ends; returns the exit code."""
    # Not buffered, so that the program that is started below can still read what is left.
    news = io.FileIO(0, closefd=False)
    # A line of JSON at once means that the training ended before there was a summary.
    if not offline and news.readline().strip():
        return 0
    offline = offline or not _is_online() or not _server_answers(say)
    try:
        with _limit(START_SECONDS):
            run = _start(run_dir, training, offline)
    except Exception as error:
        if offline:
            raise
        # The SDK of this process may still hang, so the program starts again.
        say("warning", f"W&B cannot be started ({error}); it continues offline")
        say.restore()
        again = [sys.executable, "-m", "trainer.tracking.reporter", str(run_dir), str(training), "offline"]
        os.execv(sys.executable, again)  # noqa: S606 - the same program
    if run.settings.mode == "offline":
        say("note", f"W&B offline: send the run later with `wandb sync {Path(run.dir).parent}`")
    elif run.url:
        say("note", f"W&B: {run.url}")
        (run_dir / FOLDER / URL).write_text(run.url)
    reporter = _Reporter(run, run_dir)
    reporter.catch_up()
    for line in news:
        if line.strip():
            end = json.loads(line)
            break
        reporter.catch_up()
    else:
        end = {"exit_code": 137, "reason": "the process ended without a message: killed, or out of memory"}
        _leave_after(END_SECONDS)
    reporter.finish(**end)
    return 0


class _Reporter:
    """Keeps track of what W&B has of the run directory."""

    def __init__(self, run: wandb.Run, run_dir: Path) -> None:
        self._run, self._run_dir = run, run_dir
        # The server has these epochs from before a resume: its steps are epochs, and starting_step is the next one.
        self._done = max(0, run.starting_step - 1)
        self._sent: dict[str, int] = {}
        self._facts: dict[str, object] = {}
        run.define_metric(METRIC, summary="max")

    def catch_up(self) -> None:
        """Reports everything new in the run directory."""
        summary = json.loads((self._run_dir / SUMMARY).read_text())
        for record in summary["history"]:
            if record["epoch"] > self._done:
                self._done = record["epoch"]
                self._run.log(chart_numbers(record), step=record["epoch"])
        if examples := self._new_examples():
            self._run.log(examples, step=self._done)
        facts = {name: summary[name] for name in FACTS}
        if facts != self._facts:
            self._facts = facts
            self._run.summary.update(facts)

    def finish(self, exit_code: int, reason: str) -> None:
        """Reports the end of the training, with an alert if it failed."""
        self.catch_up()
        if exit_code and exit_code not in STOPPED:
            state = STATES.get(exit_code, "failed")
            self._run.alert(f"{self._run.name}: {state}", reason or state, "ERROR")
        self._run.finish(exit_code)

    def _new_examples(self) -> dict[str, object]:
        """Returns sounds and pictures of the changed examples; of mixture and targets, which never change, once."""
        media: dict[str, object] = {}
        for file in sorted((self._run_dir / FOLDER).glob("example-*.wav")):
            written = file.stat().st_mtime_ns
            if self._sent.get(file.stem) == written:
                continue
            first = file.stem not in self._sent
            self._sent[file.stem] = written
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
            # The process whose use of the GPU is measured.
            x_stats_pid=training,
            x_save_requirements=False,
            disable_git=True,
            save_code=False,
        ),
    )


def _is_online() -> bool:
    """Returns whether a key is set, or WANDB_MODE, where the key is in W&B's own files."""
    mode = os.environ.get("WANDB_MODE")
    return mode != "offline" and bool(mode or os.environ.get("WANDB_API_KEY"))


def _server_answers(say: "_Output") -> bool:
    """Returns whether W&B's server answers at all; the SDK would hang on a host that it cannot reach."""
    url = wandb.setup().settings.base_url
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS):  # noqa: S310 - the user's own setting
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError) as error:
        say("warning", f"W&B's server {url} cannot be reached ({error}); it continues offline")
        return False


class _Output:
    """Writes messages for the training's output; everything that W&B itself prints goes to the log."""

    def __init__(self) -> None:
        self._output = os.dup(1)
        os.dup2(2, 1)

    def __call__(self, kind: str, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._output, f"{kind} {' '.join(text.split())}\n".encode())

    def restore(self) -> None:
        """Restores stdout for another program in this process."""
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
