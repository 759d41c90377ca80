"""The loss of a batch and its gradients: forward pass, permutation-invariant SI-SNR and backward pass.

On a GPU the second of these is recorded as a CUDA graph, and the ones after it replay that: a step of SepFormer starts 2 700
kernels, and to start them one by one takes longer than they run. Called by the epoch loop (trainer/fit.py) and the benchmarks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from trainer.losses import pit_si_snr

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Of autocast, by the name of the precision; fp32 has none."""


class Gradients:
    """Adds the gradients of batches to those of a network's parameters."""

    def __init__(
        self, network: nn.Module, precision: str, scaler: GradScaler, rows: int, record: bool
    ) -> None:
        """`rows`: mixtures computed at once, at most; `record`: whether to use a CUDA graph, on a GPU only."""
        self.recording = record
        self._network = network
        self._dtype = DTYPES.get(precision)
        self._scaler = scaler
        self._rows = rows
        self._warm = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._loss = torch.empty(())

    def estimate(self, mixtures: Tensor) -> Tensor:
        """Estimates [B, 2, T] of the speakers in mixtures [B, T], without recording."""
        with torch.autocast(mixtures.device.type, self._dtype, enabled=self._dtype is not None):
            estimates: Tensor = self._network(mixtures)
        return estimates

    def zero(self) -> None:
        """Set the gradients to nothing. A recorded step needs them where they are."""
        self._network.zero_grad(set_to_none=not self.recording)

    def __call__(self, mixtures: Tensor, targets: Tensor, weight: float) -> Tensor:
        """Add the gradients of the loss: the negative SI-SNR of each mixture times `weight`, summed.

        mixtures [B, T], targets [B, 2, T], float32. Returns the loss, which the next call may overwrite.
        """
        weights = mixtures.new_full((len(mixtures),), weight)  # [B]
        if not self.recording:
            return self._step(mixtures, targets, weights)
        missing = self._rows - len(mixtures)
        if missing:  # what fills the batch weighs nothing
            fill = torch.arange(self._rows, device=mixtures.device) % len(mixtures)
            mixtures, targets, weights = mixtures[fill], targets[fill], F.pad(weights, (0, missing))
        inputs = (mixtures, targets, weights)
        if self._graph is None and self._warm:
            self._record(inputs)
        self._warm = True
        if self._graph is None or mixtures.shape != self._inputs[0].shape:
            return self._step(*inputs)
        for place, value in zip(self._inputs, inputs, strict=True):
            place.copy_(value)
        self._graph.replay()
        return self._loss

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        self._inputs = tuple(x.clone() for x in inputs)
        graph = torch.cuda.CUDAGraph()
        # The loader's thread pins memory meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._loss = self._step(*self._inputs)
        self._graph = graph

    def _step(self, mixtures: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        loss = -(pit_si_snr(self.estimate(mixtures), targets) * weights).sum()
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
