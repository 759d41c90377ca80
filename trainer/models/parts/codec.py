"""The learned filter bank around the time-domain models: waveform to frames and back, at any length.

A frame is `kernel_size` samples, the stride is half of that and nothing is padded around the edges, as in TasNet (Luo
and Mesgarani 2018, arXiv:1711.00541). A mixture that does not fill its last frame is filled up with zeros on the right,
and the decoder cuts as many samples off. Used by convtasnet, dprnn and sepformer.
"""

import torch.nn.functional as F
from torch import Tensor, nn

SPEAKERS = 2
"""Every model separates two speakers (PolSESS task SB)."""


class Encoder(nn.Module):
    """Conv1d and ReLU: mixture [B, T] to frames [B, N, L]."""

    def __init__(self, filters: int, kernel_size: int, shortest: int = 1) -> None:
        """`shortest`: the fewest frames that the network behind can take; less is filled up to that many."""
        super().__init__()
        self.shortest = shortest
        self.conv = nn.Conv1d(1, filters, kernel_size, stride=kernel_size // 2, bias=False)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns [B, T] with any T >= 1 to [B, N, L], L = max(ceil((T - kernel) / stride) + 1, shortest)."""
        padded = F.pad(mixture, (0, self.padded_length(mixture.shape[-1]) - mixture.shape[-1]))  # [B, T']
        return F.relu(self.conv(padded.unsqueeze(1)))  # [B, N, L]

    def padded_length(self, length: int) -> int:
        """Returns the samples that whole frames take where the mixture has `length` >= 1 of them."""
        (kernel_size,), (stride,) = self.conv.kernel_size, self.conv.stride
        further = max(-(-(length - kernel_size) // stride), self.shortest - 1)
        return kernel_size + further * stride


class Decoder(nn.Module):
    """ConvTranspose1d: the frames of each speaker [B, S, N, L] to waveforms [B, S, T]."""

    def __init__(self, filters: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(filters, 1, kernel_size, stride=kernel_size // 2, bias=False)

    def forward(self, frames: Tensor, length: int) -> Tensor:
        """Returns [B, S, N, L] to [B, S, length]; `length` is the mixture's, in samples."""
        waveforms: Tensor = self.conv(frames.flatten(0, 1)).view(*frames.shape[:2], -1)  # [B, S, T']
        return waveforms[..., :length]  # [B, S, T]
