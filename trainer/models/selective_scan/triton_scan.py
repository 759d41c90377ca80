"""The selective scan on CUDA without mamba-ssm: one Triton kernel forward, one backward, softplus and gate inside.

A program walks one sequence for a block of channels, one thread a channel with all N states in its registers, so
that only the gradients of B and C are summed across threads. Forward writes the state before every STEPS steps;
backward reads it, computes the steps' states once more and walks back (arXiv:2312.00752, section 3.3.2). All
memory is [B, L, D], whose neighbours are neighbouring threads. No atomics: the same bits every time.
Called by selective_scan; under TRITON_INTERPRET=1 it runs on the CPU too, slowly, for the tests.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

STEPS = 4
"""Steps between two states that forward keeps; backward holds as many in registers, where twice as many spill."""
LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
LN_2: tl.constexpr = tl.constexpr(0.6931471805599453)
"""A GPU has 2^x and no e^x: A is multiplied once with log2(e), its gradient's factor taken back."""
CHANNELS = 32
"""Channels of a program: those of one warp."""


def triton_scan(
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
    """y [B, D, L] of u, delta and z [B, D, L], A [D, N], B and C [B, N, L], D and delta_bias [D].

    All of one type, float32 or float64, in which everything is computed. Quickest where u, delta and z are
    transposed views of [B, L, D].
    """
    rows = [x if x is None else x.transpose(1, 2).contiguous() for x in (u, delta, B, C, z)]  # [B, L, ...]
    bias = delta_bias if delta_bias is None else delta_bias.contiguous()
    y: Tensor = _TritonScan.apply(*rows, A.t().contiguous(), D.contiguous(), bias, delta_softplus)
    return y.transpose(1, 2)  # [B, D, L]


class _TritonScan(torch.autograd.Function):
    """u, delta, z [B, L, D]; B, C [B, L, N]; A [N, D]; D, bias [D]; to y [B, L, D]."""

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        delta: Tensor,
        B: Tensor,
        C: Tensor,
        z: Tensor | None,
        A: Tensor,
        D: Tensor,
        bias: Tensor | None,
        softplus: bool,
    ) -> Tensor:
        batch, length, _ = u.shape
        y = torch.empty_like(u)
        starts = u.new_empty(batch, triton.cdiv(length, STEPS), *A.shape)  # [B, tiles, N, D]
        _forward[_grid(u)](u, delta, B, C, z, A, D, bias, y, starts, length, **_constants(A, softplus))
        ctx.save_for_backward(u, delta, B, C, z, A, D, bias, starts)
        ctx.softplus = softplus
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, y_grad: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, starts = ctx.saved_tensors
        u, delta, B, C, z, A, _, bias = inputs
        (batch, length, channels), blocks = u.shape, _grid(u)[1]
        u_grad, delta_grad = torch.empty_like(u), torch.empty_like(delta)
        z_grad = None if z is None else torch.empty_like(z)
        # What several programs have a share in is written by each and summed afterwards.
        B_grad, C_grad = u.new_empty(blocks, *B.shape), u.new_empty(blocks, *C.shape)
        A_grad, D_grad = u.new_empty(batch, *A.shape), u.new_empty(batch, channels)
        shares = (B_grad, C_grad, A_grad, D_grad)
        gradients = (y_grad.contiguous(), u_grad, delta_grad, z_grad, *shares)
        _backward[_grid(u)](*inputs, starts, *gradients, length, **_constants(A, ctx.softplus))
        bias_grad = None if bias is None else delta_grad.sum((0, 1))
        return (
            u_grad,
            delta_grad,
            B_grad.sum(0),
            C_grad.sum(0),
            z_grad,
            A_grad.sum(0),
            D_grad.sum(0),
            bias_grad,
            None,
        )


def _grid(u: Tensor) -> tuple[int, int]:
    return len(u), triton.cdiv(u.shape[2], CHANNELS)


def _constants(A: Tensor, softplus: bool) -> dict[str, Any]:
    state_size, channels = A.shape
    sizes = {"channels": channels, "state_size": state_size, "N": triton.next_power_of_2(state_size)}
    return {
        **sizes,
        "BLOCK": CHANNELS,
        "STEPS": STEPS,
        "SOFTPLUS": softplus,
        "num_warps": CHANNELS // 32,
        "enable_fp_fusion": True,
    }


@triton.jit
def _softplus(x):  # type: ignore[no-untyped-def]
    """log(1 + e^x) to the last digits where e^x is small, and x above 20 as PyTorch has it."""
    e = tl.exp(tl.minimum(x, 20.0))
    one_more = 1.0 + e
    # log(w) e / (w - 1) takes back the rounding of w = 1 + e (Kahan; Higham 2002, section 1.14.1).
    rounded = one_more - 1.0
    log = tl.where(rounded == 0.0, e, tl.log(one_more) * (e / tl.where(rounded == 0.0, 1.0, rounded)))
    return tl.where(x > 20.0, x, log)


@triton.jit
def _sigmoid(x):  # type: ignore[no-untyped-def]
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _forward(  # type: ignore[no-untyped-def]
    u,
    delta,
    B,
    C,
    z,
    A,
    D,
    bias,
    y,
    starts,
    length,
    channels: tl.constexpr,
    state_size: tl.constexpr,
    N: tl.constexpr,
    BLOCK: tl.constexpr,
    STEPS: tl.constexpr,
    SOFTPLUS: tl.constexpr,
):
    sequence = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # [D]
    n = tl.arange(0, N)  # [N]
    cell = n[:, None] * channels + d[None, :]  # [N, D]
    in_d, in_n = d < channels, n < state_size
    in_cell = in_n[:, None] & in_d[None, :]
    A_cell = tl.load(A + cell, in_cell, 0.0) * LOG2_E
    D_d = tl.load(D + d, in_d, 0.0)
    state = tl.zeros_like(A_cell)
    for first in range(0, length, STEPS):
        tile = sequence * tl.cdiv(length, STEPS) + first // STEPS
        tl.store(starts + tile * (state_size * channels) + cell, state, in_cell)
        for k in tl.static_range(STEPS):
            inside = tl.minimum(
                length - first - k, 1
            )  # at most 0 past the end, where nothing is read or written
            row_d, row_n = d < inside * channels, n < inside * state_size
            row = sequence * length + first + k
            u_d = tl.load(u + row * channels + d, row_d, 0.0)
            step = tl.load(delta + row * channels + d, row_d, 0.0)
            B_n = tl.load(B + row * state_size + n, row_n, 0.0)
            C_n = tl.load(C + row * state_size + n, row_n, 0.0)
            if bias is not None:
                step += tl.load(bias + d, in_d, 0.0)
            if SOFTPLUS:
                step = _softplus(step)
            state = tl.exp2(step[None, :] * A_cell) * state + B_n[:, None] * (step * u_d)[None, :]
            out = tl.sum(state * C_n[:, None], 0) + D_d * u_d
            if z is not None:
                z_d = tl.load(z + row * channels + d, row_d, 0.0)
                out *= z_d * _sigmoid(z_d)
            tl.store(y + row * channels + d, out, row_d)


@triton.jit
def _backward(  # type: ignore[no-untyped-def]
    u,
    delta,
    B,
    C,
    z,
    A,
    D,
    bias,
    starts,
    y_grad,
    u_grad,
    delta_grad,
    z_grad,
    B_grad,
    C_grad,
    A_grad,
    D_grad,
    length,
    channels: tl.constexpr,
    state_size: tl.constexpr,
    N: tl.constexpr,
    BLOCK: tl.constexpr,
    STEPS: tl.constexpr,
    SOFTPLUS: tl.constexpr,
):
    sequence, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    d = block * BLOCK + tl.arange(0, BLOCK)  # [D]
    n = tl.arange(0, N)  # [N]
    cell = n[:, None] * channels + d[None, :]  # [N, D]
    in_d, in_n = d < channels, n < state_size
    in_cell = in_n[:, None] & in_d[None, :]
    A_cell = tl.load(A + cell, in_cell, 0.0) * LOG2_E
    D_d = tl.load(D + d, in_d, 0.0)
    later = tl.zeros_like(A_cell)  # [N, D], gradient of the state before the step that follows
    A_sum, D_sum = tl.zeros_like(A_cell), tl.zeros_like(D_d)
    share = (block * tl.num_programs(0) + sequence) * length  # first row of this program in B_grad and C_grad
    tiles = tl.cdiv(length, STEPS)
    for tile in range(tiles - 1, -1, -1):
        state = tl.load(starts + (sequence * tiles + tile) * (state_size * channels) + cell, in_cell, 0.0)
        states = (state,)
        steps = ()
        for k in tl.static_range(STEPS):
            inside = tl.minimum(length - tile * STEPS - k, 1)
            row_d, row_n = d < inside * channels, n < inside * state_size
            row = sequence * length + tile * STEPS + k
            u_d = tl.load(u + row * channels + d, row_d, 0.0)
            step = tl.load(delta + row * channels + d, row_d, 0.0)
            B_n = tl.load(B + row * state_size + n, row_n, 0.0)
            if bias is not None:
                step += tl.load(bias + d, in_d, 0.0)
            if SOFTPLUS:
                step = _softplus(step)
            state = tl.exp2(step[None, :] * A_cell) * state + B_n[:, None] * (step * u_d)[None, :]
            states, steps = states + (state,), steps + (step,)  # noqa: RUF005 - Triton knows no star
        for k in tl.static_range(STEPS - 1, -1, -1):
            inside = tl.minimum(length - tile * STEPS - k, 1)
            row_d, row_n = d < inside * channels, n < inside * state_size
            row = sequence * length + tile * STEPS + k
            step = steps[k]
            u_d = tl.load(u + row * channels + d, row_d, 0.0)
            B_n = tl.load(B + row * state_size + n, row_n, 0.0)
            C_n = tl.load(C + row * state_size + n, row_n, 0.0)
            grad = tl.load(y_grad + row * channels + d, row_d, 0.0)
            if z is not None:
                z_d = tl.load(z + row * channels + d, row_d, 0.0)
                gate = _sigmoid(z_d)
                ungated = tl.sum(states[k + 1] * C_n[:, None], 0) + D_d * u_d
                z_slope = grad * ungated * gate * (1.0 + z_d * (1.0 - gate))
                tl.store(z_grad + row * channels + d, z_slope, row_d)
                grad *= z_d * gate
            state_grad = later + C_n[:, None] * grad[None, :]  # [N, D]
            share_row = (share + tile * STEPS + k) * state_size + n
            tl.store(C_grad + share_row, tl.sum(states[k + 1] * grad[None, :], 1), row_n)
            tl.store(B_grad + share_row, tl.sum(state_grad * (step * u_d)[None, :], 1), row_n)
            x_grad = tl.sum(state_grad * B_n[:, None], 0)  # [D]
            # Past the end nothing moves: `later` stays zero there, because grad is.
            later = tl.exp2(step[None, :] * A_cell) * state_grad
            log_decay_grad = later * states[k]  # [N, D]
            A_sum += log_decay_grad * step[None, :]
            D_sum += grad * u_d
            step_grad = tl.sum(log_decay_grad * A_cell, 0) * LN_2 + x_grad * u_d
            if SOFTPLUS:
                raw = tl.load(delta + row * channels + d, row_d, 0.0)
                if bias is not None:
                    raw += tl.load(bias + d, in_d, 0.0)
                step_grad *= _sigmoid(raw)
            tl.store(delta_grad + row * channels + d, step_grad, row_d)
            tl.store(u_grad + row * channels + d, x_grad * step + grad * D_d, row_d)
    tl.store(A_grad + sequence * (state_size * channels) + cell, A_sum, in_cell)
    tl.store(D_grad + sequence * channels + d, D_sum, in_d)
