"""Mamba: the selective state space model between two projections, with a gate, in one direction or in both.

References:
    Gu and Dao 2023, "Mamba: Linear-time sequence modeling with selective state spaces", arXiv:2312.00752.
    Zhu et al. 2024, "Vision Mamba: Efficient visual representation learning with bidirectional state space model",
    arXiv:2401.09417.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.kernels.convolution import CausalDepthwise
from trainer.kernels.selective_scan import choose, selective_scan


def notes(device: torch.device) -> tuple[str, ...]:
    """Returns a line for the log: which selective scan runs on `device`, and why."""
    return (str(choose(device)),)


class Mamba(nn.Module):
    """The selective state space model between two projections, with a gate (Gu and Dao 2023, figure 3).

    Args:
        width: channels of input and output.
        state_size: N, the states per channel.
        taps: taps of the causal convolution.
        expansion: D / width, where D are the channels inside.
    """

    def __init__(self, width: int, state_size: int, taps: int, expansion: int) -> None:
        super().__init__()
        inner, rank = expansion * width, math.ceil(width / 16)
        self.sizes = (rank, state_size, state_size)
        self.input = nn.Linear(width, 2 * inner, bias=False)
        self.conv = CausalDepthwise(inner, taps)
        self.selection = nn.Linear(inner, sum(self.sizes), bias=False)
        self.step = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.arange(1.0, state_size + 1).log().repeat(inner, 1))  # [D, N]
        self.D = nn.Parameter(torch.ones(inner))
        self.output = nn.Linear(inner, width, bias=False)
        # Steps start log-uniform in 0.001..0.1 (Gu and Dao 2023, section 3.6); softplus of the bias is the step.
        steps = torch.exp(torch.empty(inner).uniform_(math.log(0.001), math.log(0.1)))
        nn.init.uniform_(self.step.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            self.step.bias.copy_(steps + torch.log(-torch.expm1(-steps)))

    def forward(self, sequences: Tensor) -> Tensor:
        """Runs along L of [B', L, width] and returns the same shape."""
        u, z = self.input(sequences).transpose(1, 2).chunk(2, dim=1)  # [B', D, L] each
        output: Tensor = self.output(self.scan(u, z).transpose(1, 2))  # [B', L, width]
        return output

    def scan(self, u: Tensor, z: Tensor) -> Tensor:
        """Returns y [B', D, L] of the input u and the gate z, both [B', D, L]."""
        u = F.silu(self.conv(u))  # [B', D, L]
        step, B, C = self.selection(u.transpose(1, 2)).split(self.sizes, dim=2)  # [B', L, rank], [B', L, N] twice
        delta = F.linear(step, self.step.weight).transpose(1, 2)  # [B', D, L]; the scan adds the bias
        A = -torch.exp(self.A_log)  # [D, N]
        return selective_scan(u, delta, A, B.transpose(1, 2), C.transpose(1, 2), self.D, z, self.step.bias)


class BidirectionalMamba(Mamba):
    """A Mamba that runs forwards and backwards between the same projections; the output is the mean of both.

    Each direction has a convolution, a selection and a state space of its own (Zhu et al. 2024, algorithm 1).
    """

    def __init__(self, width: int, state_size: int, taps: int, expansion: int) -> None:
        super().__init__(width, state_size, taps, expansion)
        self.backwards = Mamba(width, state_size, taps, expansion)
        del self.backwards.input, self.backwards.output

    def scan(self, u: Tensor, z: Tensor) -> Tensor:
        """Returns y [B', D, L] of the input u and the gate z, both [B', D, L]."""
        backwards = self.backwards.scan(u.flip(2), z.flip(2)).flip(2)  # [B', D, L]
        return (super().scan(u, z) + backwards) / 2
