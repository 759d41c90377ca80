"""Computes the estimates of a batch, its loss and its gradients: forward pass, permutation-invariant SI-SNR, backward.

On a GPU the second step is recorded as a CUDA graph, which later steps replay: a step of SepFormer starts 2 700
kernels, and starting them one by one takes longer than running them.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from trainer.training.losses import pit_si_snr

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The dtype of autocast by the name of the precision; fp32 has none."""


class Gradients:
    """Adds the gradients of batches to those of a network's parameters.

    Args:
        network: maps mixtures [B, T] to estimates [B, 2, T].
        precision: fp32, bf16 or fp16.
        scaler: scales the loss for fp16.
        rows: the most mixtures that are computed at once.
        record: whether to use CUDA graphs, which only a GPU has.
        threshold: the loss of a mixture in dB, minus its SI-SNR, at or below which it does not count; None: all count.
    """

    def __init__(
        self,
        network: nn.Module,
        precision: str,
        scaler: GradScaler,
        rows: int,
        record: bool,
        threshold: float | None = None,
    ) -> None:
        self.recording = record
        self._threshold = threshold
        # A recorded step adds to it at the same address.
        self._counted = torch.zeros((), device=next(network.parameters()).device)
        self._network = network
        self._dtype = DTYPES.get(precision)
        self._scaler = scaler
        self._rows = rows
        self._step: Callable[..., Tensor] = self._loss_and_gradients
        self._forward: Callable[..., Tensor] = self._estimates
        if record:
            # Both graphs share their memory, because they never run at once.
            pool = torch.cuda.graph_pool_handle()
            self._step, self._forward = Recorded(self._step, pool), Recorded(self._forward, pool)

    def zero(self) -> None:
        """Clears the gradients; a recorded step needs them at the same addresses, as zeros."""
        self._network.zero_grad(set_to_none=not self.recording)
        self._counted.zero_()

    @property
    def counted(self) -> float:
        """The mixtures since `zero` whose loss was above the threshold."""
        return self._counted.item()

    def scale(self, factor: float) -> None:
        """Multiplies the gradients."""
        for parameter in self._network.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    def __call__(self, mixtures: Tensor, targets: Tensor, weight: float) -> Tensor:
        """Adds the gradients of the loss, and returns it: minus the sum of the mixtures' SI-SNR times `weight`.

        Args:
            mixtures: [B, T], float32.
            targets: [B, 2, T], float32.
            weight: factor of each mixture's SI-SNR.
        """
        weights = mixtures.new_full((len(mixtures),), weight)  # [B]
        # Mixtures that only fill up the batch get a weight of 0.
        filled = F.pad(weights, (0, self._missing(mixtures)))
        return self._step(self._filled(mixtures), self._filled(targets), filled)

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Returns the estimates [B, 2, T] of the speakers in mixtures [B, T]; to be called without gradients."""
        return self._forward(self._filled(mixtures))[: len(mixtures)]

    def _missing(self, x: Tensor) -> int:
        """Returns how many mixtures a recorded step has more than x [B, …]."""
        return self._rows - len(x) if self.recording else 0

    def _filled(self, x: Tensor) -> Tensor:
        """Returns x [B, …] with its mixtures repeated until none is missing."""
        if not self._missing(x):
            return x
        return x[torch.arange(self._rows, device=x.device) % len(x)]

    def _loss_and_gradients(self, mixtures: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        scores = pit_si_snr(self._estimates(mixtures), targets)  # [B]
        if self._threshold is not None:
            # So put, a score that is not a number counts, and is noticed.
            counts = ~(-scores <= self._threshold)
            self._counted += (counts & (weights > 0)).sum()
            scores = torch.where(counts, scores, 0.0)
        loss = -(scores * weights).sum()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _estimates(self, mixtures: Tensor) -> Tensor:
        with torch.autocast(mixtures.device.type, self._dtype, enabled=self._dtype is not None):
            estimates: Tensor = self._network(mixtures)
        return estimates


class Recorded:
    """A function of tensors on a GPU that is recorded once and then replayed.

    The first call with the same shapes as the call before it is recorded, and later calls with these shapes replay the
    record. The call before compiles kernels and chooses algorithms, which cannot be recorded.

    Args:
        function: takes and returns tensors.
        pool: a handle of torch.cuda.graph_pool_handle; functions of one pool share its memory.
    """

    def __init__(self, function: Callable[..., Tensor], pool: Any) -> None:
        self._function = function
        self._pool = pool
        self._shapes: list[torch.Size] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._output = torch.empty(())

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Returns the function's value."""
        shapes = [x.shape for x in inputs]
        if self._graph is None and shapes == self._shapes:
            self._record(inputs)
        if self._graph is None:
            self._shapes = shapes
        if self._graph is None or shapes != self._shapes:
            return self._function(*inputs)
        for recorded, value in zip(self._inputs, inputs, strict=True):
            recorded.copy_(value)
        self._graph.replay()
        return self._output.clone()

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(x.clone() for x in inputs)
        graph = torch.cuda.CUDAGraph()
        # The loader's thread pins memory meanwhile.
        with torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
            self._output = self._function(*self._inputs)
        self._graph = graph
