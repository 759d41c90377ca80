"""A bidirectional LSTM on CUDA in 16 bits: one Triton kernel forward and one backward, which walk all steps.

cuDNN's LSTM computes in fp16 under autocast, even if bf16 was requested, and its backward pass takes three times as
long as its forward pass. Here a program takes some sequences in one direction and keeps the recurrent weights, 128 KiB
at 128 units, in its registers from the first step to the last; everything that does not depend on the previous step is
one product over all steps. Formulas and order of the gates are those of nn.LSTM. Under TRITON_INTERPRET=1 the kernels
run on the CPU, too.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainer.kernels.context import Context

ROWS = 16
"""Sequences per program, the fewest that a tensor core takes."""
WIDEST = 128
"""The most units whose recurrent weights fit into the registers."""


def fits(hidden_size: int) -> bool:
    """Returns whether the kernels can take so many units."""
    return 16 <= hidden_size <= WIDEST and hidden_size & (hidden_size - 1) == 0


def bidirectional_lstm(sequences: Tensor, weights: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Maps sequences [T, B, N] to [T, B, 2 H] of `dtype`, from a state of zeros.

    The weights are in the order of nn.LSTM's parameters.
    """
    output: Tensor = _LSTM.apply(sequences, dtype, *weights)
    return output


class _LSTM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, sequences: Tensor, dtype: torch.dtype, *weights: Tensor) -> Tensor:
        steps, batch, channels = sequences.shape
        hidden_size = weights[1].shape[1]
        of_input, of_hidden, *biases = (
            torch.cat((forwards, backwards)).to(dtype)
            for forwards, backwards in zip(weights[:4], weights[4:], strict=True)
        )  # [8 H, N], [8 H, H], [8 H], [8 H]
        rows = sequences.to(dtype).reshape(-1, channels)  # [T B, N]
        gates = torch.addmm(biases[0] + biases[1], rows, of_input.t())  # [T B, 8 H]
        hidden = rows.new_empty(steps, batch, 2 * hidden_size)  # [T, B, 2 H]
        cells = torch.empty_like(hidden)
        grid = (triton.cdiv(batch, ROWS), 2)
        _forward[grid](gates, of_hidden, hidden, cells, steps, batch, **_constants(hidden_size))
        ctx.save_for_backward(rows, of_input, of_hidden, gates, hidden, cells)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, of_input, of_hidden, gates, hidden, cells = ctx.saved_tensors
        steps, batch, width = hidden.shape
        size = width // 2
        gates_grad = torch.empty_like(gates)  # [T B, 8 H]
        _backward[(triton.cdiv(batch, ROWS), 2)](
            gates, of_hidden, cells, gradient.contiguous(), gates_grad, steps, batch, **_constants(size)
        )
        rows_grad = (gates_grad @ of_input).view(steps, batch, -1)  # [T, B, N]
        both = gates_grad.t() @ rows  # [8 H, N]
        biases = gates_grad.sum(0, dtype=torch.float32)  # [8 H]
        weights: list[Tensor] = []
        for direction, (later, earlier) in enumerate(
            [(slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))]
        ):
            of_gates = slice(4 * size * direction, 4 * size * (direction + 1))
            after = gates_grad.view(steps, batch, -1)[later, :, of_gates].flatten(0, 1)  # [(T - 1) B, 4 H]
            before = hidden[earlier, :, size * direction : size * (direction + 1)].flatten(0, 1)
            weights += [both[of_gates], after.t() @ before, biases[of_gates], biases[of_gates]]
        return rows_grad, None, *weights


def _constants(hidden_size: int) -> dict[str, int]:
    sizes = {"H": hidden_size, "ROWS": ROWS, "num_warps": max(1, hidden_size // 16)}
    return {**sizes, "num_stages": 1, "enable_fp_fusion": True}


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _tanh(x):
    return 2.0 * _sigmoid(2.0 * x) - 1.0


@triton.jit
def _load(pointer, place, inside):
    return tl.load(pointer + place, inside, 0.0).to(tl.float32)


@triton.jit
def _place(batch, H: tl.constexpr, ROWS: tl.constexpr):
    """Returns the program's sequences [R], its direction, its units [H], and offsets [R, H] into step 0.

    The offsets are those of its gates and of its hidden states.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    direction = tl.program_id(1)
    unit = tl.arange(0, H)
    gate = row[:, None].to(tl.int64) * (8 * H) + direction * 4 * H + unit[None, :]
    return row, direction, unit, gate, row[:, None].to(tl.int64) * (2 * H) + direction * H + unit[None, :]


@triton.jit
def _weights(recurrent, direction, place, H: tl.constexpr):
    """Returns the recurrent weights of the four gates, each at the offsets `place` [H, H]."""
    first = recurrent + direction * 4 * H * H + place
    return tl.load(first), tl.load(first + H * H), tl.load(first + 2 * H * H), tl.load(first + 3 * H * H)


@triton.jit
def _gates(gates, place, inside, H: tl.constexpr):
    """Returns the input, forget, cell and output gates of a step, [R, H] each."""
    entry, forget = _load(gates, place, inside), _load(gates, place + H, inside)
    return entry, forget, _load(gates, place + 2 * H, inside), _load(gates, place + 3 * H, inside)


@triton.jit
def _forward(
    gates, recurrent, hidden, cells, steps, batch, H: tl.constexpr, ROWS: tl.constexpr
):  # fmt: skip
    """Writes `hidden` and `cells` [T, B, 2 H], and completes `gates` [T, B, 8 H], which hold the input's products."""
    row, direction, unit, gate, output = _place(batch, H, ROWS)
    inside = (row < batch)[:, None]  # [R, 1]
    across = unit[None, :] * H + unit[:, None]  # [H from, H to]
    of_entry, of_forget, of_candidate, of_exit = _weights(recurrent, direction, across, H)
    way = 1 - 2 * direction
    first = direction * (steps - 1)
    gate += first * batch * 8 * H
    output += first * batch * 2 * H
    state = tl.zeros([ROWS, H], gates.dtype.element_ty)
    cell = tl.zeros([ROWS, H], tl.float32)
    entry, forget, candidate, exit_ = _gates(gates, gate, inside, H)
    for step in range(steps):
        # The next step's gates are loaded before this one is computed, because memory is slow to answer.
        following = gate + way * batch * 8 * H
        ahead = (row < tl.where(step + 1 < steps, batch, 0))[:, None]
        next_entry, next_forget, next_candidate, next_exit = _gates(gates, following, ahead, H)
        entry = _sigmoid(tl.dot(state, of_entry, entry))
        forget = _sigmoid(tl.dot(state, of_forget, forget))
        candidate = _tanh(tl.dot(state, of_candidate, candidate))
        exit_ = _sigmoid(tl.dot(state, of_exit, exit_))
        cell = forget * cell + entry * candidate
        state = (exit_ * _tanh(cell)).to(state.dtype)
        tl.store(gates + gate, entry, inside)
        tl.store(gates + gate + H, forget, inside)
        tl.store(gates + gate + 2 * H, candidate, inside)
        tl.store(gates + gate + 3 * H, exit_, inside)
        tl.store(cells + output, cell, inside)
        tl.store(hidden + output, state, inside)
        entry, forget, candidate, exit_ = next_entry, next_forget, next_candidate, next_exit
        gate = following
        output += way * batch * 2 * H


@triton.jit
def _backward(
    gates, recurrent, cells, hidden_grad, gates_grad, steps, batch, H: tl.constexpr, ROWS: tl.constexpr
):  # fmt: skip
    """Writes `gates_grad` [T, B, 8 H], the gradients of the gates before sigmoid or tanh, from `hidden_grad`."""
    row, direction, unit, gate, output = _place(batch, H, ROWS)
    inside = (row < batch)[:, None]  # [R, 1]
    across = unit[:, None] * H + unit[None, :]  # [H to, H from]
    of_entry, of_forget, of_candidate, of_exit = _weights(recurrent, direction, across, H)
    way = 2 * direction - 1
    first = (1 - direction) * (steps - 1)
    gate += first * batch * 8 * H
    output += first * batch * 2 * H
    later = tl.zeros([ROWS, H], tl.float32)
    cell_grad = tl.zeros([ROWS, H], tl.float32)
    entry, forget, candidate, exit_ = _gates(gates, gate, inside, H)
    given, cell = _load(hidden_grad, output, inside), _load(cells, output, inside)
    for step in range(steps):
        following, next_output = gate + way * batch * 8 * H, output + way * batch * 2 * H
        ahead = (row < tl.where(step + 1 < steps, batch, 0))[:, None]
        next_entry, next_forget, next_candidate, next_exit = _gates(gates, following, ahead, H)
        next_given, before = _load(hidden_grad, next_output, ahead), _load(cells, next_output, ahead)
        grad = given + later
        tanh = _tanh(cell)
        cell_grad += grad * exit_ * (1.0 - tanh * tanh)
        of_gate = (grad * tanh * exit_ * (1.0 - exit_)).to(of_exit.dtype)
        tl.store(gates_grad + gate + 3 * H, of_gate, inside)
        later = tl.dot(of_gate, of_exit)
        of_gate = (cell_grad * candidate * entry * (1.0 - entry)).to(of_exit.dtype)
        tl.store(gates_grad + gate, of_gate, inside)
        later = tl.dot(of_gate, of_entry, later)
        of_gate = (cell_grad * before * forget * (1.0 - forget)).to(of_exit.dtype)
        tl.store(gates_grad + gate + H, of_gate, inside)
        later = tl.dot(of_gate, of_forget, later)
        of_gate = (cell_grad * entry * (1.0 - candidate * candidate)).to(of_exit.dtype)
        tl.store(gates_grad + gate + 2 * H, of_gate, inside)
        later = tl.dot(of_gate, of_candidate, later)
        cell_grad *= forget
        entry, forget, candidate, exit_ = next_entry, next_forget, next_candidate, next_exit
        given, cell = next_given, before
        gate, output = following, next_output
