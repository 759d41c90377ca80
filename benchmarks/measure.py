"""Measures one training step of our network or of the reference's: its time and its peak memory.

`python -m benchmarks.measure` is the process that a step runs in; benchmarks/steps/models.py starts it. A step is the
forward pass, the permutation-invariant loss and the backward pass. Clipping and Adam are the same on both sides and
left out.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

from trainer.models import build, find
from trainer.training.gradients import Gradients

Side = Literal["ours", "compiled", "reference", "reference, compiled"]
"""compiled: ours with --compile; the reference with max-autotune, which a careful user would choose."""


def at_least_one(text: str) -> int:
    """Returns the whole number of an option, for argparse. Raises ArgumentTypeError below 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' does not fit, expected 1, 2, 3, ...")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a step works on."""

    model: str
    preset: str = "paper"
    batch: int = 1
    """Mixtures."""
    seconds: float = 4.0
    """Of audio at 8 kHz a mixture."""
    precision: str = "fp32"
    """fp32 or bf16, the latter by autocast."""
    device: str = "cpu"
    compile: bool = False
    """Whether ours with --compile takes part."""

    @property
    def audio_seconds(self) -> float:
        """Seconds of audio in a step."""
        return self.batch * self.seconds

    @property
    def sides(self) -> tuple[Side, ...]:
        """The sides that take part."""
        return ("ours", "compiled", "reference") if self.compile else ("ours", "reference")


@dataclass(frozen=True)
class Spread:
    """The rounds of one measurement."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value to report."""
        return median(self.values)

    def __str__(self) -> str:
        return f"{self.median:.3g} ({min(self.values):.3g}–{max(self.values):.3g})"


class Step:
    """A network and a batch of noise, which takes as long as speech."""

    def __init__(self, load: Load, side: Side, record: bool = True) -> None:
        """Makes the network and its batch; with `record` our step is replayed on a GPU, as in training."""
        torch.manual_seed(0)
        network = _network(load, side).to(load.device)
        if side == "compiled":
            network.compile()
        elif side == "reference, compiled":
            network.compile(mode="max-autotune")
        record = record and load.device == "cuda" and not side.startswith("reference")
        scaler = GradScaler(load.device, enabled=False)
        self._gradients = Gradients(network, load.precision, scaler, load.batch, record)
        samples = 8 * round(load.seconds * 1000)  # whole frames, to which the reference cuts its estimates
        self._mixtures = torch.randn(load.batch, samples, device=load.device)  # [B, T]
        self._targets = torch.randn(load.batch, 2, samples, device=load.device)  # [B, 2, T]

    def __call__(self) -> None:
        """Runs forward and backward pass; the gradients of the previous step are dropped first, as in training."""
        self._gradients.zero()
        self._gradients(self._mixtures, self._targets, 1 / len(self._mixtures))


def paired_times(load: Load, rounds: int, together: bool = False) -> dict[Side, Spread]:
    """Returns the seconds per step of all sides, which take turns, after two warm-up steps each.

    Each side runs in a process of its own, as in use. In one process (`together`) each side would also work in memory
    that the other has left behind, and neither would find the heap that it has alone.
    """
    taken: dict[Side, list[float]] = {side: [] for side in load.sides}
    with ExitStack() as running:
        children: dict[Side, subprocess.Popen[str]] = {}
        for sides in [load.sides] if together else [(side,) for side in load.sides]:
            command = _command("turns", load, sides)
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            children |= dict.fromkeys(sides, running.enter_context(child))
        for _ in range(2 + rounds):
            for side, child in children.items():
                taken[side].append(_turn(child, side))
    return {side: Spread(tuple(values[2:])) for side, values in taken.items()}


def times(load: Load, rounds: int) -> Spread:
    """Returns the seconds per step of ours, after two warm-up steps."""
    step = Step(load, "ours")
    step()
    step()
    return Spread(tuple(_seconds(step, load.device) for _ in range(rounds)))


def peak_memory(load: Load, sides: Sequence[Side] = ()) -> dict[Side, float]:
    """Returns the gigabytes that two steps of each side need beyond the imports, weights included.

    Each side runs in a fresh process.
    """
    peaks = {}
    for side in sides or load.sides:
        command = _command("peak", load, [side])
        peaks[side] = float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return peaks


def ratio(pairs: dict[Side, Spread], side: Side = "ours") -> Spread:
    """Returns ours over the reference's, round by round, so that whatever slows both down cancels out."""
    return Spread(tuple(a / b for a, b in zip(pairs[side].values, pairs["reference"].values, strict=True)))


def _network(load: Load, side: Side) -> nn.Module:
    if not side.startswith("reference"):
        return build(load.model, load.preset)
    from benchmarks.steps.reference import reference

    return reference(load.model, find(load.model).presets[load.preset])


def _seconds(step: Step, device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _peak(load: Load, side: Side) -> float:
    """Returns the gigabytes of two steps: the second one finds gradients from the first, as in training."""
    if side == "reference":
        import benchmarks.steps.reference  # noqa: F401 - so that its import does not count
    torch.randn(8, 8, requires_grad=True).square().sum().backward()
    before = _status_bytes("VmRSS")
    step = Step(load, side)
    step()
    step()
    if load.device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return (_status_bytes("VmHWM") - before) / 1e9


def _status_bytes(name: str) -> int:
    """Returns VmRSS, the memory of this process now, or VmHWM, its peak; getrusage's peak includes the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024


def _turn(child: subprocess.Popen[str], side: Side) -> float:
    assert child.stdin is not None
    assert child.stdout is not None
    print(side, file=child.stdin, flush=True)
    return float(child.stdout.readline())


def _turns(load: Load, sides: Sequence[Side]) -> None:
    steps = {side: Step(load, side) for side in sides}
    for line in sys.stdin:
        (side,) = (side for side in sides if side == line.strip())
        print(_seconds(steps[side], load.device), flush=True)


def _command(what: str, load: Load, sides: Sequence[Side]) -> list[str]:
    return [sys.executable, "-m", "benchmarks.measure", what, json.dumps(asdict(load)), *sides]


def _main(what: str, load_json: str, *names: str) -> None:
    load = Load(**json.loads(load_json))
    sides = [side for side in load.sides if side in names]
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")  # as the trainer has it on a GPU; a CPU has no TF32
    if what == "turns":
        _turns(load, sides)
    else:
        print(_peak(load, sides[0]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
