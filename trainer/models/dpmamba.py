"""Dual-path Mamba: bidirectional Mambas along and across chunks of frames.

Everything but the sequence model is in parts/dual_path.py, the Mamba itself in parts/mamba.py. The paper preset is the
published network of medium size (M); S has 8 blocks without `intra_skip`, XS half of their filters, and L is M with 512
filters.

References:
    Jiang, Han and Mesgarani 2024, "Dual-path Mamba: Short and long-term bidirectional selective structured state space
    models for speech separation", arXiv:2403.18257.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.data.curriculum import Curriculum
from trainer.models.parts.checks import check_even, check_types
from trainer.models.parts.dual_path import DualPathBlock, DualPathNetwork
from trainer.models.parts.mamba import BidirectionalMamba, notes
from trainer.models.registry import Model

EPS = 1e-5
"""Of the norms in a path."""


@dataclass(frozen=True, kw_only=True)
class DPMambaConfig:
    """Architecture of dual-path Mamba."""

    filters: int = 256
    """N: filters of the encoder and channels of the blocks."""
    kernel_size: int = 16
    """Samples of a filter, even; the stride is half of it."""
    chunk_size: int = 250
    """K: frames of a chunk, even; the hop is half of it."""
    blocks: int = 16
    """Dual-path blocks."""
    mambas: int = 1
    """Bidirectional Mambas of a path, one after the other."""
    intra_skip: bool = True
    """Whether a block adds its input to the path along the chunks."""
    state_size: int = 16
    """N of Mamba: states per channel (d_state)."""
    taps: int = 4
    """Taps of Mamba's causal convolution (d_conv)."""
    expansion: int = 2
    """Channels inside a Mamba per channel outside (expand)."""

    def __post_init__(self) -> None:
        check_types(self)
        check_even(self, "kernel_size")
        check_even(self, "chunk_size")


class DPMamba(DualPathNetwork):
    """Separates a mixture [B, T] of any T >= 1 samples into estimates [B, 2, T].

    Args:
        config: sizes of the network.
    """

    def __init__(self, config: DPMambaConfig) -> None:
        def block() -> nn.Module:
            return DualPathBlock(config.filters, MambaPath(config), MambaPath(config), config.intra_skip)

        blocks = [block() for _ in range(config.blocks)]
        super().__init__(config.filters, config.kernel_size, config.chunk_size, blocks)


class MambaPath(nn.Module):
    """Mambas, each with a norm before it and added to its input, and a norm of the sum."""

    def __init__(self, config: DPMambaConfig) -> None:
        super().__init__()
        sizes = (config.filters, config.state_size, config.taps, config.expansion)
        self.norms = nn.ModuleList(nn.RMSNorm(config.filters, EPS) for _ in range(config.mambas))
        mambas = [BidirectionalMamba(*sizes) for _ in range(config.mambas)]
        # As in GPT-2: the more terms the sum has, the smaller they start.
        with torch.no_grad():
            for mamba in mambas:
                mamba.output.weight /= config.mambas**0.5
        self.mambas = nn.ModuleList(mambas)
        self.norm = nn.RMSNorm(config.filters, EPS)

    def forward(self, chunks: Tensor) -> Tensor:
        """Runs along T of [B, X, T, N] and returns the same shape."""
        # The sum is kept, and the norms computed, in the weights' precision, also where autocast uses half of it.
        sequences = chunks.flatten(0, 1).to(self.norm.weight.dtype)  # [B X, T, N]
        for norm, mamba in zip(self.norms, self.mambas, strict=True):
            sequences = sequences + mamba(norm(sequences))  # [B X, T, N]
        output: Tensor = self.norm(sequences).view(chunks.shape)  # [B, X, T, N]
        return output


MODEL = Model(
    network=DPMamba,
    presets={
        "paper": DPMambaConfig(),
        "debug": DPMambaConfig(filters=32, chunk_size=100, blocks=1, state_size=4, expansion=1),
    },
    curriculum=Curriculum.of((1, "C R"), (3, "C R SR S"), (5, "SER SR ER R SE S E C")),
    cuda_graph=True,
    notes=notes,
)
