"""Pointwise and depthwise convolutions that run on a GPU with the channels adjacent in memory, where they are fastest.

On a GPU a pointwise convolution is one aligned matrix product, and a depthwise one is a kernel of our own
(triton_depthwise.py); tensors keep the shape [B, C, L], as a transposed view. On a CPU, and under torch.compile, both
are nn.Conv1d.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.kernels.in_triton import in_triton


class Pointwise(nn.Conv1d):
    """A linear map of the channels at each position."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Maps [B, inputs, L] to [B, outputs, L]."""
        if in_triton(input):
            return F.linear(input.transpose(1, 2), self.weight[..., 0]).transpose(1, 2)
        return super().forward(input)


class ReflectedDepthwise(nn.Conv1d):
    """A depthwise, dilated convolution without a bias; the edges are padded by reflection.

    Args:
        channels: C, the channels of input and output.
        taps: taps per channel, odd.
        dilation: positions from one tap to the next.
    """

    def __init__(self, channels: int, taps: int, dilation: int) -> None:
        super().__init__(
            channels,
            channels,
            taps,
            padding=dilation * (taps // 2),
            padding_mode="reflect",
            dilation=dilation,
            groups=channels,
            bias=False,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Maps [B, C, L] to the same shape; L must exceed the positions that are reflected."""
        (dilation,), width = self.dilation, self.dilation[0] * (self.kernel_size[0] // 2)
        if in_triton(input):
            from trainer.kernels.triton_depthwise import depthwise

            return depthwise(input, self.weight, None, dilation, width, reflect=True)
        # PyTorch's only kernel on a GPU for the gradient of a reflection adds in no fixed order.
        if not torch.are_deterministic_algorithms_enabled():
            return super().forward(input)
        before, behind = input[..., 1 : width + 1].flip(-1), input[..., -width - 1 : -1].flip(-1)
        padded = torch.cat((before, input, behind), dim=-1)  # [B, C, L + 2 width]
        return F.conv1d(padded, self.weight, None, self.stride, 0, self.dilation, self.groups)


class CausalDepthwise(nn.Conv1d):
    """A depthwise convolution over a position and those before it.

    Args:
        channels: C, the channels of input and output.
        taps: taps per channel.
    """

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__(channels, channels, taps, groups=channels, padding=taps - 1)

    def forward(self, input: Tensor) -> Tensor:
        """Maps [B, C, L] to the same shape."""
        if in_triton(input):
            from trainer.kernels.triton_depthwise import depthwise

            return depthwise(input, self.weight, self.bias, 1, self.kernel_size[0] - 1, reflect=False)
        return super().forward(input)[..., : input.shape[2]]
