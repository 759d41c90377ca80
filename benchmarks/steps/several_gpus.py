"""How near a training in several processes comes to one in a single process, and whether it resumes bitwise.

On a small corpus of its own, on the CPU or (`--device cuda`) on GPUs. A run is killed with SIGKILL after its first
epoch and once more in the second, and then compared with one of the same number of processes that was not.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tests.tiny_corpus import write_subset

LIMIT = 1e-5


def main() -> int:
    """Prints both tables and returns 1 where a number misses its limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="convtasnet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "PolSESS_tiny"
        write_subset(corpus, "train", 13, 0.5, seed=1)
        write_subset(corpus, "val", 5, 0.5, seed=2)
        words = ["--model", options.model, "--preset", "debug", "--data-dir", str(corpus), "--device", options.device]
        words += ["--batch-size", "4", "--deterministic", "--checkpoint-minutes", "0"]
        return max(
            _agreement(words, Path(folder), options.processes), _resuming(words, Path(folder), options.processes)
        )


def _agreement(words: list[str], folder: Path, processes: Sequence[int]) -> int:
    """Prints the greatest relative difference of losses and scores, and that of all weights, after two epochs."""
    alone, missed = _trained(words, folder / "alone", ["--gpus", "1"]), 0
    for count in processes:
        share = max(1, 4 // count)
        together = _trained(words, folder / f"{count}", ["--gpus", str(count)])
        parts = _trained(words, folder / f"parts{count}", ["--micro-batch", str(share)])
        for name, other in (("one", alone), (f"one with --micro-batch {share}", parts)):
            losses, weights = _difference(other, together)
            print(f"{count} against {name}: losses and scores {losses:.1e}, weights {weights:.1e}")
        # What the micro-batch makes is not the processes' doing.
        missed = max(missed, int(max(_difference(parts, together)) > LIMIT))
    return missed


def _resuming(words: list[str], folder: Path, processes: Sequence[int]) -> int:
    """Prints whether a run that was killed twice has the same bits as one that was not."""
    missed = 0
    for count in processes:
        run_dir = folder / f"killed{count}"
        for line in ("epoch 1/2", "resumes epoch"):
            _killed(words, run_dir, ["--gpus", str(count)], line)
        same = _bits(_trained(words, run_dir, ["--gpus", str(count)])) == _bits(_state(folder / f"{count}"))
        print(f"{count}: killed twice and resumed: {'the same bits' if same else 'OTHER bits'}")
        # From a checkpoint of another number of processes, twice; one of the two is killed on its way.
        other = 1 if count > 1 else 2
        ends = []
        for name in ("once", "twice"):
            moved = folder / f"moved{count}{name}"
            _trained(words, moved, ["--gpus", str(other)], epochs=1)
            if name == "twice":
                _killed(words, moved, ["--gpus", str(count)], "resumes|done before")
            ends.append(_bits(_trained(words, moved, ["--gpus", str(count)])))
        print(f"{count}: after an epoch with {other}: {'the same bits' if ends[0] == ends[1] else 'OTHER bits'}")
        missed |= int(not same or ends[0] != ends[1])
    return missed


def _trained(words: list[str], run_dir: Path, more: list[str], epochs: int = 2) -> dict[str, Any]:
    argv = [sys.executable, "-m", "trainer", *words, "--run-dir", str(run_dir), "--epochs", str(epochs), *more]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return _state(run_dir)


def _killed(words: list[str], run_dir: Path, more: list[str], lines: str) -> None:
    """Runs a training until one of the `lines`, and kills it."""
    argv = [sys.executable, "-m", "trainer", *words, "--run-dir", str(run_dir), "--epochs", "2", *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout or ():
            if any(part in line for part in lines.split("|")):
                break
        process.send_signal(signal.SIGKILL)


def _state(run_dir: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run_dir / "last.pt", weights_only=True)
    return state


def _difference(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    pairs = zip(one["progress"]["history"], other["progress"]["history"], strict=True)
    losses = [abs(a[name] - b[name]) / abs(a[name]) for a, b in pairs for name in ("train_loss", "val_si_snr")]
    mine, its = (torch.cat([value.double().flatten() for value in state["model"].values()]) for state in (one, other))
    return max(losses), float((mine - its).norm() / mine.norm())


def _bits(state: dict[str, Any]) -> tuple[object, ...]:
    """Returns the history without its times, and all weights."""
    times = ("time", "seconds", "waited")
    history = [{k: v for k, v in record.items() if k not in times} for record in state["progress"]["history"]]
    return repr(history), *(value.numpy().tobytes() for value in state["model"].values())


if __name__ == "__main__":
    sys.exit(main())
