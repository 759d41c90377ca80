"""Measures what W&B costs a training.

python -m benchmarks.systems.tracking [--rounds 3] [--epochs 4] [--mixtures 400]

Trains the debug ConvTasNet on 4-s mixtures of noise, each time in a process of its own, with W&B offline and without,
in turns. In the training with W&B each call of the tracker is timed, including its start and end. The last line adds up
the calls of one epoch and both ends, in the shortest of the real trainings.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.steps.data import write_subset

SHORTEST = 2.5 * 3600, 100
"""Seconds and epochs of a DPRNN training, the shortest there is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--mixtures", type=int, default=400)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "PolSESS_noise"
        write_subset(root, "train", words.mixtures)
        write_subset(root, "val", words.mixtures // 4)
        found: dict[bool, list[dict[str, Any]]] = defaultdict(list)
        for round_ in range(words.rounds):
            for tracked in (False, True) if round_ % 2 else (True, False):
                run_dir = Path(folder) / f"run-{round_}-{tracked}"
                found[tracked].append(measure(root, run_dir, words.epochs, tracked))
    runs = found[True]
    shares = [run["calls"] / run["seconds"] for run in runs]
    ratios = [run["seconds"] / other["seconds"] for run, other in zip(runs, found[False], strict=True)]
    print(f"training of {median(run['seconds'] for run in runs):.1f} s, {words.epochs} epochs")
    print(f"time in W&B calls: {median(shares):.2%} of the run ({min(shares):.2%} to {max(shares):.2%})")
    print(f"whole run with W&B over without: {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    start, epoch, end = (median(run[name] for run in runs) for name in ("start", "epoch", "end"))
    print(f"start {1e3 * start:.1f} ms, an epoch that is the best {1e3 * epoch:.1f} ms, end {1e3 * end:.0f} ms")
    seconds, epochs = SHORTEST
    print(f"in {epochs} epochs of {seconds / 3600:g} h: {(start + epochs * epoch + end) / seconds:.4%}")


def measure(root: Path, run_dir: Path, epochs: int, tracked: bool) -> dict[str, Any]:
    """Trains in a process of its own; returns the seconds of the training, and if `tracked` those in the tracker."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= {"OMP_NUM_THREADS": "1"} | ({"WANDB_PROJECT": "benchmark"} if tracked else {})
    flags = ["--model", "convtasnet", "--preset", "debug", "--epochs", str(epochs), "--device", "cpu"]
    command = [sys.executable, "-c", "from benchmarks.systems.tracking import child; child()", *flags]
    command += [
        "--curriculum",
        "all",
        "--data-dir",
        str(root),
        "--run-dir",
        str(run_dir),
        "--batch-size",
        "8",
    ]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def child() -> None:
    """Runs one training, timed from the tracker's opening of the run directory to its end."""
    from trainer.__main__ import main as train
    from trainer.training import train as module

    spent: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, call: Any) -> Any:
        def wrapper(*args: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*args)
            finally:
                spent[name].append(time.perf_counter() - started)

        return wrapper

    open_tracker = vars(module)["open_tracker"]

    def opened(run_dir: Path) -> Any:
        tracker = timed("start", open_tracker)(run_dir)
        for name in ("update", "best_epoch", "finish"):
            object.__setattr__(tracker, name, timed(name, getattr(tracker, name)))
        return tracker

    setattr(module, "open_tracker", opened)  # noqa: B010 - the trainer does not export it
    started = time.perf_counter()
    train(sys.argv[1:])
    seconds = time.perf_counter() - started
    per_epoch = sum(median(spent[name]) for name in ("update", "best_epoch"))
    calls = sum(map(sum, spent.values()))
    ends = {"start": spent["start"][0], "epoch": per_epoch, "end": spent["finish"][0]}
    print(json.dumps({"seconds": seconds, "calls": calls} | ends))


if __name__ == "__main__":
    main()
