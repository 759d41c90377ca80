"""The selective scan on CUDA without mamba-ssm: Triton kernels forward and backward, with softplus and gate inside.

A program is one warp that walks a chunk of one sequence for a block of channels, with their states in its registers.
Where there are enough sequences to fill the GPU, a chunk is a whole sequence. Where there are not, a first pass walks
every chunk from a state of 0. A chunk turns its first state h into exp(A * its summed steps) h plus the state that it
reaches from 0, so each program of the second pass computes its own first state from the chunks before it. The gradient
of the state is computed likewise from the end.

The forward pass keeps the state before every tile of a few steps; the backward pass reads it, recomputes the tile's
states and walks back (Gu and Dao 2023, arXiv:2312.00752, section 3.3.2). Where several programs contribute to a
gradient, each writes its share and the shares are summed afterwards: without atomics the bits are the same every time.

All memory is [B, L, D], so that a step's loads are contiguous. The compiler moves no load above a store. Forward
therefore makes a tile's loads before its first store, and backward copies the next tile to shared memory meanwhile: no
step waits for memory alone. Under TRITON_INTERPRET=1 the kernels run on the CPU too, slowly, for tests.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainer.kernels.context import Context
from trainer.kernels.selective_scan.triton_kernels import chunk_ends, scan_backward, scan_forward

CHANNELS = 32
"""Channels of a program, which is one warp. Triton gives a lane 4 channels and 4 of 16 states, so that neither the sums
over channels nor those over states need many shuffles."""
STEPS = 4
"""Steps of a tile. Backward holds as many states in registers, and forward keeps one state per tile."""
PROGRAMS, SHORTEST = 1056, 16
"""Sequences are cut into chunks of at least SHORTEST steps until there are PROGRAMS programs; the figures suit an
H200."""


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
    """Returns y [B, D, L] of u, delta and z [B, D, L], A [D, N], B and C [B, N, L], D and delta_bias [D].

    All are of one type, float32 or float64, in which everything is computed. The scan is fastest where u, delta, z, B
    and C are transposed views of [B, L, ...].
    """
    rows = [x if x is None else _even(x.transpose(1, 2)) for x in (u, delta, B, C, z)]  # [B, L, ...]
    bias = delta_bias if delta_bias is None else delta_bias.contiguous()
    y: Tensor = _TritonScan.apply(*rows, A.t().contiguous(), D.contiguous(), bias, delta_softplus)
    return y.transpose(1, 2)  # [B, D, L]


def _even(x: Tensor) -> Tensor:
    """Returns x [B, L, width], copied unless its rows are contiguous and equally far apart."""
    even = x.stride(2) == 1 and (x.shape[1] == 1 or x.stride(0) == x.shape[1] * x.stride(1))
    return x if even else x.contiguous()


def _distance(x: Tensor) -> int:
    """Returns the distance of two rows of x [B, L, width].

    PyTorch leaves the stride of a dimension with one entry undefined.
    """
    return x.stride(1) if x.shape[1] > 1 else x.stride(0)


class _TritonScan(torch.autograd.Function):
    """The scan from u, delta, z [B, L, D], B, C [B, L, N], A [N, D], D and bias [D] to y [B, L, D]."""

    @staticmethod
    def forward(
        ctx: Context,
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
        chunk, chunks = _chunks(u)
        y = u.new_empty(u.shape)
        starts = u.new_empty(len(u), triton.cdiv(u.shape[1], STEPS), *A.shape)  # [B, tiles, N, D]
        ends, totals = _carries(u, A, chunks)
        grid = (len(u) * chunks * _blocks(u),)
        rows = {"u": u, "delta": delta, "B": B, "C": C, "z": z}
        constants = _constants(A, softplus, rows)
        sizes = (u.shape[1], chunk, chunks)
        if chunks > 1:
            chunk_ends[grid](u, delta, B, None, A, bias, ends, totals, *sizes, **_walk(constants, "u", "B", False))
        scan_forward[grid](u, delta, B, C, z, A, D, bias, y, starts, ends, totals, *sizes, **constants)
        ctx.save_for_backward(u, delta, B, C, z, A, D, bias, starts, totals)
        ctx.softplus = softplus
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, y_grad: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, B, C, z, A, D, bias, starts, totals = ctx.saved_tensors
        (batch, length, channels), state_size = u.shape, A.shape[0]
        y_grad = _even(y_grad)
        chunk, chunks = _chunks(u)
        u_grad, delta_grad = u.new_empty(u.shape), u.new_empty(u.shape)
        z_grad = None if z is None else u.new_empty(u.shape)
        # The shares of the programs: for B and C of every block of channels, for A, D and the bias of every chunk.
        of_blocks = u.new_empty(_blocks(u), batch, length, 2, state_size)
        of_chunks = u.new_empty(batch * chunks, state_size + 2, channels)
        ends, _ = _carries(u, A, chunks)
        grid = (batch * chunks * _blocks(u),)
        rows = {"u": u, "delta": delta, "B": B, "C": C, "z": z, "y_grad": y_grad}
        constants = _constants(A, ctx.softplus, rows)
        if chunks > 1:
            walk = _walk(constants, "y_grad", "C", True)
            chunk_ends[grid](y_grad, delta, C, z, A, bias, ends, None, length, chunk, chunks, **walk)
        inputs = (u, delta, B, C, z, A, D, bias, starts, ends, totals, y_grad)
        outputs = (u_grad, delta_grad, z_grad, of_blocks, of_chunks)
        scan_backward[grid](*inputs, *outputs, length, chunk, chunks, **constants)
        B_grad, C_grad = of_blocks.sum(0).unbind(2)  # [B, L, N] each
        A_grad, D_grad, bias_grad = of_chunks.sum(0).split((state_size, 1, 1))  # [N, D], [1, D] twice
        gradients = (u_grad, delta_grad, B_grad, C_grad, z_grad, A_grad, D_grad[0])
        return (*gradients, None if bias is None else bias_grad[0], None)


def _chunks(u: Tensor) -> tuple[int, int]:
    """Returns the steps of a chunk, which has whole tiles, and the chunks of a sequence."""
    batch, length, _ = u.shape
    wanted = max(PROGRAMS // (batch * _blocks(u)), 1)
    tiles = triton.cdiv(max(triton.cdiv(length, wanted), SHORTEST), STEPS)
    return tiles * STEPS, triton.cdiv(length, tiles * STEPS)


def _blocks(u: Tensor) -> int:
    return -(-u.shape[2] // CHANNELS)


def _carries(u: Tensor, A: Tensor, chunks: int) -> tuple[Tensor | None, Tensor | None]:
    """Returns memory for the states after the chunks [B, chunks, N, D] and for their summed steps [B, chunks, D]."""
    if chunks == 1:
        return None, None
    return u.new_empty(len(u), chunks, *A.shape), u.new_empty(len(u), chunks, u.shape[2])


def _constants(A: Tensor, softplus: bool, rows: dict[str, Tensor | None]) -> dict[str, int]:
    """Returns the constants that the kernels are compiled for.

    The distance between the rows of every tensor is one of them, so that a tile's address is enough for all its rows.
    """
    state_size, channels = A.shape
    sizes = {"channels": channels, "state_size": state_size, "N": triton.next_power_of_2(state_size)}
    strides = {f"{name}_row": 0 if x is None else _distance(x) for name, x in rows.items()}
    settings = {"BLOCK": CHANNELS, "STEPS": STEPS, "SOFTPLUS": softplus}
    return {**sizes, **strides, **settings, "num_warps": 1, "enable_fp_fusion": True}


def _walk(constants: dict[str, int], values: str, weights: str, back: bool) -> dict[str, int]:
    """Returns the constants of chunk_ends for these values and weights."""
    strides = {f"{name}_row" for name in ("u", "B", "C", "y_grad")}
    rest = {name: value for name, value in constants.items() if name not in strides}
    chosen = {"values_row": constants[f"{values}_row"], "weights_row": constants[f"{weights}_row"]}
    return {**rest, **chosen, "BACK": back}
