"""The Triton kernels of the selective scan, forward and backward; triton_scan.py starts them and explains them.

A program is one warp, which walks a chunk of one sequence for a block of channels. In the shapes, D are the block's
channels and N the states of a channel. The rows of a tensor are its steps; their distance in memory is a constant.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import triton
import triton.language as tl

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)
LN_2: tl.constexpr = tl.constexpr(0.6931471805599453)
"""A GPU has 2^x but no e^x: A is multiplied with log2(e) once, and its gradient is corrected for it."""
SIZES = ("length", "chunk_length", "chunks")
"""Arguments that change from batch to batch; the kernels are not recompiled for new values of them."""
STAGES: tl.constexpr = tl.constexpr(2)
"""Tiles that backward works on at a time: it computes one while the next one is loaded."""


@triton.jit
def _softplus(x):
    """Returns log(1 + e^x), to the last digits where e^x is small, and x above 20, as PyTorch does."""
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
    """Returns the program's block, sequence and chunk, its channels [D], the states [N], and its cells.

    Cells are offsets [N, D] into A and into a state; the last value says which of them exist.
    """
    blocks = tl.cdiv(channels, BLOCK)
    block, place = tl.program_id(0) % blocks, tl.program_id(0) // blocks
    d, n = block * BLOCK + tl.arange(0, BLOCK), tl.arange(0, N)
    inside = (n < state_size)[:, None] & (d < channels)[None, :]
    sequence, chunk = (place // chunks).to(tl.int64), place % chunks
    return block, sequence, chunk, d, n, n[:, None] * channels + d[None, :], inside


@triton.jit
def _within(column, width: tl.constexpr, left, k):
    """Returns which columns are below `width`, if row k is one of the rows `left`."""
    return column < tl.minimum(left - k, 1) * width


@triton.jit
def _row(tile, k: tl.constexpr, stride: tl.constexpr, column, width: tl.constexpr, left):
    """Returns the entries `column` of row k of a tile; zeros beyond `width` and the rows `left`."""
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
def _parameters(A, D, bias, cell, inside, d, channels: tl.constexpr):
    """Returns A [N, D] times log2(e), D [D] and the bias [D] of the program's channels."""
    A_cell = tl.load(A + cell, inside, 0.0) * LOG2_E
    D_d = tl.load(D + d, d < channels, 0.0)
    return A_cell, D_d, _bias(bias, D_d, d, channels)


@triton.jit
def _span(chunk, chunk_length, length):
    """Returns the first step of a chunk, and how many steps it has."""
    start = chunk * chunk_length
    return start, tl.minimum(chunk_length, length - start)


@triton.jit
def _carried(
    ends, totals, place, chunks, way: tl.constexpr, A_cell, d, cell, inside,
    channels: tl.constexpr, state_size: tl.constexpr,
):  # fmt: skip
    """Returns the state [N, D] after so many chunks from `place` on, in the direction `way`; 0 without chunks.

    Backwards, with a `way` of -1, it is the gradient of the state.
    """
    state = tl.zeros_like(A_cell)
    if ends is not None:
        for i in range(chunks):
            at = place + way * i
            total = tl.load(totals + at * channels + d, d < channels, 0.0)
            end = tl.load(ends + at * (state_size * channels) + cell, inside, 0.0)
            state = tl.exp2(total[None, :] * A_cell) * state + end
    return state


@triton.jit(do_not_specialize=SIZES)
def chunk_ends(
    values, delta, weights, z, A, bias, ends, totals, length, chunk_length, chunks,
    values_row: tl.constexpr, delta_row: tl.constexpr, weights_row: tl.constexpr, z_row: tl.constexpr,
    channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr,
    STEPS: tl.constexpr, SOFTPLUS: tl.constexpr, BACK: tl.constexpr,
):  # fmt: skip
    """Writes for every chunk the state after it, from 0 before it, and the sum of its steps; values are u, weights B.

    BACK: the gradient of the state before it, from 0 after it; values are the gradient of y, weights C.
    """
    _, sequence, chunk, d, n, cell, inside = _place(chunks, channels, state_size, N, BLOCK)
    A_cell = tl.load(A + cell, inside, 0.0) * LOG2_E
    state, total = tl.zeros_like(A_cell), tl.sum(tl.zeros_like(A_cell), 0)  # [N, D], [D]
    bias_d = _bias(bias, total, d, channels)
    start, size = _span(chunk, chunk_length, length)
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
def scan_forward(
    u, delta, B, C, z, A, D, bias, y, starts, ends, totals, length, chunk_length, chunks,
    u_row: tl.constexpr, delta_row: tl.constexpr, B_row: tl.constexpr, C_row: tl.constexpr, z_row: tl.constexpr,
    channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr,
    STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Writes y [B, L, D] and the state before each tile [B, tiles, N, D]."""
    _, sequence, chunk, d, n, cell, inside = _place(chunks, channels, state_size, N, BLOCK)
    A_cell, D_d, bias_d = _parameters(A, D, bias, cell, inside, d, channels)
    before = sequence * chunks
    state = _carried(ends, totals, before, chunk, 1, A_cell, d, cell, inside, channels, state_size)
    start, size = _span(chunk, chunk_length, length)
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


@triton.jit
def _states(
    state, u_tile, delta_tile, B_tile, A_cell, bias_d, d, n, left,
    u_row: tl.constexpr, delta_row: tl.constexpr, B_row: tl.constexpr,
    channels: tl.constexpr, state_size: tl.constexpr, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Returns the states [N, D] of a tile: the given one, which is the state before it, and one after each step."""
    states = (state,)
    for k in tl.static_range(STEPS):
        step = _step(_row(delta_tile, k, delta_row, d, channels, left), bias_d, SOFTPLUS)
        x = step * _row(u_tile, k, u_row, d, channels, left)
        B_n = _row(B_tile, k, B_row, n, state_size, left)
        state = tl.exp2(step[None, :] * A_cell) * states[k] + B_n[:, None] * x[None, :]
        states = states + (state,)  # type: ignore[assignment]  # noqa: RUF005
    return states


@triton.jit
def _gate_gradient(grad, z_d, state, C_n, D_d, u_d):
    """Returns the gradient [D] of z from that of y, and the sigmoid of z."""
    gate = _sigmoid(z_d)
    ungated = tl.sum(state * C_n[:, None], 0) + D_d * u_d
    return grad * ungated * gate * (1.0 + z_d * (1.0 - gate)), gate


@triton.jit
def _step_gradient(log_decay_grad, A_cell, of_input, biased, SOFTPLUS: tl.constexpr):
    """Returns the gradient [D] of delta: through the decay, plus `of_input` [D] through the input of the state."""
    step_grad = tl.sum(log_decay_grad * A_cell, 0) * LN_2 + of_input
    if SOFTPLUS:
        step_grad *= _sigmoid(biased)
    return step_grad


@triton.jit
def _store_shares(shares_tile, state_grad, x, state, grad, k: tl.constexpr, n, state_size: tl.constexpr, left):
    """Writes what this block of channels adds to the gradients of B and C at step k: [N] each."""
    B_share = tl.sum(state_grad * x[None, :], 1)  # [N]
    C_share = tl.sum(state * grad[None, :], 1)  # [N]
    tl.store(shares_tile + (2 * k * state_size + n), B_share, _within(n, state_size, left, k))
    tl.store(shares_tile + (2 * k * state_size + state_size + n), C_share, _within(n, state_size, left, k))


@triton.jit
def _store_sums(
    of_chunks, place, A_sum, D_sum, bias_sum, cell, inside, d, channels: tl.constexpr, state_size: tl.constexpr
):  # fmt: skip
    """Writes what this chunk adds to the gradients of A [N, D], D [D] and the bias [D]."""
    of_chunk = of_chunks + place * ((state_size + 2) * channels)
    tl.store(of_chunk + cell, A_sum, inside)
    tl.store(of_chunk + (state_size * channels + d), D_sum, d < channels)
    tl.store(of_chunk + ((state_size + 1) * channels + d), bias_sum, d < channels)


@triton.jit(do_not_specialize=SIZES)
def scan_backward(
    u, delta, B, C, z, A, D, bias, starts, ends, totals, y_grad, u_grad, delta_grad, z_grad, of_blocks, of_chunks,
    length, chunk_length, chunks, STEPS: tl.constexpr, SOFTPLUS: tl.constexpr,
    u_row: tl.constexpr, delta_row: tl.constexpr, B_row: tl.constexpr, C_row: tl.constexpr, z_row: tl.constexpr,
    y_grad_row: tl.constexpr, channels: tl.constexpr, state_size: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Writes the gradients of u, delta and z, and each program's share in those of B, C, A, D and the bias."""
    block, sequence, chunk, d, n, cell, inside = _place(chunks, channels, state_size, N, BLOCK)
    A_cell, D_d, bias_d = _parameters(A, D, bias, cell, inside, d, channels)
    last = (sequence + 1) * chunks - 1
    later = _carried(ends, totals, last, chunks - 1 - chunk, -1, A_cell, d, cell, inside, channels, state_size)
    A_sum, D_sum, bias_sum = tl.zeros_like(A_cell), tl.zeros_like(D_d), tl.zeros_like(D_d)
    shares = block * (tl.num_programs(0) // (tl.cdiv(channels, BLOCK) * chunks)).to(tl.int64) * length
    start, size = _span(chunk, chunk_length, length)
    for walked in tl.range(0, size, STEPS, num_stages=STAGES):
        first = (size - 1) // STEPS * STEPS - walked
        row, left = sequence * length + start + first, size - first
        u_tile, delta_tile, y_grad_tile = u + row * u_row, delta + row * delta_row, y_grad + row * y_grad_row
        B_tile, C_tile = B + row * B_row, C + row * C_row
        u_grad_tile, delta_grad_tile = u_grad + row * channels, delta_grad + row * channels
        shares_tile = of_blocks + (shares + row) * (2 * state_size)
        tile = sequence * tl.cdiv(length, STEPS) + (start + first) // STEPS
        states = _states(
            tl.load(starts + tile * (state_size * channels) + cell, inside, 0.0), u_tile, delta_tile, B_tile,
            A_cell, bias_d, d, n, left, u_row, delta_row, B_row, channels, state_size, STEPS, SOFTPLUS,
        )  # fmt: skip
        # Rows are loaded again: the registers are for the states, and the pipeline has the rows in shared memory.
        for k in tl.static_range(STEPS - 1, -1, -1):
            in_row = _within(d, channels, left, k)
            u_d, raw = _row(u_tile, k, u_row, d, channels, left), _row(delta_tile, k, delta_row, d, channels, left)
            grad = _row(y_grad_tile, k, y_grad_row, d, channels, left)
            B_n, C_n = _row(B_tile, k, B_row, n, state_size, left), _row(C_tile, k, C_row, n, state_size, left)
            step = _step(raw, bias_d, SOFTPLUS)
            if z is not None:
                z_d = _row(z + row * z_row, k, z_row, d, channels, left)
                z_d_grad, gate = _gate_gradient(grad, z_d, states[k + 1], C_n, D_d, u_d)
                tl.store(z_grad + row * channels + (k * channels + d), z_d_grad, in_row)
                grad *= z_d * gate
            state_grad = later + C_n[:, None] * grad[None, :]  # [N, D]
            _store_shares(shares_tile, state_grad, step * u_d, states[k + 1], grad, k, n, state_size, left)
            later = tl.exp2(step[None, :] * A_cell) * state_grad  # past the end it stays 0, because grad is
            log_decay_grad = later * states[k]  # [N, D]
            A_sum += log_decay_grad * step[None, :]
            D_sum += grad * u_d
            x_grad = tl.sum(state_grad * B_n[:, None], 0)  # [D]
            step_grad = _step_gradient(log_decay_grad, A_cell, x_grad * u_d, raw + bias_d, SOFTPLUS)
            bias_sum += step_grad
            tl.store(delta_grad_tile + (k * channels + d), step_grad, in_row)
            tl.store(u_grad_tile + (k * channels + d), x_grad * step + grad * D_d, in_row)
    _store_sums(of_chunks, sequence * chunks + chunk, A_sum, D_sum, bias_sum, cell, inside, d, channels, state_size)
