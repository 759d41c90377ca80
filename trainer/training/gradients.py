"""The estimates of a batch, its loss and its gradients: forward pass, permutation-invariant SI-SNR and backward pass.

On a GPU the second of these is recorded as a CUDA graph, and the ones after it replay that: a step of SepFormer starts
2 700 kernels, and to start them one by one takes longer than they run. Called by the epoch loop
(trainer/training/fit.py) and the benchmarks.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from trainer.training.losses import pit_si_snr

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Of autocast, by the name of the precision; fp32 has none."""


class Gradients:
    """Adds the gradients of batches to those of a network's parameters."""

    def __init__(self, network: nn.Module, precision: str, scaler: GradScaler, rows: int, record: bool) -> None:
        """`rows`: mixtures computed at once, at most; `record`: whether to use CUDA graphs, on a GPU only."""
        self.recording = record
        self._network = network
        self._dtype = DTYPES.get(precision)
        self._scaler = scaler
        self._rows = rows
        self._step: Callable[..., Tensor] = self._loss_and_gradients
        self._forward: Callable[..., Tensor] = self._estimates
        if record:
            pool = torch.cuda.graph_pool_handle()  # one memory for both, which never run at once
            self._step, self._forward = Recorded(self._step, pool), Recorded(self._forward, pool)

    def zero(self) -> None:
        """Set the gradients to nothing. A recorded step needs them where they are."""
        self._network.zero_grad(set_to_none=not self.recording)

    def __call__(self, mixtures: Tensor, targets: Tensor, weight: float) -> Tensor:
        """Add the gradients of the loss, which is returned: the negative SI-SNR of each mixture times `weight`, summed.

        mixtures [B, T], targets [B, 2, T], float32.
        """
        weights = mixtures.new_full((len(mixtures),), weight)  # [B]
        # What fills the batch weighs nothing.
        filled = F.pad(weights, (0, self._missing(mixtures)))
        return self._step(self._filled(mixtures), self._filled(targets), filled)

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Estimates [B, 2, T] of the speakers in mixtures [B, T], where no gradient is wanted."""
        return self._forward(self._filled(mixtures))[: len(mixtures)]

    def _missing(self, x: Tensor) -> int:
        """Mixtures that a recorded step has more than x [B, …]."""
        return self._rows - len(x) if self.recording else 0

    def _filled(self, x: Tensor) -> Tensor:
        """x [B, …] with its mixtures repeated until nothing is missing."""
        if not self._missing(x):
            return x
        return x[torch.arange(self._rows, device=x.device) % len(x)]

    def _loss_and_gradients(self, mixtures: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        loss = -(pit_si_snr(self._estimates(mixtures), targets) * weights).sum()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _estimates(self, mixtures: Tensor) -> Tensor:
        with torch.autocast(mixtures.device.type, self._dtype, enabled=self._dtype is not None):
            estimates: Tensor = self._network(mixtures)
        return estimates


class Recorded:
    """A function of tensors on a GPU.

    The first call that has the shapes of the one before it is recorded, and calls with tensors of these shapes replay
    that; the one before compiles kernels and chooses algorithms, which a record cannot hold.
    """

    def __init__(self, function: Callable[..., Tensor], pool: Any) -> None:
        """`pool`: what torch.cuda.graph_pool_handle gives; those of one pool share its memory."""
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
        for place, value in zip(self._inputs, inputs, strict=True):
            place.copy_(value)
        self._graph.replay()
        return self._output.clone()

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(x.clone() for x in inputs)
        graph = torch.cuda.CUDAGraph()
        # The loader's thread pins memory meanwhile.
        with torch.cuda.graph(graph, self._pool, capture_error_mode="thread_local"):
            self._output = self._function(*self._inputs)
        self._graph = graph
