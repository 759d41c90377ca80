"""Bidirectional LSTM of one layer, whose forward and backward pass are quick on a CPU too. Used by dprnn.

The LSTM was nine tenths of DPRNN's step, and PyTorch's CPU kernel reaches two fifths of the speed of a matrix
product there. Here all that does not wait for the step before is one product over the whole sequence: the
inputs' share of the gates, and in the backward pass the gradients of the weights and the inputs. Elsewhere, and
under torch.compile or autocast, nn.LSTM is left as it is.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class BidirectionalLSTM(nn.LSTM):
    """nn.LSTM in both directions: [T, B, N] to [T, B, 2 H], the backward direction's units behind."""

    def __init__(self, channels: int, hidden_size: int) -> None:
        super().__init__(channels, hidden_size, bidirectional=True)

    def forward(self, sequences: Tensor) -> Tensor:  # type: ignore[override]
        """[T, B, N] to [T, B, 2 H]."""
        on_cpu = sequences.device.type == "cpu" and sequences.dtype == self.weight_ih_l0.dtype
        if on_cpu and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling():
            directions = [
                _CPULSTM.apply(sequences, *weights, backwards)
                for weights, backwards in zip(self.all_weights, (False, True), strict=True)
            ]
            return torch.cat(directions, dim=2)  # [T, B, 2 H]
        hidden, _ = super().forward(sequences)
        output: Tensor = hidden
        return output


class _CPULSTM(torch.autograd.Function):
    """One direction. Gates stand in the order of nn.LSTM: input, forget, cell, output, [B, H] each."""

    @staticmethod
    def forward(
        ctx: Any,
        sequences: Tensor,
        weight_input: Tensor,
        weight_hidden: Tensor,
        bias_input: Tensor,
        bias_hidden: Tensor,
        backwards: bool,
    ) -> Tensor:
        steps, batch, _ = sequences.shape
        size = weight_hidden.shape[1]
        gates = torch.addmm(bias_input + bias_hidden, sequences.flatten(0, 1), weight_input.t())
        gates = gates.view(steps, batch, 4 * size)  # [T, B, 4 H]
        cells = sequences.new_empty(steps, batch, size)  # [T, B, H]
        hiddens = torch.empty_like(cells)  # [T, B, H]
        hidden = cell = sequences.new_zeros(batch, size)  # [B, H]
        recurrent, squashed = weight_hidden.t().contiguous(), torch.empty_like(hidden)
        for step in _order(steps, backwards):
            here = gates[step].addmm_(hidden, recurrent)  # [B, 4 H]
            here[:, : 2 * size].sigmoid_()
            input_gate, forget_gate, candidate, output_gate = here.split(size, dim=1)  # [B, H] each
            candidate.tanh_()
            output_gate.sigmoid_()
            cell = torch.mul(forget_gate, cell, out=cells[step]).addcmul_(input_gate, candidate)  # [B, H]
            hidden = torch.mul(output_gate, torch.tanh(cell, out=squashed), out=hiddens[step])  # [B, H]
        ctx.backwards = backwards
        ctx.save_for_backward(sequences, weight_input, weight_hidden, gates, cells, hiddens)
        return hiddens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sequences, weight_input, weight_hidden, gates, cells, hiddens = ctx.saved_tensors
        gate_gradients = _gate_gradients(gradient, gates, cells, weight_hidden, ctx.backwards).flatten(0, 1)
        before = torch.zeros_like(hiddens)  # [T, B, H]: the hidden state that each step was given
        if ctx.backwards:
            before[:-1] = hiddens[1:]
        else:
            before[1:] = hiddens[:-1]
        bias = gate_gradients.sum(0)  # [4 H]
        return (
            (gate_gradients @ weight_input).view_as(sequences),
            gate_gradients.t() @ sequences.flatten(0, 1),
            gate_gradients.t() @ before.flatten(0, 1),
            bias,
            bias,
            None,
        )


def _gate_gradients(
    gradient: Tensor, gates: Tensor, cells: Tensor, weight_hidden: Tensor, backwards: bool
) -> Tensor:
    """The gradient [T, B, 4 H] of the gates before their nonlinearities, from that of the hidden states."""
    sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
    tanh_backward = torch.ops.aten.tanh_backward.grad_input
    steps, batch, size = cells.shape
    gradients = torch.empty_like(gates)  # [T, B, 4 H]
    start = cells.new_zeros(batch, size)  # [B, H]
    cell_gradient, hidden_gradient = torch.zeros_like(start), start
    squashed, through = torch.empty_like(start), torch.empty_like(start)
    order = list(_order(steps, backwards))
    for position in reversed(range(steps)):
        step = order[position]
        cell_before = cells[order[position - 1]] if position else start  # [B, H]
        here, ahead = gradients[step], gates[step]  # [B, 4 H]
        d_input, d_forget, d_candidate, d_output = here.split(size, dim=1)
        input_gate, forget_gate, candidate, output_gate = ahead.split(size, dim=1)
        hidden_gradient = gradient[step] + hidden_gradient
        torch.tanh(cells[step], out=squashed)
        torch.mul(hidden_gradient, squashed, out=d_output)
        torch.mul(hidden_gradient, output_gate, out=through)
        cell_gradient += tanh_backward(through, squashed, grad_input=through)
        torch.mul(cell_gradient, candidate, out=d_input)
        torch.mul(cell_gradient, cell_before, out=d_forget)
        torch.mul(cell_gradient, input_gate, out=d_candidate)
        both, both_gates = here[:, : 2 * size], ahead[:, : 2 * size]  # [B, 2 H]
        sigmoid_backward(both, both_gates, grad_input=both)
        sigmoid_backward(d_output, output_gate, grad_input=d_output)
        tanh_backward(d_candidate, candidate, grad_input=d_candidate)
        cell_gradient *= forget_gate
        hidden_gradient = here @ weight_hidden  # [B, H]
    return gradients


def _order(steps: int, backwards: bool) -> range:
    return range(steps - 1, -1, -1) if backwards else range(steps)
