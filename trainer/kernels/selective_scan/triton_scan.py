"""The selective scan on CUDA without mamba-ssm: Triton kernels forward and backward, softplus and gate inside.

A program is one warp that walks a chunk of one sequence for a block of channels, their states in its registers. Where
there are sequences enough to fill the GPU, a chunk is the whole sequence. Where there are not, a first pass walks every
chunk from a state of 0; as a chunk turns its first state h into exp(A * its summed steps) h + what it ends with from 0,
each program of the second pass finds its own first state from the chunks before it. The gradient of the state goes the
same way from the end. Forward keeps the state before every tile of a few steps; backward reads it, computes the tile's
states once more and walks back (arXiv:2312.00752, section 3.3.2). What several programs have a share in is written by
each apart and summed afterwards, so there are no atomics and the bits are the same every time. All memory is [B, L, D],
so that a step's loads are contiguous. The compiler moves no load above a store, so forward makes a tile's loads before
its first store and backward has the next tile's copied to shared memory meanwhile: no step waits for memory alone.
Called by selective_scan; under TRITON_INTERPRET=1 it runs on the CPU too, slowly, for the tests.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
LN_2: tl.constexpr = tl.constexpr(0.6931471805599453)
"""A GPU has 2^x and no e^x: A is multiplied once with log2(e), its gradient's factor taken back."""
SIZES = ("length", "chunk_length", "chunks")
"""Arguments that change from batch to batch; for no value of them are the kernels compiled anew."""
CHANNELS = 32
"""Of a program, those of one warp. Triton gives a lane 4 channels and 4 states of 16, so that neither the sums over
channels nor those over states need many shuffles."""


STEPS = 4
"""Of a tile. Backward holds as many states in registers, and forward keeps one for each tile."""
STAGES: tl.constexpr = tl.constexpr(2)
"""Tiles that backward has under way: the one that it computes, and the next one's loads."""
PROGRAMS, SHORTEST = 1056, 16
"""Sequences are cut into chunks of at least so many steps until there are so many programs. The figures are a
H200's."""


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

    All of one type, float32 or float64, in which everything is computed. Quickest where u, delta, z, B and C are
    transposed views of [B, L, ...].
    """
    rows = [x if x is None else _even(x.transpose(1, 2)) for x in (u, delta, B, C, z)]  # [B, L, ...]
    bias = delta_bias if delta_bias is None else delta_bias.contiguous()
    y: Tensor = _TritonScan.apply(*rows, A.t().contiguous(), D.contiguous(), bias, delta_softplus)
    return y.transpose(1, 2)  # [B, D, L]


def _even(x: Tensor) -> Tensor:
    """x [B, L, width], copied unless the rows lie at even distances and are each contiguous."""
    even = x.stride(2) == 1 and (x.shape[1] == 1 or x.stride(0) == x.shape[1] * x.stride(1))
    return x if even else x.contiguous()


def _distance(x: Tensor) -> int:
    """Between two rows of x [B, L, width]. PyTorch leaves the stride of a dimension of one entry undefined."""
    return x.stride(1) if x.shape[1] > 1 else x.stride(0)


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
        chunk, chunks = _chunks(u)
        y = u.new_empty(u.shape)
        starts = u.new_empty(len(u), triton.cdiv(u.shape[1], STEPS), *A.shape)  # [B, tiles, N, D]
        ends, totals = _carries(u, A, chunks)
        grid = (len(u) * chunks * _blocks(u),)
        rows = {"u": u, "delta": delta, "B": B, "C": C, "z": z}
        constants = _constants(A, softplus, rows)
        sizes = (u.shape[1], chunk, chunks)
        if chunks > 1:
            _ends[grid](u, delta, B, None, A, bias, ends, totals, *sizes, **_walk(constants, "u", "B", False))
        _forward[grid](u, delta, B, C, z, A, D, bias, y, starts, ends, totals, *sizes, **constants)
        ctx.save_for_backward(u, delta, B, C, z, A, D, bias, starts, totals)
        ctx.softplus = softplus
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, y_grad: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, B, C, z, A, D, bias, starts, totals = ctx.saved_tensors
        (batch, length, channels), state_size = u.shape, A.shape[0]
        y_grad = _even(y_grad)
        chunk, chunks = _chunks(u)
        u_grad, delta_grad = u.new_empty(u.shape), u.new_empty(u.shape)
        z_grad = None if z is None else u.new_empty(u.shape)
        # What several programs have a share in: B and C of every block of channels, A, D and bias of every chunk.
        of_blocks = u.new_empty(_blocks(u), batch, length, 2, state_size)
        of_chunks = u.new_empty(batch * chunks, state_size + 2, channels)
        ends, _ = _carries(u, A, chunks)
        grid = (batch * chunks * _blocks(u),)
        rows = {"u": u, "delta": delta, "B": B, "C": C, "z": z, "y_grad": y_grad}
        constants = _constants(A, ctx.softplus, rows)
        if chunks > 1:
            walk = _walk(constants, "y_grad", "C", True)
            _ends[grid](y_grad, delta, C, z, A, bias, ends, None, length, chunk, chunks, **walk)
        inputs = (u, delta, B, C, z, A, D, bias, starts, ends, totals, y_grad)
        outputs = (u_grad, delta_grad, z_grad, of_blocks, of_chunks)
        _backward[grid](*inputs, *outputs, length, chunk, chunks, **constants)
        B_grad, C_grad = of_blocks.sum(0).unbind(2)  # [B, L, N] each
        A_grad, D_grad, bias_grad = of_chunks.sum(0).split((state_size, 1, 1))  # [N, D], [1, D] twice
        gradients = (u_grad, delta_grad, B_grad, C_grad, z_grad, A_grad, D_grad[0])
        return (*gradients, None if bias is None else bias_grad[0], None)


def _chunks(u: Tensor) -> tuple[int, int]:
    """Steps of a chunk, whole tiles of them, and how many chunks a sequence has."""
    batch, length, _ = u.shape
    wanted = max(PROGRAMS // (batch * _blocks(u)), 1)
    tiles = triton.cdiv(max(triton.cdiv(length, wanted), SHORTEST), STEPS)
    return tiles * STEPS, triton.cdiv(length, tiles * STEPS)


def _blocks(u: Tensor) -> int:
    return -(-u.shape[2] // CHANNELS)


def _carries(u: Tensor, A: Tensor, chunks: int) -> tuple[Tensor | None, Tensor | None]:
    """Memory for the states that the chunks end with [B, chunks, N, D], and for their summed steps [B, chunks, D]."""
    if chunks == 1:
        return None, None
    return u.new_empty(len(u), chunks, *A.shape), u.new_empty(len(u), chunks, u.shape[2])


def _constants(A: Tensor, softplus: bool, rows: dict[str, Tensor | None]) -> dict[str, Any]:
    """Returns what the kernels are compiled for, the distance between two rows of every tensor of rows too: with it
    known, the address of a tile is enough for all its rows.
    """
    state_size, channels = A.shape
    sizes = {"channels": channels, "state_size": state_size, "N": triton.next_power_of_2(state_size)}
    strides = {f"{name}_row": 0 if x is None else _distance(x) for name, x in rows.items()}
    settings = {"BLOCK": CHANNELS, "STEPS": STEPS, "SOFTPLUS": softplus}
    return {**sizes, **strides, **settings, "num_warps": 1, "enable_fp_fusion": True}


def _walk(constants: dict[str, Any], values: str, weights: str, back: bool) -> dict[str, Any]:
    """Returns the constants of _ends, whose values and weights are these."""
    strides = {f"{name}_row" for name in ("u", "B", "C", "y_grad")}
    rest = {name: value for name, value in constants.items() if name not in strides}
    chosen = {"values_row": constants[f"{values}_row"], "weights_row": constants[f"{weights}_row"]}
    return {**rest, **chosen, "BACK": back}


@triton.jit
def _softplus(x):
    """log(1 + e^x) to the last digits where e^x is small, and x above 20 as PyTorch has it."""
    e = tl.exp2(tl.minimum(x, 20.0) * LOG2_E)
    one_more = 1.0 + e
    # log(w) e / (w - 1) takes back the rounding of w = 1 + e (Kahan; Higham 2002, section 1.14.1).
    rounded = one_more - 1.0
    log = tl.where(rounded == 0.0, e, tl.log2(one_more) * LN_2 * (e / tl.where(rounded == 0.0, 1.0, rounded)))
    return tl.where(x > 20.0, x, log)


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp2(x * -LOG2_E))


@triton.jit
def _place(chunks, channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr):
    """The program's block, sequence and chunk.

    Its channels d [D], the states n [N], and cells [N, D], those that exist being `inside`.
    """
    blocks = tl.cdiv(channels, BLOCK)
    block, place = tl.program_id(0) % blocks, tl.program_id(0) // blocks
    d, n = block * BLOCK + tl.arange(0, BLOCK), tl.arange(0, N)
    inside = (n < state_size)[:, None] & (d < channels)[None, :]
    sequence, chunk = (place // chunks).to(tl.int64), place % chunks
    return block, sequence, chunk, d, n, n[:, None] * channels + d[None, :], inside


@triton.jit
def _within(column, width: tl.constexpr, left, k):
    """Where a column is below `width` and row k one of the `left`."""
    return column < tl.minimum(left - k, 1) * width


@triton.jit
def _row(tile, k: tl.constexpr, stride: tl.constexpr, column, width: tl.constexpr, left):
    """Entries `column` of row k of a tile; zeros beyond `width` and the `left` rows."""
    return tl.load(tile + (k * stride + column), _within(column, width, left, k), 0.0)


@triton.jit
def _rows(tile, STEPS: tl.constexpr, stride: tl.constexpr, column, width: tl.constexpr, left):
    rows = ()
    for k in tl.static_range(STEPS):
        rows = rows + (_row(tile, k, stride, column, width, left),)  # type: ignore[assignment]  # noqa: RUF005
    return rows


@triton.jit
def _step(raw, bias, SOFTPLUS: tl.constexpr):
    step = raw + bias
    return _softplus(step) if SOFTPLUS else step


@triton.jit
def _bias(bias, D_d, d, channels: tl.constexpr):
    return tl.zeros_like(D_d) if bias is None else tl.load(bias + d, d < channels, 0.0)


@triton.jit
def _carried(
    ends, totals, place, chunks, way: tl.constexpr, A_cell, d, cell, inside,
    channels: tl.constexpr, state_size: tl.constexpr,
):  # fmt: skip
    """The state [N, D] that so many chunks from `place` on leave behind, in this way; 0 where there are none."""
    state = tl.zeros_like(A_cell)
    if ends is not None:
        for i in range(chunks):
            at = place + way * i
            total = tl.load(totals + at * channels + d, d < channels, 0.0)
            end = tl.load(ends + at * (state_size * channels) + cell, inside, 0.0)
            state = tl.exp2(total[None, :] * A_cell) * state + end
    return state


@triton.jit(do_not_specialize=SIZES)
def _ends(
    values, delta, weights, z, A, bias, ends, totals, length, chunk_length, chunks,
    values_row: tl.constexpr, delta_row: tl.constexpr, weights_row: tl.constexpr, z_row: tl.constexpr,
    channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr,
    STEPS: tl.constexpr, SOFTPLUS: tl.constexpr, BACK: tl.constexpr,
):  # fmt: skip
    """Of every chunk the state after it, had it been 0 before, and the sum of its steps; values are u, weights B.

    BACK: the gradient of the state before it, had it been 0 after; values are the gradient of y, weights C.
    """
    _, sequence, chunk, d, n, cell, inside = _place(chunks, channels, state_size, N, BLOCK)
    A_cell = tl.load(A + cell, inside, 0.0) * LOG2_E
    state, total = tl.zeros_like(A_cell), tl.sum(tl.zeros_like(A_cell), 0)  # [N, D], [D]
    bias_d = _bias(bias, total, d, channels)
    start = chunk * chunk_length
    size = tl.minimum(chunk_length, length - start)
    for walked in range(0, size, STEPS):
        first = (size - 1) // STEPS * STEPS - walked if BACK else walked
        row, left = sequence * length + start + first, size - first
        v = _rows(values + row * values_row, STEPS, values_row, d, channels, left)
        raw = _rows(delta + row * delta_row, STEPS, delta_row, d, channels, left)
        w = _rows(weights + row * weights_row, STEPS, weights_row, n, state_size, left)
        if z is not None:
            z_tile = _rows(z + row * z_row, STEPS, z_row, d, channels, left)
        for k in tl.static_range(STEPS - 1 if BACK else 0, -1 if BACK else STEPS, -1 if BACK else 1):
            step = _step(raw[k], bias_d, SOFTPLUS)
            decay = tl.exp2(step[None, :] * A_cell)
            if BACK:
                value = v[k] * z_tile[k] * _sigmoid(z_tile[k]) if z is not None else v[k]
                state = decay * (state + w[k][:, None] * value[None, :])
            else:
                state = decay * state + w[k][:, None] * (step * v[k])[None, :]
                total += step
    place = sequence * chunks + chunk
    tl.store(ends + place * (state_size * channels) + cell, state, inside)
    if totals is not None:
        tl.store(totals + place * channels + d, total, d < channels)


@triton.jit(do_not_specialize=SIZES)
def _forward(
    u, delta, B, C, z, A, D, bias, y, starts, ends, totals, length, chunk_length, chunks,
    u_row: tl.constexpr, delta_row: tl.constexpr, B_row: tl.constexpr, C_row: tl.constexpr, z_row: tl.constexpr,
    channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr,
    STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    _, sequence, chunk, d, n, cell, inside = _place(chunks, channels, state_size, N, BLOCK)
    A_cell = tl.load(A + cell, inside, 0.0) * LOG2_E
    D_d = tl.load(D + d, d < channels, 0.0)
    bias_d = _bias(bias, D_d, d, channels)
    before = sequence * chunks
    state = _carried(ends, totals, before, chunk, 1, A_cell, d, cell, inside, channels, state_size)
    start = chunk * chunk_length
    size = tl.minimum(chunk_length, length - start)
    for first in range(0, size, STEPS):
        row, left = sequence * length + start + first, size - first
        u_tile = _rows(u + row * u_row, STEPS, u_row, d, channels, left)
        raw = _rows(delta + row * delta_row, STEPS, delta_row, d, channels, left)
        B_tile = _rows(B + row * B_row, STEPS, B_row, n, state_size, left)
        C_tile = _rows(C + row * C_row, STEPS, C_row, n, state_size, left)
        if z is not None:
            z_tile = _rows(z + row * z_row, STEPS, z_row, d, channels, left)
        tile = sequence * tl.cdiv(length, STEPS) + (start + first) // STEPS
        tl.store(starts + tile * (state_size * channels) + cell, state, inside)
        y_tile = y + row * channels
        for k in tl.static_range(STEPS):
            step = _step(raw[k], bias_d, SOFTPLUS)
            state = tl.exp2(step[None, :] * A_cell) * state + B_tile[k][:, None] * (step * u_tile[k])[None, :]
            out = tl.sum(state * C_tile[k][:, None], 0) + D_d * u_tile[k]
            if z is not None:
                out *= z_tile[k] * _sigmoid(z_tile[k])
            tl.store(y_tile + (k * channels + d), out, _within(d, channels, left, k))


@triton.jit(do_not_specialize=SIZES)
def _backward(
    u, delta, B, C, z, A, D, bias, starts, ends, totals, y_grad,
    u_grad, delta_grad, z_grad, of_blocks, of_chunks, length, chunk_length, chunks,
    u_row: tl.constexpr, delta_row: tl.constexpr, B_row: tl.constexpr, C_row: tl.constexpr, z_row: tl.constexpr,
    y_grad_row: tl.constexpr,
    channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr,
    STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    block, sequence, chunk, d, n, cell, inside = _place(chunks, channels, state_size, N, BLOCK)
    A_cell = tl.load(A + cell, inside, 0.0) * LOG2_E
    D_d = tl.load(D + d, d < channels, 0.0)
    bias_d = _bias(bias, D_d, d, channels)
    last = (sequence + 1) * chunks - 1
    # [N, D], gradient of the state before the step that follows, at first of what the later chunks leave
    later = _carried(ends, totals, last, chunks - 1 - chunk, -1, A_cell, d, cell, inside, channels, state_size)
    A_sum, D_sum, bias_sum = tl.zeros_like(A_cell), tl.zeros_like(D_d), tl.zeros_like(D_d)
    shares = block * (tl.num_programs(0) // (tl.cdiv(channels, BLOCK) * chunks)).to(tl.int64) * length
    start = chunk * chunk_length
    size = tl.minimum(chunk_length, length - start)
    for walked in tl.range(0, size, STEPS, num_stages=STAGES):
        first = (size - 1) // STEPS * STEPS - walked
        row, left = sequence * length + start + first, size - first
        u_tile, delta_tile, y_grad_tile = u + row * u_row, delta + row * delta_row, y_grad + row * y_grad_row
        B_tile, C_tile = B + row * B_row, C + row * C_row
        u_grad_tile, delta_grad_tile = u_grad + row * channels, delta_grad + row * channels
        shares_tile = of_blocks + (shares + row) * (2 * state_size)
        tile = sequence * tl.cdiv(length, STEPS) + (start + first) // STEPS
        states = (tl.load(starts + tile * (state_size * channels) + cell, inside, 0.0),)
        for k in tl.static_range(STEPS):
            step = _step(_row(delta_tile, k, delta_row, d, channels, left), bias_d, SOFTPLUS)
            x = step * _row(u_tile, k, u_row, d, channels, left)
            B_n = _row(B_tile, k, B_row, n, state_size, left)
            state = tl.exp2(step[None, :] * A_cell) * states[k] + B_n[:, None] * x[None, :]
            states = states + (state,)  # type: ignore[assignment]  # noqa: RUF005
        # Loaded once more, not held: registers are for the states, and the pipeline has the rows in shared memory.
        for k in tl.static_range(STEPS - 1, -1, -1):
            in_row = _within(d, channels, left, k)
            u_d = _row(u_tile, k, u_row, d, channels, left)
            raw = _row(delta_tile, k, delta_row, d, channels, left)
            grad = _row(y_grad_tile, k, y_grad_row, d, channels, left)
            B_n = _row(B_tile, k, B_row, n, state_size, left)
            C_n = _row(C_tile, k, C_row, n, state_size, left)
            step = _step(raw, bias_d, SOFTPLUS)
            if z is not None:
                z_d = _row(z + row * z_row, k, z_row, d, channels, left)
                gate = _sigmoid(z_d)
                ungated = tl.sum(states[k + 1] * C_n[:, None], 0) + D_d * u_d
                z_d_grad = grad * ungated * gate * (1.0 + z_d * (1.0 - gate))
                tl.store(z_grad + row * channels + (k * channels + d), z_d_grad, in_row)
                grad *= z_d * gate
            state_grad = later + C_n[:, None] * grad[None, :]  # [N, D]
            B_share = tl.sum(state_grad * (step * u_d)[None, :], 1)  # [N]
            C_share = tl.sum(states[k + 1] * grad[None, :], 1)  # [N]
            tl.store(shares_tile + (2 * k * state_size + n), B_share, _within(n, state_size, left, k))
            tl.store(shares_tile + (2 * k * state_size + state_size + n), C_share, _within(n, state_size, left, k))
            later = tl.exp2(step[None, :] * A_cell) * state_grad  # past the end it stays 0, because grad is
            log_decay_grad = later * states[k]  # [N, D]
            A_sum += log_decay_grad * step[None, :]
            D_sum += grad * u_d
            x_grad = tl.sum(state_grad * B_n[:, None], 0)  # [D]
            step_grad = tl.sum(log_decay_grad * A_cell, 0) * LN_2 + x_grad * u_d
            if SOFTPLUS:
                step_grad *= _sigmoid(raw + bias_d)
            bias_sum += step_grad
            tl.store(delta_grad_tile + (k * channels + d), step_grad, in_row)
            tl.store(u_grad_tile + (k * channels + d), x_grad * step + grad * D_d, in_row)
    of_chunk = of_chunks + (sequence * chunks + chunk) * ((state_size + 2) * channels)
    tl.store(of_chunk + cell, A_sum, inside)
    tl.store(of_chunk + (state_size * channels + d), D_sum, d < channels)
    tl.store(of_chunk + ((state_size + 1) * channels + d), bias_sum, d < channels)
