"""The learned filter bank of the time-domain models: from waveforms of any length to frames and back.

A frame has `kernel_size` samples, the stride is half of that, and the edges are not padded, as in TasNet (Luo and
Mesgarani 2018, arXiv:1711.00541). A mixture that does not fill its last frame is filled up with zeros on the right,
which the decoder cuts off again.
"""

import torch.nn.functional as F
from torch import Tensor, nn

SPEAKERS = 2
"""Every model separates two speakers (PolSESS task SB)."""


class Encoder(nn.Module):
    """Conv1d and ReLU.

    Args:
        filters: N, the channels of a frame.
        kernel_size: samples of a frame, even; the stride is half of it.
        shortest: least frames that the network behind can take; shorter mixtures are filled up.
    """

    def __init__(self, filters: int, kernel_size: int, shortest: int = 1) -> None:
        super().__init__()
        self.shortest = shortest
        self.conv = nn.Conv1d(1, filters, kernel_size, stride=kernel_size // 2, bias=False)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the frames [B, N, L] of a mixture [B, T]: L = max(ceil((T - kernel_size) / stride) + 1, shortest)."""
        padded = F.pad(mixture, (0, self.padded_length(mixture.shape[-1]) - mixture.shape[-1]))  # [B, T']
        return F.relu(self.conv(padded.unsqueeze(1)))  # [B, N, L]

    def padded_length(self, length: int) -> int:
        """Returns the samples of the whole frames that cover a mixture of `length` >= 1 samples."""
        (kernel_size,), (stride,) = self.conv.kernel_size, self.conv.stride
        further = max((length - kernel_size + stride - 1) // stride, self.shortest - 1)
        return kernel_size + further * stride


class Decoder(nn.Module):
    """ConvTranspose1d, for each speaker.

    Args:
        filters: N, the channels of a frame.
        kernel_size: samples of a frame, even; the stride is half of it.
    """

    def __init__(self, filters: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(filters, 1, kernel_size, stride=kernel_size // 2, bias=False)

    def forward(self, frames: Tensor, length: int) -> Tensor:
        """Returns the waveforms [B, S, length] of frames [B, S, N, L]; `length` is the mixture's, in samples."""
        waveforms: Tensor = self.conv(frames.flatten(0, 1)).view(*frames.shape[:2], -1)  # [B, S, T']
        return waveforms[..., :length]  # [B, S, T]
