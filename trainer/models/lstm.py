"""Bidirectional LSTM of one layer, whose forward and backward pass are quick on a CPU too. Used by dprnn.

The LSTM was nine tenths of DPRNN's step, and PyTorch's CPU kernel reaches two fifths of the speed of a matrix
product there. Elsewhere, and under torch.compile or autocast, nn.LSTM is left as it is.
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
    """One direction. Gates stand in the order of nn.LSTM: input, forget, cell, output, [B, H] each.

    Each step's input, hidden state and a one for the bias stand side by side, [B, N + H + 1], so that a step is
    one product forwards, and one for the inputs and one for the weights backwards, of rows still in the cache.
    """

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
        (steps, batch, channels), size = sequences.shape, weight_hidden.shape[1]
        order = range(steps - 1, -1, -1) if backwards else range(steps)
        inputs = sequences.new_empty(steps, batch, channels + size + 1)  # [T, B, N + H + 1]
        inputs[..., :channels] = sequences
        inputs[order[0], :, channels:] = 0
        inputs[..., -1] = 1
        gates = sequences.new_empty(steps, batch, 4 * size)  # [T, B, 4 H]
        cells = sequences.new_empty(steps, batch, size)  # [T, B, H]
        hiddens = torch.empty_like(cells)  # [T, B, H]
        bias = (bias_input + bias_hidden).unsqueeze(1)
        weight = torch.cat((weight_input, weight_hidden, bias), dim=1)  # [4 H, N + H + 1]
        columns = weight.t().contiguous()
        cell, squashed = torch.zeros_like(cells[0]), torch.empty_like(cells[0])  # [B, H]
        for position, step in enumerate(order):
            here = torch.mm(inputs[step], columns, out=gates[step])  # [B, 4 H]
            input_gate, forget_gate, candidate, output_gate = here.chunk(4, dim=1)  # [B, H] each
            here[:, : 2 * size].sigmoid_()
            candidate.tanh_()
            output_gate.sigmoid_()
            cell = torch.mul(forget_gate, cell, out=cells[step]).addcmul_(input_gate, candidate)
            hidden = torch.mul(output_gate, torch.tanh(cell, out=squashed), out=hiddens[step])
            if position + 1 < steps:
                inputs[order[position + 1], :, channels:-1] = hidden
        ctx.order = order
        ctx.save_for_backward(inputs, weight, gates, cells)
        return hiddens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, gates, cells = ctx.saved_tensors
        (steps, batch, size), order = cells.shape, ctx.order
        channels = weight.shape[1] - size - 1
        weight_gradient = torch.zeros_like(weight)  # [4 H, N + H + 1]
        rows = weight[:, :-1].contiguous()  # [4 H, N + H]
        input_gradients = inputs.new_empty(steps, batch, channels + size)  # [T, B, N + H]
        start = torch.zeros_like(cells[0])  # [B, H]
        cell_gradient, hidden_gradient, buffer = start.clone(), start, start.clone()
        for position in reversed(range(steps)):
            step = order[position]
            before = cells[order[position - 1]] if position else start
            torch.add(gradient[step], hidden_gradient, out=buffer)
            # From here on the gates' memory holds their gradients; a second backward pass raises.
            here = _gate_gradients(gates[step], cells[step], before, buffer, cell_gradient)
            torch.mm(here, rows, out=input_gradients[step])
            hidden_gradient = input_gradients[step, :, channels:]  # [B, H]
            weight_gradient.addmm_(here.t(), inputs[step])
        bias = weight_gradient[:, -1]
        return (
            input_gradients[..., :channels],
            weight_gradient[:, :channels],
            weight_gradient[:, channels:-1],
            bias,
            bias,
            None,
        )


def _gate_gradients(
    gates: Tensor, cell: Tensor, cell_before: Tensor, hidden_gradient: Tensor, cell_gradient: Tensor
) -> Tensor:
    """Replace the gates [B, 4 H] by the gradients before their nonlinearities; bring `cell_gradient`, [B, H] as
    the others, to the step before, and spend `hidden_gradient`."""
    input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)  # [B, H] each
    squashed = torch.tanh(cell)
    through = hidden_gradient * output_gate
    cell_gradient += _tanh_backward(through, squashed, grad_input=through)
    hidden_gradient *= squashed
    _sigmoid_backward(hidden_gradient, output_gate, grad_input=output_gate)
    torch.mul(cell_gradient, candidate, out=squashed)
    torch.mul(cell_gradient, input_gate, out=through)
    _tanh_backward(through, candidate, grad_input=candidate)
    _sigmoid_backward(squashed, input_gate, grad_input=input_gate)
    torch.mul(cell_gradient, cell_before, out=through)
    cell_gradient *= forget_gate
    _sigmoid_backward(through, forget_gate, grad_input=forget_gate)
    return gates


_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
