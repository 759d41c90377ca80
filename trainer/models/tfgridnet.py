"""TF-GridNet: bidirectional LSTMs along and across the frames of a spectrogram.

Everything but the sequence model is in parts/spectral.py. The paper preset has the sizes with which the network is
published in ESPnet.

References:
    Wang et al. 2023, "TF-GridNet: Making time-frequency domain models great again for monaural speaker separation",
    arXiv:2209.03952.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from trainer.data.curriculum import Curriculum
from trainer.kernels.lstm import LSTM
from trainer.models.parts.checks import check_spectral, check_types
from trainer.models.parts.spectral import EPS, GridBlock, SpectralNetwork
from trainer.models.registry import Model


@dataclass(frozen=True, kw_only=True)
class TFGridNetConfig:
    """Architecture of TF-GridNet."""

    n_fft: int = 128
    """Samples of a Hann window, even; the spectrum has n_fft / 2 + 1 frequencies."""
    hop: int = 64
    """Samples from one window to the next, at most half a window."""
    layers: int = 6
    """Blocks."""
    channels: int = 48
    """Channels of the spectrogram between the blocks (emb_dim)."""
    window: int = 4
    """Neighbours that a path sees at a time (emb_ks); it moves by one (emb_hs)."""
    hidden_size: int = 192
    """Units of each LSTM in each direction."""
    heads: int = 4
    """Attention heads; the channels are a multiple of them."""
    attention_size: int = 512
    """Least width of a query or key (approx_qk_dim), rounded up to whole channels of all frequencies."""

    def __post_init__(self) -> None:
        check_types(self)
        check_spectral(self)

    @property
    def frequencies(self) -> int:
        """F: bins of the one-sided spectrum."""
        return self.n_fft // 2 + 1


class TFGridNet(SpectralNetwork):
    """Separates a mixture [B, L] of any L >= 1 samples into estimates [B, 2, L].

    Args:
        config: sizes of the network.
    """

    def __init__(self, config: TFGridNetConfig) -> None:
        def path() -> nn.Module:
            return RecurrentPath(config.channels, config.window, config.hidden_size)

        attention = config.frequencies, config.channels, config.heads, config.attention_size
        blocks = (GridBlock(path(), path(), *attention) for _ in range(config.layers))
        super().__init__(config.n_fft, config.hop, config.channels, config.window, blocks)


class RecurrentPath(nn.Module):
    """Norm, windows of neighbours, a bidirectional LSTM, and the projection back to single neighbours.

    Args:
        channels: C, the channels of input and output.
        window: w, the neighbours that a step of the LSTM sees.
        hidden_size: H, the units of the LSTM in each direction.
    """

    def __init__(self, channels: int, window: int, hidden_size: int) -> None:
        super().__init__()
        self.window = window
        self.norm = nn.LayerNorm(channels, EPS)
        self.lstm = LSTM(channels * window, hidden_size)
        self.output = nn.ConvTranspose1d(2 * hidden_size, channels, window)

    def forward(self, features: Tensor) -> Tensor:
        """Runs along L of [B, X, L, C] and returns the same shape."""
        # Position comes first, as the LSTM's kernels want it.
        rows = self.norm(features).movedim(2, 0).flatten(1, 2)  # [L, B X, C]
        windows = rows.unfold(0, self.window, 1).flatten(2)  # [L', B X, C w], L' = L - w + 1
        hidden = self.lstm(windows)  # [L', B X, 2 H]
        output: Tensor = self.output(hidden.permute(1, 2, 0)).transpose(1, 2)  # [B X, L, C]
        return output.reshape(features.shape)  # [B, X, L, C]


MODEL = Model(
    network=TFGridNet,
    presets={
        "paper": TFGridNetConfig(),
        "debug": TFGridNetConfig(layers=1, channels=8, window=2, hidden_size=16, heads=2, attention_size=64),
    },
    curriculum=Curriculum.of((1, "C R"), (3, "C R SR S"), (5, "SER SR ER R SE S E C")),
    cuda_graph=True,
)
