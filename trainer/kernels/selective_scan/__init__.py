"""The selective scan of Mamba, in the implementation that suits the device.

There are three: Triton kernels of our own on CUDA (triton_scan.py, triton_kernels.py), which take less time than
mamba-ssm's kernel (docs/performance.md); mamba-ssm's, where triton is missing; and a tiled autograd function on the
CPU (tiled.py). `choose` returns the one that runs on a device and the reason, which the training log repeats.

References:
    Gu and Dao 2023, "Mamba: Linear-time sequence modeling with selective state spaces", arXiv:2312.00752, algorithm 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from trainer.kernels.recording import is_traced
from trainer.kernels.selective_scan.sequential import scripted_scan
from trainer.kernels.selective_scan.tiled import tiled_scan


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = True,
) -> Tensor:
    """Returns y [B, D, L], the output of a state h [B, D, N] that is 0 before the first of L steps.

        step_t = softplus(delta_t + delta_bias)
        h_t = exp(step_t A) h_(t-1) + step_t B_t u_t
        y_t = (C_t h_t + D u_t) silu(z_t)

    It is computed in float32, or in float64 where u is, also under autocast; y has u's type. It can be differentiated
    once with respect to every tensor. Raises ValueError where a shape does not fit.

    Args:
        u: the input [B, D, L].
        delta: the steps before softplus [B, D, L].
        A: [D, N].
        B: [B, N, L].
        C: [B, N, L].
        D: the skip connection [D].
        z: the gate [B, D, L]; None: no gate.
        delta_bias: [D], or None.
        delta_softplus: whether the steps go through softplus.
    """
    if is_traced():
        return scripted_scan()(u, delta, A, B, C, D, z, delta_bias, delta_softplus)
    _check(u=u, delta=delta, A=A, B=B, C=C, D=D, z=z, delta_bias=delta_bias)
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    with torch.autocast(u.device.type, enabled=False):
        tensors = [None if x is None else x.to(dtype) for x in (u, delta, A, B, C, D, z, delta_bias)]
        return choose(u.device, dtype).scan(*tensors, delta_softplus).to(u.dtype)


@dataclass(frozen=True)
class Choice:
    """An implementation of the scan and the reason for it."""

    name: str
    """mamba-ssm, triton or tiled."""
    reason: str
    scan: Callable[..., Tensor]

    def __str__(self) -> str:
        return f"selective scan: {self.name} ({self.reason})"


def choose(device: torch.device, dtype: torch.dtype = torch.float32) -> Choice:
    """Returns the implementation that runs on `device` for inputs of `dtype`, float32 or float64."""
    if device.type != "cuda":
        return Choice("tiled", f"the device is {device.type}", tiled_scan)
    if find_spec("triton") is not None:
        from trainer.kernels.selective_scan.triton_scan import triton_scan

        return Choice("triton", "the device is cuda", triton_scan)
    mamba, missing = mamba_ssm()
    if mamba is not None and dtype == torch.float32:
        return Choice("mamba-ssm", "triton is not installed", mamba)
    if mamba is not None:
        missing = "mamba-ssm has no kernel for float64"
    return Choice("tiled", f"triton is not installed, {missing}", tiled_scan)


@cache
def mamba_ssm() -> tuple[Callable[..., Tensor] | None, str]:
    """Returns mamba-ssm's function, or None and what is missing."""
    if find_spec("mamba_ssm") is None:
        return None, "mamba-ssm is not installed"
    try:
        interface = import_module("mamba_ssm.ops.selective_scan_interface")
    # Built for another torch or CUDA, it fails in ways of its own.
    except Exception as error:
        return None, f"mamba-ssm does not load: {type(error).__name__}: {error}"
    if interface.selective_scan_cuda is None:
        return None, "mamba-ssm has no CUDA extension"
    return interface.selective_scan_fn, ""


def _check(**tensors: Tensor | None) -> None:
    """Raises ValueError that names the first tensor without the shape that u and A require."""
    u, A = tensors["u"], tensors["A"]
    if u is None or A is None or u.dim() != 3 or A.dim() != 2:
        raise ValueError("u must be [batch, D, L] and A [D, N]")
    (batch, channels, length), state_size = u.shape, A.shape[1]
    per_step, state, per_channel = (batch, channels, length), (batch, state_size, length), (channels,)
    expected = {"u": per_step, "delta": per_step, "z": per_step, "A": (channels, state_size)}
    expected |= {"B": state, "C": state, "D": per_channel, "delta_bias": per_channel}
    for name, tensor in tensors.items():
        if tensor is not None and tensor.shape != expected[name]:
            raise ValueError(f"{name} must be {list(expected[name])}, not {list(tensor.shape)}")
