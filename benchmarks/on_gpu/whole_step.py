"""Times the whole step of a training, as it is and as one CUDA graph, and the forward and backward pass of each model.

The trainer records forward and backward pass, and then waits for the loss and for the gradients' norm before Adam's
step. `Graphed` has clipping, the finite check and Adam in the record, too: Adam's kernels skip a step whose
`found_inf` is set, as with fp16's scaler, so that the CPU need not know. It is a trial of that idea, which no training
uses yet; its weights are compared with those of the step as it is.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam

from benchmarks.measure import Load, Step
from benchmarks.on_gpu.rows import Row, Sizes, row, synchronize, timed
from trainer.models import build
from trainer.training.gradients import Gradients, Recorded

LR, CLIP = 1e-3, 5.0
AGREEING_STEPS = 5
SPMAMBA_MS = 35


class TrainingStep(Protocol):
    """A network that trains on one batch, again and again."""

    network: nn.Module
    mixtures: Tensor

    def __call__(self) -> object:
        """Takes a step."""


class AsItIs:
    """The step of trainer/training/fit.py."""

    def __init__(self, load: Load) -> None:
        self.network, self.mixtures, self._targets = _made(load)
        self._scaler = GradScaler(load.device, enabled=False)
        self._optimizer = Adam(self.network.parameters(), lr=LR, fused=True)
        record = load.device == "cuda"
        self._gradients = Gradients(self.network, load.precision, self._scaler, load.batch, record)

    def __call__(self) -> bool:
        """Takes a step; returns whether loss and gradient were finite."""
        self._gradients.zero()
        loss = self._gradients(self.mixtures, self._targets, 1 / len(self.mixtures)).item()
        if not math.isfinite(loss):
            return False
        norm = clip_grad_norm_(self.network.parameters(), CLIP).item()
        if not math.isfinite(norm):
            return False
        self._scaler.step(self._optimizer)
        return True


class Graphed:
    """The same step without a wait for the CPU; on a GPU in one CUDA graph."""

    def __init__(self, load: Load) -> None:
        self.network, self.mixtures, self._targets = _made(load)
        on_gpu = load.device == "cuda"
        # A number would be part of the record, and the rate falls during a training.
        lr = torch.tensor(LR, device="cuda") if on_gpu else LR
        self._optimizer = Adam(self.network.parameters(), lr=lr, fused=True, capturable=on_gpu)
        scaler = GradScaler(load.device, enabled=False)
        self._gradients = Gradients(self.network, load.precision, scaler, load.batch, record=False)
        self._step = Recorded(self._whole, torch.cuda.graph_pool_handle()) if on_gpu else self._whole

    def __call__(self) -> Tensor:
        """Takes a step; returns, on the device, loss and norm [2] of it: what a training would add up there."""
        return self._step(self.mixtures, self._targets)

    def _whole(self, mixtures: Tensor, targets: Tensor) -> Tensor:
        self._gradients.zero()
        loss = self._gradients(mixtures, targets, 1 / len(mixtures))
        norm = clip_grad_norm_(self.network.parameters(), CLIP)
        result = torch.stack([loss, norm])
        skip = (~torch.isfinite(result).all()).float()
        self._optimizer.found_inf = skip  # type: ignore[attr-defined]
        self._optimizer.step()
        return result


def steps(sizes: Sizes) -> Iterator[Row]:
    """Yields milliseconds, mixtures a second and gigabytes of each model's forward and backward pass."""
    for model in sizes.models:
        load = sizes.load(model)
        step = Step(load, "ours")
        for _ in range(3):
            step()
        taken = timed(step, load.device, sizes.rounds)
        limit = f"<= {SPMAMBA_MS}" if model == "spmamba" and sizes.preset == "paper" else ""
        note = f"{load.batch} x {load.seconds:g} s, {load.precision}"
        yield row(f"{model}, forward and backward", taken, "ms", limit, note)
        yield row(f"{model}, throughput", [load.batch * 1e3 / ms for ms in taken], "mixtures/s")
        if load.device == "cuda":
            yield Row(what=f"{model}, memory", value=torch.cuda.max_memory_allocated() / 1e9, unit="GB")
            del step
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()


def in_one_graph(sizes: Sizes) -> Iterator[Row]:
    """Yields what a step takes with clipping, finite check and Adam, as it is and in one graph, and how they agree."""
    for model in sizes.models:
        load = sizes.load(model)
        sides: list[TrainingStep] = [AsItIs(load), Graphed(load)]
        for side in sides:
            for _ in range(AGREEING_STEPS):
                side()
        synchronize(load.device)
        yield Row(
            what=f"{model}, difference of the weights after {AGREEING_STEPS} steps",
            value=_difference(*(side.network for side in sides)),
            unit="relative",
            limit="<= 0.001" if load.precision == "fp32" else "<= 0.05",
        )
        taken = [timed(side, load.device, sizes.rounds, times=5 if load.device == "cuda" else 1) for side in sides]
        yield row(f"{model}, training step as it is", taken[0], "ms")
        yield row(f"{model}, training step in one graph", taken[1], "ms")
        ratios = [graphed / plain for plain, graphed in zip(*taken, strict=True)]
        yield row(f"{model}, one graph / as it is", ratios, "of the time")
        yield _skipped(model, sides[1])


def _skipped(model: str, step: TrainingStep) -> Row:
    """Returns whether a batch that is not finite leaves all weights as they are."""
    before = [parameter.detach().clone() for parameter in step.network.parameters()]
    step.mixtures.fill_(math.nan)
    step()
    same = all(torch.equal(a, b) for a, b in zip(before, step.network.parameters(), strict=True))
    return Row(what=f"{model}, a batch of NaN changes no weight in one graph", value=float(same), unit="", limit=">= 1")


def _difference(one: nn.Module, other: nn.Module) -> float:
    first, second = (
        torch.cat([value.detach().double().flatten() for value in net.parameters()]) for net in (one, other)
    )
    return float((first - second).norm() / first.norm())


def _made(load: Load) -> tuple[nn.Module, Tensor, Tensor]:
    """Returns a network, mixtures [B, T] and targets [B, 2, T]: noise, which takes as long as speech."""
    torch.manual_seed(0)
    network = build(load.model, load.preset).to(load.device)
    targets = torch.randn(load.batch, 2, round(8000 * load.seconds), device=load.device)
    return network, targets.sum(1), targets
