"""SPMamba: Mamba along and across the frames of a spectrogram.

The network is TF-GridNet with a bidirectional Mamba in place of each LSTM. Its frame is in parts/spectral.py, the Mamba
itself in parts/mamba.py. The paper preset is the reduced network of the published PolSESS baseline.

References:
    Li, Chen, Yang and Hu 2024, "SPMamba: State-space model is all you need in speech separation", arXiv:2404.02063.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.data.curriculum import Curriculum
from trainer.models.parts.checks import check_spectral, check_types
from trainer.models.parts.mamba import Mamba, notes
from trainer.models.parts.spectral import EPS, GridBlock, SpectralNetwork
from trainer.models.registry import Model


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
        check_spectral(self)

    @property
    def frequencies(self) -> int:
        """F: bins of the one-sided spectrum."""
        return self.n_fft // 2 + 1


class SPMamba(SpectralNetwork):
    """Separates a mixture [B, L] of any L >= 1 samples into estimates [B, 2, L].

    Args:
        config: sizes of the network.
    """

    def __init__(self, config: SPMambaConfig) -> None:
        blocks = (Block(config) for _ in range(config.layers))
        super().__init__(config.n_fft, config.hop, config.channels, config.window, blocks)


class Block(GridBlock):
    """Two paths of Mambas, and attention across frames."""

    def __init__(self, config: SPMambaConfig) -> None:
        attention = config.frequencies, config.channels, config.heads, config.attention_size
        super().__init__(Path(config), Path(config), *attention)


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
