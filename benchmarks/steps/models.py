"""Measures time and memory of a training step of our models and of speechbrain's, and prints Markdown tables.

`make bench` runs it first. Both sides take turns, so that a busy machine slows both down; a value is the median of the
rounds, followed by the smallest and the greatest. On a CPU: one thread, one mixture, fp32, each side in a process of
its own. On a GPU: bf16, the batch of the model's published training, one process, and the additions of
benchmarks/steps/gpu.py.
"""

import argparse
import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measure import Load, at_least_one, paired_times, peak_memory, ratio, times
from katib.spec import load_spec

TARGETS = {"convtasnet": 0.65, "sepformer": 0.85, "dprnn": 0.95}
"""The most that a step may take on a CPU, relative to the reference's."""

GPU_TARGET = 0.5

DEBUG_SECONDS = 0.5
"""The most that a step of a debug preset may take on one core."""


def report(load: Load, models: list[str], rounds: int, together: bool) -> Iterator[str]:
    """Yields the lines of the report, each as soon as it is known; `load.model` is ignored."""
    yield f"{_machine(load.device)}; mixtures of {load.seconds:g} s, {load.precision}."
    where = "in one process" if together else "each side in a process of its own"
    yield f"A step is forward, loss and backward, {where}. Median of the rounds (least–greatest)."
    yield ""
    yield (
        f"| {load.preset}, mixtures a step | ours (s) | speechbrain (s) | ratio | target "
        "| ours (GB) | speechbrain (GB) | ratio | target |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for model in models:
        mine = _load(load, model)
        seconds, gigabytes = paired_times(mine, rounds, together), peak_memory(mine)
        target = TARGETS[model] if load.device == "cpu" else GPU_TARGET
        for side in mine.sides[:-1]:
            yield (
                f"| {model}{', compiled' if side == 'compiled' else ''}, {mine.batch} "
                f"| {seconds[side]} | {seconds['reference']} | {ratio(seconds, side)} | {target} "
                f"| {gigabytes[side]:.3g} | {gigabytes['reference']:.3g} "
                f"| {gigabytes[side] / gigabytes['reference']:.3g} | 1 |"
            )
    yield ""
    if load.device == "cuda":
        from benchmarks.steps.gpu import gpu_report

        for model in (*models, "spmamba"):
            yield from gpu_report(_load(load, model), rounds)
        return
    yield f"| debug preset | a step of {load.seconds:g} s, one mixture (s) | target |"
    yield "|---|---|---|"
    for model in (*models, "spmamba"):
        taken = times(replace(load, model=model, preset="debug"), max(rounds, 5))
        yield f"| {model} | {taken} | {DEBUG_SECONDS} |"


def _load(load: Load, model: str) -> Load:
    """Returns the load of one model, with the batch of its published training unless one is given."""
    if load.batch:
        return replace(load, model=model)
    spec = load_spec(model)
    batch, precision = spec.fixed["batch_size"], spec.fixed["precision"]
    assert isinstance(batch, int)
    return replace(load, model=model, batch=batch, precision=str(precision))


def _machine(device: str) -> str:
    """Returns a description of the machine."""
    if device == "cuda":
        name = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        name = f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, one thread"
    return f"{name}; torch {torch.__version__}"


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--rounds", type=at_least_one, default=3, help="of one step of each side, after two to warm up")
    parser.add_argument("--preset", choices=("paper", "debug"), default="paper")
    parser.add_argument(
        "--batch",
        type=at_least_one,
        default=0,
        help="mixtures in a step; without it one on a CPU, as in the published training on a GPU",
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of audio in a mixture")
    parser.add_argument("--compile", action="store_true", help="ours with --compile takes part; minutes")
    parser.add_argument("--together", action="store_true", help="in one process on a CPU too")
    parser.add_argument("--out", type=Path, help="a file that the report is also written to")
    options = parser.parse_args()
    if not 0.001 <= options.seconds < float("inf"):
        parser.error(f"--seconds: {options.seconds:g} does not fit, expected 0.001 or more")
    if options.out and not options.out.parent.is_dir():
        parser.error(f"--out: no folder {options.out.parent}; make it first")
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    load = Load(
        model="",
        preset=options.preset,
        batch=options.batch or (0 if device == "cuda" else 1),
        seconds=options.seconds,
        precision="bf16" if device == "cuda" else "fp32",
        device=device,
        compile=options.compile,
    )
    together = options.together or device == "cuda"
    lines = []
    for line in report(load, options.models, options.rounds, together):
        print(line, flush=True)
        lines.append(line)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    _main()
