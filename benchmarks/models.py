"""`make bench`: the time and memory of a training step of our models against speechbrain's, as Markdown tables.

Both sides take turns, so that a busy machine slows both down; a value is the median of the rounds, with the
least and the greatest behind it. On a CPU one thread, one mixture, fp32; on a GPU bf16 and also what
benchmarks/gpu.py adds.
"""

import argparse
import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measure import Load, Step, paired_times, peak_memory, ratio, times

TARGETS = {"convtasnet": 0.65, "sepformer": 0.85, "dprnn": 0.95}
"""The most that a step may take on a CPU, relative to the reference's."""

GPU_TARGET = 0.5

DEBUG_SECONDS = 0.5
"""The most that a step of a debug preset may take on one core."""


def report(load: Load, models: list[str], rounds: int) -> Iterator[str]:
    """The lines of the report, each as soon as it is known; `load.model` counts for nothing."""
    yield f"{_machine(load.device)}; {load.seconds:g} s of audio, batch {load.batch}, {load.precision}."
    yield "A step is forward, loss and backward. Median of the rounds (least–greatest)."
    yield ""
    yield (
        f"| {load.preset} | ours (s) | speechbrain (s) | ratio | target "
        "| ours (GB) | speechbrain (GB) | ratio | target |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for model in models:
        mine = replace(load, model=model)
        seconds, gigabytes = paired_times(mine, rounds), peak_memory(mine, 1)
        target = TARGETS[model] if load.device == "cpu" else GPU_TARGET
        yield (
            f"| {model} | {seconds['ours']} | {seconds['reference']} | {ratio(seconds)} | {target} "
            f"| {gigabytes['ours'].median:.3g} | {gigabytes['reference'].median:.3g} "
            f"| {ratio(gigabytes).median:.3g} | 1 |"
        )
    yield ""
    yield f"| debug preset | a step of {load.seconds:g} s, batch {load.batch} (s) | target |"
    yield "|---|---|---|"
    for model in (*models, "spmamba"):
        taken = times(replace(load, model=model, preset="debug"), max(rounds, 5))
        yield f"| {model} | {taken} | {DEBUG_SECONDS} |"
    if load.device == "cuda":
        from benchmarks.gpu import gpu_report

        for model in models:
            mine = replace(load, model=model)
            yield from gpu_report(mine, Step(mine, "ours"), times(mine, rounds).median)


def _machine(device: str) -> str:
    """What was measured on, in words."""
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
    parser.add_argument(
        "--rounds", type=int, default=3, help="of one step of each side, after one to warm up"
    )
    parser.add_argument("--preset", choices=("paper", "debug"), default="paper")
    parser.add_argument("--batch", type=int, default=1, help="mixtures in a step")
    parser.add_argument("--seconds", type=float, default=4.0, help="of audio in a mixture")
    parser.add_argument("--out", type=Path, help="a file that the report is also written to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    load = Load(
        model="",
        preset=options.preset,
        batch=options.batch,
        seconds=options.seconds,
        precision="bf16" if device == "cuda" else "fp32",
        device=device,
    )
    lines = []
    for line in report(load, options.models, options.rounds):
        print(line, flush=True)
        lines.append(line)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    _main()
