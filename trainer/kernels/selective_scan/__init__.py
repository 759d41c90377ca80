"""The selective scan of Mamba (Gu and Dao 2023, arXiv:2312.00752, algorithm 2), however the machine does it best.

One function, three implementations: Triton kernels of our own on CUDA, which take less time than mamba-ssm's kernel
(README.md); that one where triton is missing; and a tiled autograd function on the CPU. Which one runs is chosen from
the device; `choose` tells which and why, and the training log repeats it. Called by spmamba and the benchmarks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

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
    """y [B, D, L] of the state h [B, D, N], which is 0 before the first of L steps:

        step_t = softplus(delta_t + delta_bias)
        h_t = exp(step_t A) h_(t-1) + step_t B_t u_t
        y_t = (C_t h_t + D u_t) silu(z_t)

    u, delta, z: [B, D, L]; A: [D, N]; B, C: [B, N, L]; D, delta_bias: [D]. Without z there is no gate, without
    `delta_softplus` no softplus. Computed in float32, or in float64 where u is, whatever autocast says; y has u's type.
    Differentiable once by every tensor. Raises ValueError where a shape does not fit.
    """
    _check(u=u, delta=delta, A=A, B=B, C=C, D=D, z=z, delta_bias=delta_bias)
    dtype = torch.float64 if u.dtype == torch.float64 else torch.float32
    with torch.autocast(u.device.type, enabled=False):
        tensors = [None if x is None else x.to(dtype) for x in (u, delta, A, B, C, D, z, delta_bias)]
        return choose(u.device, dtype).scan(*tensors, delta_softplus).to(u.dtype)


@dataclass(frozen=True)
class Choice:
    """An implementation of the scan and why it is the one."""

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
        from trainer.kernels.selective_scan.triton_scan import triton_scan  # the CPU needs no triton

        return Choice("triton", "the device is cuda", triton_scan)
    mamba, missing = mamba_ssm()
    if mamba is not None and dtype == torch.float32:
        return Choice("mamba-ssm", "triton is not installed", mamba)
    if mamba is not None:
        missing = "mamba-ssm has no kernel for float64"
    return Choice("tiled", f"triton is not installed, {missing}", tiled_scan)


@cache
def mamba_ssm() -> tuple[Callable[..., Tensor] | None, str]:
    """mamba-ssm's function, or None and what is missing."""
    if find_spec("mamba_ssm") is None:
        return None, "mamba-ssm is not installed"
    try:
        interface = import_module("mamba_ssm.ops.selective_scan_interface")
    except Exception as error:  # built for another torch or CUDA, it fails in ways of its own
        return None, f"mamba-ssm does not load: {type(error).__name__}: {error}"
    if interface.selective_scan_cuda is None:
        return None, "mamba-ssm has no CUDA extension"
    return interface.selective_scan_fn, ""


def _check(**tensors: Tensor | None) -> None:
    """Every tensor has the shape that u and A ask for. Raises ValueError that names the first that has not."""
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
