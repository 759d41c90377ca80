"""DPRNN: bidirectional LSTMs along and across chunks of frames.

Everything but the sequence model is in parts/dual_path.py.

References:
    Luo, Chen and Yoshioka 2020, "Dual-path RNN: efficient long sequence modeling for time-domain single-channel speech
    separation", arXiv:1910.06379.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from trainer.data.curriculum import Curriculum
from trainer.kernels.linear import Linear
from trainer.kernels.lstm import LSTM
from trainer.models.parts.checks import check_even, check_types
from trainer.models.parts.dual_path import DualPathBlock, DualPathNetwork
from trainer.models.registry import Model


@dataclass(frozen=True, kw_only=True)
class DPRNNConfig:
    """Architecture of DPRNN."""

    filters: int = 64
    """N: filters of the encoder and channels of the blocks."""
    kernel_size: int = 16
    """Samples of a filter, even; the stride is half of it."""
    chunk_size: int = 100
    """K: frames of a chunk, even; the hop is half of it."""
    blocks: int = 6
    """Dual-path blocks."""
    hidden_size: int = 128
    """Units of each LSTM in each direction."""
    dropout: float = 0.0
    """Share of an LSTM's outputs that is zeroed in training (the paper: none)."""

    def __post_init__(self) -> None:
        check_types(self)
        check_even(self, "kernel_size")
        check_even(self, "chunk_size")


class DPRNN(DualPathNetwork):
    """Separates a mixture [B, T] of any T >= 1 samples into estimates [B, 2, T].

    Args:
        config: sizes of the network.
    """

    def __init__(self, config: DPRNNConfig) -> None:
        def path() -> nn.Module:
            return RecurrentPath(config.filters, config.hidden_size, config.dropout)

        blocks = [DualPathBlock(config.filters, path(), path()) for _ in range(config.blocks)]
        super().__init__(config.filters, config.kernel_size, config.chunk_size, blocks)


class RecurrentPath(nn.Module):
    """A bidirectional LSTM and the projection back to the channels.

    Args:
        channels: N, the channels of input and output.
        hidden_size: H, the units of the LSTM in each direction.
        dropout: share of the LSTM's outputs that is zeroed in training.
    """

    def __init__(self, channels: int, hidden_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.lstm = LSTM(channels, hidden_size)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.projection = Linear(2 * hidden_size, channels)
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)

    def forward(self, chunks: Tensor) -> Tensor:
        """Runs along T of [B, X, T, N] and returns the same shape."""
        # Time comes first, as the LSTM's kernels want it: with one mixture, the path across chunks copies nothing.
        sequences = chunks.movedim(2, 0)  # [T, B, X, N]
        hidden = self.dropout(self.lstm(sequences.flatten(1, 2)))  # [T, B X, 2 H]
        output: Tensor = self.projection(hidden).view(sequences.shape).movedim(0, 2)  # [B, X, T, N]
        return output


MODEL = Model(
    network=DPRNN,
    presets={
        "paper": DPRNNConfig(),
        "debug": DPRNNConfig(filters=32, blocks=1, hidden_size=32),
    },
    curriculum=Curriculum.of((1, "C"), (3, "C R"), (6, "C R S SR"), (8, "C R S SR E"), (10, "SER SR ER R SE S E C")),
    cuda_graph=True,
)
