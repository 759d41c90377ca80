"""A bidirectional LSTM whose training step takes less time than nn.LSTM's, and less memory on a CPU (`make bench`).

PyTorch gives LSTMs on a CPU to oneDNN, which allocates its work space anew at every call, and a good part of a step
goes into mapping that memory. Here each direction keeps its gates and cells in memory that the module reuses in the
next step. On a GPU a Triton kernel of our own runs under autocast (triton_lstm.py), and cuDNN's in fp32.

References:
    Hochreiter and Schmidhuber 1997, "Long short-term memory"; with the forget gates of Gers, Schmidhuber and Cummins
    2000, "Learning to forget", as in nn.LSTM.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.kernels.context import Context
from trainer.kernels.in_triton import in_triton
from trainer.kernels.recording import are_shapes_alone, is_recorded


class LSTM(nn.LSTM):
    """One layer in both directions, from a state of zeros.

    Args:
        channels: N, the channels of the sequences.
        hidden_size: H, the units per direction.
    """

    def __init__(self, channels: int, hidden_size: int) -> None:
        super().__init__(channels, hidden_size, bidirectional=True)
        self._spare: list[Tensor] = []

    def forward(self, sequences: Tensor) -> Tensor:  # type: ignore[override]
        """Maps sequences [T, B, N] to [T, B, 2 H], on a CPU in the weights' precision, also under autocast."""
        if sequences.device.type != "cpu":
            return self._on_gpu(sequences)
        # oneDNN has no bf16 LSTM for processors without AVX-512.
        with torch.autocast("cpu", enabled=False):
            weights = list(self.parameters())
            sequences = sequences.to(weights[0].dtype)
            if torch.is_grad_enabled() and not is_recorded():
                hidden: Tensor = _BidirectionalLSTM.apply(self._spare, sequences, *weights)
            # Without a backward pass nothing has to be kept, and oneDNN is faster.
            else:
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
    def forward(ctx: Context, spare: list[Tensor], sequences: Tensor, *weights: Tensor) -> Tensor:
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
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
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
    """One direction over sequences [T, B, N].

    Its memory, 6 H numbers for each step of each sequence, holds the gates [T, B, 4 H] in the order input, forget,
    cell, output, the cells [T, B, H] and their tanh [T, B, H].

    tanh(x) is 2 sigmoid(2 x) - 1, and PyTorch's sigmoid takes a third of the time of its tanh. The cell gate's weights
    are therefore doubled, so that one sigmoid serves all four gates, and the memory has s of 2 s - 1 as the cell gate.
    """

    def __init__(self, weights: tuple[Tensor, ...], *, backwards: bool) -> None:
        self.of_input, self.of_hidden, *biases = weights  # [4 H, N], [4 H, H]
        self.bias = biases[0] + biases[1]  # [4 H]
        self.backwards = backwards
        self.hidden_size = self.of_hidden.shape[1]

    def run(self, sequences: Tensor, hidden: Tensor, memory: Tensor) -> None:
        """Writes the hidden states of `sequences` [T, B, N] to `hidden` [T, B, H], and gates and cells to `memory`."""
        gates, cells, tanhs = self._parts(memory, hidden)
        twice = self._cell_gate_times(2.0)  # [4 H, 1]
        torch.addmm(
            self.bias * twice[:, 0],
            sequences.flatten(0, 1),
            (self.of_input * twice).t(),
            out=gates.view(-1, gates.shape[2]),
        )
        recurrent = (self.of_hidden * twice).t().contiguous()  # [H, 4 H]
        if are_shapes_alone():
            torch.mm(hidden[1:].flatten(0, 1), recurrent)
            return
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
        """Returns the gradients of the four weights, from the gradient `of_hidden` of the hidden states [T, B, H].

        Adds the gradient of the sequences to `of_sequences`. In the memory the gates' gradients replace the gates.
        """
        gates, cells, tanhs = self._parts(memory, hidden)
        # For the cell gate the loops leave half of the gradient with respect to the doubled product, thus a quarter of
        # the gradient.
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
        """Returns the views of the memory that hold the gates [T, B, 4 H], cells and tanhs [T, B, H]."""
        steps, batch, size = hidden.shape
        states = steps * batch * size
        return (
            memory[: 4 * states].view(steps, batch, 4 * size),
            memory[4 * states : 5 * states].view(steps, batch, size),
            memory[5 * states : 6 * states].view(steps, batch, size),
        )

    def _steps(self, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Returns the steps of the tensors [T, …] side by side, in the order of this direction."""
        steps = zip(*(tensor.unbind(0) for tensor in tensors), strict=True)
        return reversed(list(steps)) if self.backwards else steps

    def _cell_gate_times(self, factor: float) -> Tensor:
        """Returns factors [4 H, 1]: `factor` for the cell gate, 1 for the others."""
        factors = self.of_hidden.new_ones(4 * self.hidden_size, 1)
        factors[2 * self.hidden_size : 3 * self.hidden_size] = factor
        return factors


def _take(spare: list[Tensor], like: Tensor, numbers: int) -> Tensor:
    """Returns memory for so many numbers: that of an earlier step where it is large enough, or new memory."""
    while spare:
        memory = spare.pop()
        if memory.numel() >= numbers and memory.dtype == like.dtype:
            return memory
    return like.new_empty(numbers)
