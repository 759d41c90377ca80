"""The selective scan on CUDA without mamba-ssm: one Triton kernel forward, one backward, softplus and gate inside.

A program is one warp that walks one sequence for a block of channels, their states in its registers; nothing is
shared with another program but the gradients that several have a share in, each written apart and summed
afterwards, so there are no atomics and the bits are the same every time. Forward writes the state before every STEPS steps;
backward reads it, computes the steps' states once more and walks back (arXiv:2312.00752, section 3.3.2). All
memory is [B, L, D], so that a step's loads are contiguous.
Called by selective_scan; under TRITON_INTERPRET=1 it runs on the CPU too, slowly, for the tests.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

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
def _softplus(x):
    """log(1 + e^x) to the last digits where e^x is small, and x above 20 as PyTorch has it."""
    e = tl.exp(tl.minimum(x, 20.0))
    one_more = 1.0 + e
    # log(w) e / (w - 1) takes back the rounding of w = 1 + e (Kahan; Higham 2002, section 1.14.1).
    rounded = one_more - 1.0
    log = tl.where(rounded == 0.0, e, tl.log(one_more) * (e / tl.where(rounded == 0.0, 1.0, rounded)))
    return tl.where(x > 20.0, x, log)


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _load(pointer, row, width: tl.constexpr, column, inside):
    """Entries `column` of a row of [rows, width]; zeros where there are none or `inside` is not 1."""
    return tl.load(pointer + row * width + column, column < inside * width, 0.0)


@triton.jit
def _store(pointer, row, width: tl.constexpr, column, inside, value):
    tl.store(pointer + row * width + column, value, column < inside * width)


@triton.jit
def _raw_step(delta, bias, row, width: tl.constexpr, d, inside):
    raw = _load(delta, row, width, d, inside)
    if bias is not None:
        raw += _load(bias, 0, width, d, 1)
    return raw


@triton.jit
def _forward(
    u, delta, B, C, z, A, D, bias, y, starts, length,
    channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr,
    STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    sequence = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)  # [D]
    n = tl.arange(0, N)  # [N]
    cell = n[:, None] * channels + d[None, :]  # [N, D]
    in_cell = (n < state_size)[:, None] & (d < channels)[None, :]
    A_cell = tl.load(A + cell, in_cell, 0.0) * LOG2_E
    D_d = _load(D, 0, channels, d, 1)
    state = tl.zeros_like(A_cell)
    for first in range(0, length, STEPS):
        tile = sequence * tl.cdiv(length, STEPS) + first // STEPS
        tl.store(starts + tile * (state_size * channels) + cell, state, in_cell)
        for k in tl.static_range(STEPS):
            row = sequence * length + first + k
            inside = tl.minimum(length - first - k, 1)  # at most 0 past the end
            u_d = _load(u, row, channels, d, inside)
            step = _raw_step(delta, bias, row, channels, d, inside)
            if SOFTPLUS:
                step = _softplus(step)
            B_n = _load(B, row, state_size, n, inside)
            C_n = _load(C, row, state_size, n, inside)
            state = tl.exp2(step[None, :] * A_cell) * state + B_n[:, None] * (step * u_d)[None, :]
            out = tl.sum(state * C_n[:, None], 0) + D_d * u_d
            if z is not None:
                z_d = _load(z, row, channels, d, inside)
                out *= z_d * _sigmoid(z_d)
            _store(y, row, channels, d, inside, out)


@triton.jit
def _recompute(
    u, delta, B, bias, A_cell, state, row, left, d, n,
    channels: tl.constexpr, state_size: tl.constexpr, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """The states before and after each of STEPS steps from `row` on, and the steps; `left` are in the sequence."""
    states, steps = (state,), ()
    for k in tl.static_range(STEPS):
        inside = tl.minimum(left - k, 1)
        step = _raw_step(delta, bias, row + k, channels, d, inside)
        if SOFTPLUS:
            step = _softplus(step)
        x = step * _load(u, row + k, channels, d, inside)
        B_n = _load(B, row + k, state_size, n, inside)
        state = tl.exp2(step[None, :] * A_cell) * state + B_n[:, None] * x[None, :]
        states, steps = states + (state,), steps + (step,)  # type: ignore[assignment]  # noqa: RUF005
    return states, steps


@triton.jit
def _backward(
    u, delta, B, C, z, A, D, bias, starts, y_grad,
    u_grad, delta_grad, z_grad, B_grad, C_grad, A_grad, D_grad, length,
    channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr,
    STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    sequence, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    d = block * BLOCK + tl.arange(0, BLOCK)  # [D]
    n = tl.arange(0, N)  # [N]
    cell = n[:, None] * channels + d[None, :]  # [N, D]
    in_cell = (n < state_size)[:, None] & (d < channels)[None, :]
    A_cell = tl.load(A + cell, in_cell, 0.0) * LOG2_E
    D_d = _load(D, 0, channels, d, 1)
    later = tl.zeros_like(A_cell)  # [N, D], gradient of the state before the step that follows
    A_sum, D_sum = tl.zeros_like(A_cell), tl.zeros_like(D_d)
    tiles = tl.cdiv(length, STEPS)
    for tile in range(tiles - 1, -1, -1):
        start = tl.load(starts + (sequence * tiles + tile) * (state_size * channels) + cell, in_cell, 0.0)
        first, left = sequence * length + tile * STEPS, length - tile * STEPS
        states, steps = _recompute(
            u, delta, B, bias, A_cell, start, first, left, d, n, channels, state_size, STEPS, SOFTPLUS
        )
        for k in tl.static_range(STEPS - 1, -1, -1):
            row, inside, step = first + k, tl.minimum(left - k, 1), steps[k]
            u_d, grad = _load(u, row, channels, d, inside), _load(y_grad, row, channels, d, inside)
            B_n, C_n = _load(B, row, state_size, n, inside), _load(C, row, state_size, n, inside)
            if z is not None:
                z_d = _load(z, row, channels, d, inside)
                gate = _sigmoid(z_d)
                ungated = tl.sum(states[k + 1] * C_n[:, None], 0) + D_d * u_d
                _store(z_grad, row, channels, d, inside, grad * ungated * gate * (1.0 + z_d * (1.0 - gate)))
                grad *= z_d * gate
            state_grad = later + C_n[:, None] * grad[None, :]  # [N, D]
            share = block * tl.num_programs(0) * length + row
            _store(C_grad, share, state_size, n, inside, tl.sum(states[k + 1] * grad[None, :], 1))
            _store(B_grad, share, state_size, n, inside, tl.sum(state_grad * (step * u_d)[None, :], 1))
            later = tl.exp2(step[None, :] * A_cell) * state_grad  # past the end it stays 0, because grad is
            log_decay_grad = later * states[k]  # [N, D]
            A_sum += log_decay_grad * step[None, :]
            D_sum += grad * u_d
            x_grad = tl.sum(state_grad * B_n[:, None], 0)  # [D]
            step_grad = tl.sum(log_decay_grad * A_cell, 0) * LN_2 + x_grad * u_d
            if SOFTPLUS:
                step_grad *= _sigmoid(_raw_step(delta, bias, row, channels, d, inside))
            _store(delta_grad, row, channels, d, inside, step_grad)
            _store(u_grad, row, channels, d, inside, x_grad * step + grad * D_d)
    tl.store(A_grad + sequence * (state_size * channels) + cell, A_sum, in_cell)
    _store(D_grad, sequence, channels, d, 1, D_sum)
