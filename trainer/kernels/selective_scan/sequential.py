"""The selective scan step by step, in TorchScript: a recording of it holds the loop, for sequences of any length."""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor


def sequential_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> Tensor:
    """Returns y [B, D, L] of u, delta and z [B, D, L], A [D, N], B and C [B, N, L], D and delta_bias [D]."""
    if delta_bias is not None:
        delta = delta + delta_bias[:, None]
    step = F.softplus(delta) if delta_softplus else delta  # [B, D, L]
    x = step * u  # [B, D, L]
    state = x[:, :, :1] * torch.zeros_like(A)  # [B, D, N]
    y = torch.empty_like(u)
    for t in range(u.shape[2]):
        state = torch.exp(step[:, :, t, None] * A) * state + x[:, :, t, None] * B[:, None, :, t]
        y[:, :, t] = torch.matmul(state, C[:, :, t, None])[:, :, 0]
    y = y + D[:, None] * u
    return y if z is None else y * F.silu(z)


@cache
def scripted_scan() -> Callable[..., Tensor]:
    """Returns the scan, compiled by TorchScript."""
    scan: Callable[..., Tensor] = torch.jit.script(sequential_scan)
    return scan
