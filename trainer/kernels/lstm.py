"""A bidirectional LSTM whose training step takes less time than nn.LSTM's, on a CPU less memory too (`make bench`).

PyTorch gives LSTMs on a CPU to oneDNN, whose work space is new memory at every call, and a good part of a step goes
into having the system map it. Here each direction keeps its gates and cells in memory that the module uses again in the
next step. Formulas: Hochreiter and Schmidhuber 1997 with forget gates (Gers, Schmidhuber and Cummins 2000), as nn.LSTM
has them. Used by dprnn.py.

On a GPU a Triton kernel of our own runs under autocast (triton_lstm.py), and cuDNN's in fp32.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.kernels.in_triton import in_triton


class LSTM(nn.LSTM):
    """One layer in both directions, from a state of zeros: [T, B, N] to [T, B, 2 H]."""

    def __init__(self, channels: int, hidden_size: int) -> None:
        super().__init__(channels, hidden_size, bidirectional=True)
        self._spare: list[Tensor] = []

    def forward(self, sequences: Tensor) -> Tensor:  # type: ignore[override]
        """Returns [T, B, N] to [T, B, 2 H]; on a CPU in the weights' own precision, also under autocast."""
        if sequences.device.type != "cpu":
            return self._on_gpu(sequences)
        # oneDNN has no bf16 LSTM for processors without AVX-512.
        with torch.autocast("cpu", enabled=False):
            weights = list(self.parameters())
            sequences = sequences.to(weights[0].dtype)
            if torch.is_grad_enabled() and not torch.compiler.is_compiling():
                hidden: Tensor = _BidirectionalLSTM.apply(self._spare, sequences, *weights)
            else:  # without a backward pass there is nothing to keep, and oneDNN is the faster one
                hidden = super().forward(sequences)[0]
            return hidden

    def _on_gpu(self, sequences: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cuda") and in_triton(sequences):
            from trainer.kernels.triton_lstm import bidirectional_lstm, fits

            if fits(self.hidden_size):
                dtype = torch.get_autocast_dtype("cuda")
                return bidirectional_lstm(sequences, list(self.parameters()), dtype)
        hidden: Tensor = super().forward(sequences)[0]
        return hidden


class _BidirectionalLSTM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spare: list[Tensor], sequences: Tensor, *weights: Tensor) -> Tensor:
        sequences = sequences.contiguous()
        hidden_size = weights[1].shape[1]
        hidden = sequences.new_empty(*sequences.shape[:2], 2 * hidden_size)  # [T, B, 2 H]
        kept = []
        for number, output in enumerate(hidden.chunk(2, dim=2)):
            direction = _Direction(weights[4 * number : 4 * number + 4], backwards=number == 1)
            memory = _take(spare, sequences, 6 * hidden.shape[0] * hidden.shape[1] * hidden_size)
            direction.run(sequences, output, memory)
            kept.append(memory)
        ctx.save_for_backward(sequences, hidden, *kept, *weights)
        ctx.spare = spare
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sequences, hidden, *kept = ctx.saved_tensors[:4]
        weights = ctx.saved_tensors[4:]
        of_sequences = torch.zeros_like(sequences)
        of_weights: list[Tensor] = []
        halves = [tensor.chunk(2, dim=2) for tensor in (hidden, gradient)]
        for number, (memory, output, of_output) in enumerate(zip(kept, *halves, strict=True)):
            direction = _Direction(weights[4 * number : 4 * number + 4], backwards=number == 1)
            of_weights += direction.gradients(sequences, output, memory, of_output, of_sequences)
        ctx.spare += kept
        return None, of_sequences, *of_weights


class _Direction:
    """One direction over [T, B, N].

    Its memory, 6 H numbers for each step of each sequence, holds the gates [T, B, 4 H] in the order input, forget,
    cell, output, the cells [T, B, H] and their tanh [T, B, H].

    tanh(x) is 2 sigmoid(2 x) - 1, and PyTorch's sigmoid takes a third of its tanh: the cell gate's weights are doubled,
    so that one sigmoid serves all four gates, and what is kept as the cell gate is s in 2 s - 1.
    """

    def __init__(self, weights: tuple[Tensor, ...], *, backwards: bool) -> None:
        self.of_input, self.of_hidden, *biases = weights  # [4 H, N], [4 H, H]
        self.bias = biases[0] + biases[1]  # [4 H]
        self.backwards = backwards
        self.hidden_size = self.of_hidden.shape[1]

    def run(self, sequences: Tensor, hidden: Tensor, memory: Tensor) -> None:
        """Write the hidden states of `sequences` [T, B, N] to `hidden` [T, B, H], and what they came from to `memory`."""
        gates, cells, tanhs = self._parts(memory, hidden)
        twice = self._cell_gate_times(2.0)  # [4 H, 1]
        torch.addmm(
            self.bias * twice[:, 0],
            sequences.flatten(0, 1),
            (self.of_input * twice).t(),
            out=gates.view(-1, gates.shape[2]),
        )
        recurrent = (self.of_hidden * twice).t().contiguous()  # [H, 4 H]
        before: tuple[Tensor, Tensor] | None = None
        for gate, cell, tanh, output in self._steps(gates, cells, tanhs, hidden):
            if before:
                torch.addmm(gate, before[0], recurrent, out=gate)
            gate.sigmoid_()
            entry, forget, candidate, exit_ = gate.chunk(4, dim=1)  # [B, H] each
            torch.mul(entry, candidate, out=cell)
            cell.add_(cell).sub_(entry)
            if before:
                cell.addcmul_(forget, before[1])
            torch.add(cell, cell, out=tanh)
            tanh.sigmoid_()
            tanh.add_(tanh).sub_(1.0)
            torch.mul(exit_, tanh, out=output)
            before = output, cell

    def gradients(
        self, sequences: Tensor, hidden: Tensor, memory: Tensor, of_hidden: Tensor, of_sequences: Tensor
    ) -> list[Tensor]:
        """Returns the gradients of the four weights, from that of the hidden states [T, B, H].

        That of the sequences is added to `of_sequences`. In the memory the gates' gradients take the gates' place.
        """
        gates, cells, tanhs = self._parts(memory, hidden)
        # What the loops leave for the cell gate is half of the gradient by the doubled weight's product, thus a quarter
        # of it.
        four = self._cell_gate_times(4.0)  # [4 H, 1]
        self._gates_to_gradients(gates, cells, tanhs, of_hidden, self.of_hidden * four)
        rows = gates.flatten(0, 1)  # [T B, 4 H]
        of_sequences.flatten(0, 1).addmm_(rows, self.of_input * four)
        later, earlier = (gates[:-1], hidden[1:]) if self.backwards else (gates[1:], hidden[:-1])
        of_input = rows.t() @ sequences.flatten(0, 1)
        of_recurrent = later.flatten(0, 1).t() @ earlier.flatten(0, 1)
        of_bias = rows.sum(0) * four[:, 0]
        return [of_input * four, of_recurrent * four, of_bias, of_bias]

    def _gates_to_gradients(
        self, gates: Tensor, cells: Tensor, tanhs: Tensor, of_hidden: Tensor, recurrent: Tensor
    ) -> None:
        of_cell = torch.zeros_like(cells[0])  # [B, H]
        of_output, part = torch.empty_like(of_cell), torch.empty_like(of_cell)
        of_gates = torch.empty_like(gates[0])  # [B, 4 H]
        of_entry, of_forget, of_candidate, of_exit = of_gates.chunk(4, dim=1)
        steps = list(self._steps(gates, cells, tanhs, of_hidden))[::-1]
        later: Tensor | None = None
        for (gate, _, tanh, given), before in zip(steps, [*steps[1:], None], strict=True):
            entry, forget, candidate, exit_ = gate.chunk(4, dim=1)  # [B, H] each
            output = given if later is None else torch.addmm(given, later, recurrent, out=of_output)
            torch.mul(output, tanh, out=of_exit)
            torch.mul(output, exit_, out=part)
            of_cell.add_(torch.ops.aten.tanh_backward.grad_input(part, tanh, grad_input=part))
            torch.mul(of_cell, candidate, out=of_entry)
            of_entry.add_(of_entry).sub_(of_cell)
            torch.mul(of_cell, before[1], out=of_forget) if before else of_forget.zero_()
            torch.mul(of_cell, entry, out=of_candidate)
            of_cell.mul_(forget)
            torch.ops.aten.sigmoid_backward.grad_input(of_gates, gate, grad_input=gate)
            later = gate

    def _parts(self, memory: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gates [T, B, 4 H], cells and tanhs [T, B, H] in the memory."""
        steps, batch, size = hidden.shape
        one = steps * batch * size
        return (
            memory[: 4 * one].view(steps, batch, 4 * size),
            memory[4 * one : 5 * one].view(steps, batch, size),
            memory[5 * one : 6 * one].view(steps, batch, size),
        )

    def _steps(self, *tensors: Tensor) -> Any:
        """Returns the steps of [T, …] tensors side by side, in the order in which this direction goes."""
        steps = zip(*(tensor.unbind(0) for tensor in tensors), strict=True)
        return reversed(list(steps)) if self.backwards else steps

    def _cell_gate_times(self, factor: float) -> Tensor:
        """[4 H, 1]: `factor` for the cell gate, 1 for the others."""
        factors = self.of_hidden.new_ones(4 * self.hidden_size, 1)
        factors[2 * self.hidden_size : 3 * self.hidden_size] = factor
        return factors


def _take(spare: list[Tensor], like: Tensor, numbers: int) -> Tensor:
    """Memory for so many numbers: some that an earlier step has left, where it is large enough, or new."""
    while spare:
        memory = spare.pop()
        if memory.numel() >= numbers and memory.dtype == like.dtype:
            return memory
    return like.new_empty(numbers)
