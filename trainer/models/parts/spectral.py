"""Separation of complex spectra: TF-GridNet's frame, which SPMamba shares, around blocks of any sequence model.

A mixture's short-time spectrum is mapped to the spectra of the speakers. A block runs one sequence model along each
frame's frequencies, another one along each frequency's frames, and attends across frames. Spectrograms are
[B, T, F, C], channels last.

References:
    Wang et al. 2023, "TF-GridNet: Integrating full- and sub-band modeling for speech separation", arXiv:2211.12433.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.kernels.prelu import PReLU
from trainer.models.parts.codec import SPEAKERS
from trainer.models.parts.global_norm import GlobalNorm

EPS = 1e-5
SILENCE = 1e-8
"""Added to the mixture's standard deviation, so that silence stays silent."""


class SpectralNetwork(nn.Module):
    """Separates a mixture [B, L] of any L >= 1 samples into estimates [B, 2, L].

    Args:
        n_fft: samples of a Hann window, even.
        hop: samples from one window to the next, at most half a window.
        channels: C, the channels of the spectrogram between the blocks.
        shortest: least frames that a block can take; shorter mixtures are filled up.
        blocks: modules that map features [B, T, F, C] to the same shape; built after the encoder.
    """

    window: Tensor

    def __init__(self, n_fft: int, hop: int, channels: int, shortest: int, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        # The STFT wants more samples than it reflects.
        self.shortest = max((shortest - 1) * hop, n_fft // 2 + 1)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)
        self.encoder = nn.Conv2d(2, channels, 3, padding=1)
        self.norm = GlobalNorm(channels, EPS)
        self.blocks = nn.Sequential(*blocks)
        self.decoder = nn.ConvTranspose2d(channels, 2 * SPEAKERS, 3, padding=1)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the estimates [B, 2, L] of the speakers in a mixture [B, L]."""
        padded = F.pad(mixture, (0, max(0, self.shortest - mixture.shape[-1])))  # [B, L']
        scale = padded.std(1, keepdim=True) + SILENCE  # [B, 1]
        features = self.norm(self.encoder(self.spectrogram(padded / scale)))  # [B, C, T, F]
        features = self.blocks(features.permute(0, 2, 3, 1))  # [B, T, F, C]
        spectra = self.decoder(features.permute(0, 3, 1, 2)).to(mixture.dtype)  # [B, 2 S, T, F]
        estimates = self.waveforms(spectra.unflatten(1, (SPEAKERS, 2)), padded.shape[-1])  # [B, S, L']
        return (estimates * scale.unsqueeze(1))[..., : mixture.shape[-1]]  # [B, S, L]

    def spectrogram(self, signals: Tensor) -> Tensor:
        """Returns the real and imaginary parts [B, 2, T, F] of signals [B, L], with T = L // hop + 1."""
        window = self.window.to(signals.dtype)
        spectra = torch.stft(signals, self.n_fft, self.hop, window=window, return_complex=True)  # [B, F, T]
        return torch.view_as_real(spectra).permute(0, 3, 2, 1)  # [B, 2, T, F]

    def waveforms(self, spectra: Tensor, length: int) -> Tensor:
        """Returns the waveforms [B, S, length] of spectra given as real and imaginary parts [B, S, 2, T, F]."""
        # torch.istft makes the CPU wait for the GPU to check the window, which a recorded step cannot do.
        n_fft, hop, window = self.n_fft, self.hop, self.window.to(spectra.dtype)
        rows = torch.complex(*spectra.flatten(0, 1).transpose(2, 3).unbind(1))  # [B S, F, T]
        frames = torch.fft.irfft(rows, n_fft, dim=1) * window[:, None]  # [B S, n_fft, T]
        weights = window.square()[None, :, None].expand(1, -1, frames.shape[2])  # [1, n_fft, T]
        samples = (frames.shape[2] - 1) * hop + n_fft
        summed, weight = (
            F.fold(x, (1, samples), (1, n_fft), stride=(1, hop))[:, 0, 0, n_fft // 2 :][:, :length]
            for x in (frames, weights)
        )  # [B S, length], [1, length]
        return (summed / weight).view(*spectra.shape[:2], length)


class GridBlock(nn.Module):
    """A path along the frequencies, a path along the frames, and attention across frames, each added to its input.

    Args:
        intra: module that runs along L of [B, X, L, C] and returns the same shape; along the frequencies.
        inter: another such module; along the frames.
        frequencies, channels, heads, attention_size: as in FrameAttention.
    """

    def __init__(
        self, intra: nn.Module, inter: nn.Module, frequencies: int, channels: int, heads: int, attention_size: int
    ) -> None:
        super().__init__()
        self.intra = intra
        self.inter = inter
        self.attention = FrameAttention(frequencies, channels, heads, attention_size)

    def forward(self, features: Tensor) -> Tensor:
        """Maps features [B, T, F, C] to the same shape."""
        features = features + self.intra(features)  # [B, T, F, C]
        features = features + self.inter(features.transpose(1, 2)).transpose(1, 2)  # [B, T, F, C]
        output: Tensor = features + self.attention(features)  # [B, T, F, C]
        return output


class FrameAttention(nn.Module):
    """Self-attention across frames, where a frame is all of its frequencies.

    Args:
        frequencies: F, the frequencies of a frame.
        channels: C, the channels of input and output.
        heads: attention heads; C is a multiple of them.
        attention_size: least width of a query or key, rounded up to whole channels of all frequencies.
    """

    def __init__(self, frequencies: int, channels: int, heads: int, attention_size: int) -> None:
        super().__init__()
        self.heads = heads
        narrow = math.ceil(attention_size / frequencies)

        def projections(outputs: int) -> nn.ModuleList:
            return nn.ModuleList(Projection(frequencies, channels, outputs) for _ in range(heads))

        self.queries = projections(narrow)
        self.keys = projections(narrow)
        self.values = projections(channels // heads)
        self.output = Projection(frequencies, channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Maps features [B, T, F, C] to the same shape."""
        query, key, value = (
            torch.stack([head(features).flatten(2) for head in heads], dim=1)  # [B, heads, T, F c]
            for heads in (self.queries, self.keys, self.values)
        )
        attended = F.scaled_dot_product_attention(query, key, value)  # [B, heads, T, F c]
        frames = attended.transpose(1, 2).reshape(*features.shape[:2], self.heads, features.shape[2], -1)
        output: Tensor = self.output(frames.transpose(2, 3).flatten(3))  # [B, T, F, C] from [B, T, F, heads, c]
        return output


class Projection(nn.Sequential):
    """1x1 convolution, PReLU and a norm over the channels and frequencies of a frame."""

    def __init__(self, frequencies: int, inputs: int, outputs: int) -> None:
        super().__init__(nn.Linear(inputs, outputs), PReLU(), nn.LayerNorm((frequencies, outputs), EPS))
