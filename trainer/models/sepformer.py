"""SepFormer: transformers along and across chunks of frames.

Everything but the sequence model is in parts/dual_path.py.

References:
    Subakan et al. 2021, "Attention is all you need in speech separation", arXiv:2010.13154.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.data.curriculum import Curriculum
from trainer.kernels.transformer import EPS, TransformerLayer
from trainer.models.parts.checks import check_even, check_types
from trainer.models.parts.dual_path import DualPathBlock, DualPathNetwork
from trainer.models.registry import Model


@dataclass(frozen=True, kw_only=True)
class SepFormerConfig:
    """Architecture of SepFormer."""

    filters: int = 256
    """Filters of the encoder and width of the transformers."""
    kernel_size: int = 16
    """Samples of a filter, even; the stride is half of it."""
    chunk_size: int = 250
    """Frames of a chunk, even; the hop is half of it."""
    blocks: int = 2
    """N in the paper: dual-path blocks."""
    transformer_layers: int = 8
    """K in the paper: layers of each transformer, within and across chunks alike."""
    heads: int = 8
    """Attention heads; the filters are a multiple of them."""
    feedforward_size: int = 1024
    """Units between the two linear layers of a transformer layer."""
    positional_encoding: bool = True
    """Whether sines and cosines of the position are added before each transformer (the published baseline: no)."""
    dropout: float = 0.0
    """Share of what attention and feed-forward network add that is zeroed in training (SpeechBrain: none)."""

    def __post_init__(self) -> None:
        check_types(self)
        check_even(self, "kernel_size")
        check_even(self, "chunk_size")
        if self.filters % self.heads:
            raise ValueError(f"heads must divide the {self.filters} filters, not be {self.heads}")
        if self.positional_encoding and self.filters % 2:
            raise ValueError(f"filters must be even where positional_encoding is on, not {self.filters}")


class SepFormer(DualPathNetwork):
    """Separates a mixture [B, T] of any T >= 1 samples into estimates [B, 2, T].

    Args:
        config: sizes of the network.
    """

    def __init__(self, config: SepFormerConfig) -> None:
        blocks = [DualPathBlock(config.filters, Transformer(config), Transformer(config)) for _ in range(config.blocks)]
        super().__init__(config.filters, config.kernel_size, config.chunk_size, blocks)


class Transformer(nn.Module):
    """Positions, a stack of pre-norm layers, and a last norm."""

    def __init__(self, config: SepFormerConfig) -> None:
        super().__init__()
        self.positional_encoding = config.positional_encoding
        sizes = config.filters, config.heads, config.feedforward_size, config.dropout
        self.layers = nn.Sequential(*(TransformerLayer(*sizes) for _ in range(config.transformer_layers)))
        self.norm = nn.LayerNorm(config.filters, EPS)

    def forward(self, chunks: Tensor) -> Tensor:
        """Runs along T of [B, X, T, N] and returns the same shape."""
        # Contiguous, because sums keep the layout of their first term and every norm would copy it.
        sequences = chunks.flatten(0, 1).contiguous()  # [B X, T, N]
        if self.positional_encoding:
            sequences = sequences + sinusoids(sequences)
        output: Tensor = self.norm(self.layers(sequences)).view(chunks.shape)  # [B, X, T, N]
        return output


def sinusoids(sequences: Tensor) -> Tensor:
    """Returns the positional encoding [T, N] of sequences [B', T, N]: sine and cosine of each frequency in turn.

    The frequencies fall from 1 to 1 / 10000 radians per position (Vaswani et al. 2017, arXiv:1706.03762, section 3.5).
    """
    _, length, channels = sequences.shape
    device = sequences.device
    positions = torch.arange(length, device=device, dtype=torch.float32)  # [T]
    evens = torch.arange(0, channels, 2, device=device, dtype=torch.float32)  # [N / 2]
    angles = torch.outer(positions, torch.exp(evens * (-math.log(10000) / channels)))  # [T, N / 2]
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1).to(sequences.dtype)  # [T, N]


MODEL = Model(
    network=SepFormer,
    presets={
        "paper": SepFormerConfig(),
        "debug": SepFormerConfig(
            filters=32, chunk_size=100, blocks=1, transformer_layers=1, heads=4, feedforward_size=64
        ),
    },
    curriculum=Curriculum.of((1, "C R"), (3, "C R SR S"), (5, "SER SR ER R SE S E C")),
    cuda_graph=True,
)
