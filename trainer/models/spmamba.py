"""SPMamba: Mamba along and across the frames of a spectrogram.

The network is TF-GridNet with a bidirectional Mamba in place of each LSTM. A block scans each frame's frequencies, then
each frequency's frames, and attends across frames. Spectrograms are [B, T, F, C], channels last. The paper preset is
the reduced network of the published PolSESS baseline. The Mamba itself is in parts/mamba.py.

References:
    Li, Chen, Yang and Hu 2024, "SPMamba: State-space model is all you need in speech separation", arXiv:2404.02063.
    Wang et al. 2023, "TF-GridNet: Integrating full- and sub-band modeling for speech separation", arXiv:2211.12433.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.data.curriculum import Curriculum
from trainer.kernels.prelu import PReLU
from trainer.models.parts.checks import check_even, check_types
from trainer.models.parts.codec import SPEAKERS
from trainer.models.parts.global_norm import GlobalNorm
from trainer.models.parts.mamba import Mamba, notes
from trainer.models.registry import Model

EPS = 1e-5
SILENCE = 1e-8
"""Added to the mixture's standard deviation, so that silence stays silent."""


@dataclass(frozen=True, kw_only=True)
class SPMambaConfig:
    """Architecture of SPMamba."""

    n_fft: int = 256
    """Samples of a Hann window, even; the spectrum has n_fft / 2 + 1 frequencies."""
    hop: int = 64
    """Samples from one window to the next, at most half a window."""
    layers: int = 4
    """Blocks."""
    channels: int = 16
    """Channels of the spectrogram between the blocks (emb_dim of TF-GridNet)."""
    window: int = 4
    """Neighbours that a path sees at a time (emb_ks); it moves by one (emb_hs)."""
    heads: int = 2
    """Attention heads; the channels are a multiple of them."""
    attention_size: int = 256
    """Least width of a query or key (approx_qk_dim), rounded up to whole channels of all frequencies."""
    state_size: int = 16
    """N of Mamba: states per channel (d_state)."""
    taps: int = 4
    """Taps of Mamba's causal convolution (d_conv)."""
    expansion: int = 4
    """Channels inside a Mamba per channel outside (expand)."""

    def __post_init__(self) -> None:
        check_types(self)
        check_even(self, "n_fft")
        if self.hop > self.n_fft // 2:
            raise ValueError(f"hop must be at most half of the {self.n_fft} samples of n_fft, not {self.hop}")
        if self.channels % self.heads:
            raise ValueError(f"heads must divide the {self.channels} channels, not be {self.heads}")

    @property
    def frequencies(self) -> int:
        """F: bins of the one-sided spectrum."""
        return self.n_fft // 2 + 1


class SPMamba(nn.Module):
    """Separates a mixture [B, L] of any L >= 1 samples into estimates [B, 2, L].

    Args:
        config: sizes of the network.
    """

    window: Tensor

    def __init__(self, config: SPMambaConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)
        self.encoder = nn.Conv2d(2, config.channels, 3, padding=1)
        self.norm = GlobalNorm(config.channels, EPS)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.layers)))
        self.decoder = nn.ConvTranspose2d(config.channels, 2 * SPEAKERS, 3, padding=1)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the estimates [B, 2, L] of the speakers in a mixture [B, L]."""
        # The paths need a window of frames and frequencies, and the STFT more samples than it reflects.
        shortest = max((self.config.window - 1) * self.config.hop, self.config.n_fft // 2 + 1)
        padded = F.pad(mixture, (0, max(0, shortest - mixture.shape[-1])))  # [B, L']
        scale = padded.std(1, keepdim=True) + SILENCE  # [B, 1]
        features = self.norm(self.encoder(self.spectrogram(padded / scale)))  # [B, C, T, F]
        features = self.blocks(features.permute(0, 2, 3, 1))  # [B, T, F, C]
        spectra = self.decoder(features.permute(0, 3, 1, 2)).to(mixture.dtype)  # [B, 2 S, T, F]
        estimates = self.waveforms(spectra.unflatten(1, (SPEAKERS, 2)), padded.shape[-1])  # [B, S, L']
        return (estimates * scale.unsqueeze(1))[..., : mixture.shape[-1]]  # [B, S, L]

    def spectrogram(self, signals: Tensor) -> Tensor:
        """Returns the real and imaginary parts [B, 2, T, F] of signals [B, L], with T = L // hop + 1."""
        n_fft, hop, window = self.config.n_fft, self.config.hop, self.window.to(signals.dtype)
        spectra = torch.stft(signals, n_fft, hop, window=window, return_complex=True)  # [B, F, T]
        return torch.view_as_real(spectra).permute(0, 3, 2, 1)  # [B, 2, T, F]

    def waveforms(self, spectra: Tensor, length: int) -> Tensor:
        """Returns the waveforms [B, S, length] of spectra given as real and imaginary parts [B, S, 2, T, F]."""
        # torch.istft makes the CPU wait for the GPU to check the window, which a recorded step cannot do.
        n_fft, hop, window = self.config.n_fft, self.config.hop, self.window.to(spectra.dtype)
        rows = torch.complex(*spectra.flatten(0, 1).transpose(2, 3).unbind(1))  # [B S, F, T]
        frames = torch.fft.irfft(rows, n_fft, dim=1) * window[:, None]  # [B S, n_fft, T]
        weights = window.square()[None, :, None].expand(1, -1, frames.shape[2])  # [1, n_fft, T]
        samples = (frames.shape[2] - 1) * hop + n_fft
        summed, weight = (
            F.fold(x, (1, samples), (1, n_fft), stride=(1, hop))[:, 0, 0, n_fft // 2 :][:, :length]
            for x in (frames, weights)
        )  # [B S, length], [1, length]
        return (summed / weight).view(*spectra.shape[:2], length)


class Block(nn.Module):
    """A path along the frequencies, a path along the frames, and attention across frames, each added to its input."""

    def __init__(self, config: SPMambaConfig) -> None:
        super().__init__()
        self.intra = Path(config)
        self.inter = Path(config)
        self.attention = FrameAttention(config)

    def forward(self, features: Tensor) -> Tensor:
        """Maps features [B, T, F, C] to the same shape."""
        features = features + self.intra(features)  # [B, T, F, C]
        features = features + self.inter(features.transpose(1, 2)).transpose(1, 2)  # [B, T, F, C]
        output: Tensor = features + self.attention(features)  # [B, T, F, C]
        return output


class Path(nn.Module):
    """Norm, windows of neighbours, a Mamba in each direction, and the projection back to single neighbours."""

    def __init__(self, config: SPMambaConfig) -> None:
        super().__init__()
        width = config.channels * config.window
        self.window = config.window
        self.norm = nn.LayerNorm(config.channels, EPS)
        self.forwards = Direction(width, config)
        self.backwards = Direction(width, config)
        self.output = nn.ConvTranspose1d(2 * width, config.channels, config.window)

    def forward(self, features: Tensor) -> Tensor:
        """Runs along L of [B, X, L, C] and returns the same shape."""
        rows = self.norm(features).flatten(0, 1)  # [B X, L, C]
        windows = rows.unfold(1, self.window, 1).flatten(2)  # [B X, L', C w], L' = L - w + 1
        backwards = self.backwards(windows.flip(1)).flip(1)  # [B X, L', C w]
        both = torch.cat((self.forwards(windows), backwards), dim=2)  # [B X, L', 2 C w]
        output: Tensor = self.output(both.transpose(1, 2)).transpose(1, 2)  # [B X, L, C]
        return output.reshape(features.shape)  # [B, X, L, C]


class Direction(nn.Module):
    """A Mamba of the normed sequences, added to the sequences."""

    def __init__(self, width: int, config: SPMambaConfig) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(width, EPS)
        self.mamba = Mamba(width, config.state_size, config.taps, config.expansion)

    def forward(self, sequences: Tensor) -> Tensor:
        """Runs along L of [B', L, width] and returns the same shape."""
        # The norm is computed in the weights' precision, also where autocast uses half of it.
        normed = self.norm(sequences.to(self.norm.weight.dtype))  # [B', L, width]
        output: Tensor = sequences + self.mamba(normed)  # [B', L, width]
        return output


class FrameAttention(nn.Module):
    """Self-attention across frames, where a frame is all of its frequencies."""

    def __init__(self, config: SPMambaConfig) -> None:
        super().__init__()
        self.heads = config.heads
        frequencies, channels = config.frequencies, config.channels
        narrow = math.ceil(config.attention_size / frequencies)

        def projections(outputs: int) -> nn.ModuleList:
            return nn.ModuleList(Projection(frequencies, channels, outputs) for _ in range(config.heads))

        self.queries = projections(narrow)
        self.keys = projections(narrow)
        self.values = projections(channels // config.heads)
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


MODEL = Model(
    network=SPMamba,
    presets={
        "paper": SPMambaConfig(),
        "debug": SPMambaConfig(n_fft=128, layers=1, channels=8, window=2, attention_size=64, state_size=4, expansion=1),
    },
    curriculum=Curriculum.of((1, "C R"), (3, "C R SR S"), (5, "SER SR ER R SE S E")),
    cuda_graph=True,
    notes=notes,
)
