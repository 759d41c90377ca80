"""Conv-TasNet: masks from dilated depthwise convolutions.

This is the non-causal network with global layer norm, ReLU masks and no skip path. Tensors stay [B, C, L] throughout,
so that the paper's global layer norm is a GroupNorm with one group.

References:
    Luo and Mesgarani 2019, "Conv-TasNet: Surpassing ideal time-frequency magnitude masking for speech separation",
    arXiv:1809.07454.
"""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from trainer.data.curriculum import Curriculum
from trainer.kernels.convolution import Pointwise, ReflectedDepthwise
from trainer.models.parts.checks import check_even, check_types
from trainer.models.parts.codec import SPEAKERS, Decoder, Encoder
from trainer.models.parts.global_norm import PReLUNorm
from trainer.models.registry import Model

EPS = 1e-8
MOST_BLOCKS = 16
"""The last dilation, 2**15 frames, is 33 s of audio with the published filters; a mixture is filled up to that."""


@dataclass(frozen=True, kw_only=True)
class ConvTasNetConfig:
    """Architecture of Conv-TasNet; the letters are those of the paper's table I."""

    filters: int = 256
    """N: filters of the encoder and the decoder."""
    kernel_size: int = 16
    """L: samples of a filter, even; the stride is half of it."""
    bottleneck_channels: int = 256
    """B: channels between the blocks."""
    hidden_channels: int = 512
    """H: channels inside a block."""
    block_kernel_size: int = 3
    """P: taps of the depthwise convolution, odd."""
    blocks: int = 8
    """X: blocks of a repeat; the dilation doubles from each block to the next."""
    repeats: int = 4
    """R: repeats of the stack of X blocks."""

    def __post_init__(self) -> None:
        check_types(self)
        check_even(self, "kernel_size")
        if self.block_kernel_size % 2 == 0:
            raise ValueError(f"block_kernel_size must be odd, not {self.block_kernel_size}")
        if self.blocks > MOST_BLOCKS:
            raise ValueError(f"blocks must be at most {MOST_BLOCKS}, not {self.blocks}: each doubles the dilation")

    @property
    def receptive_field(self) -> int:
        """Samples of the mixture that a sample of an estimate depends on, global norms aside."""
        reach = self.repeats * ((1 << self.blocks) - 1) * (self.block_kernel_size // 2)
        # A sample lies in two frames, and each of them depends on `reach` frames on both sides.
        return self.kernel_size + (2 * reach + 1) * (self.kernel_size // 2)


class ConvTasNet(nn.Module):
    """Separates a mixture [B, T] of any T >= 1 samples into estimates [B, 2, T].

    Args:
        config: sizes of the network.
    """

    def __init__(self, config: ConvTasNetConfig) -> None:
        super().__init__()
        dilations = [2**x for x in range(config.blocks)] * config.repeats
        # A reflection needs more frames than it pads.
        shortest = max(dilations) * (config.block_kernel_size // 2) + 1
        self.encoder = Encoder(config.filters, config.kernel_size, shortest)
        self.norm = nn.LayerNorm(config.filters, EPS)
        self.bottleneck = Pointwise(config.filters, config.bottleneck_channels)
        self.blocks = nn.Sequential(*(TemporalBlock(config, dilation) for dilation in dilations))
        self.mask = Pointwise(config.bottleneck_channels, SPEAKERS * config.filters)
        self.decoder = Decoder(config.filters, config.kernel_size)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the estimates [B, 2, T] of the speakers in a mixture [B, T]."""
        frames = self.encoder(mixture)  # [B, N, L]
        features = self.norm(frames.transpose(1, 2)).transpose(1, 2)  # [B, N, L]
        features = self.blocks(self.bottleneck(features))  # [B, B', L]
        masks = F.relu(self.mask(features)).view(-1, SPEAKERS, *frames.shape[1:])  # [B, 2, N, L]
        estimates: Tensor = self.decoder(masks * frames.unsqueeze(1), mixture.shape[-1])  # [B, 2, T]
        return estimates


class TemporalBlock(nn.Module):
    """1x1 convolution, PReLU, norm, dilated depthwise convolution, PReLU, norm, 1x1 convolution, added to the input."""

    def __init__(self, config: ConvTasNetConfig, dilation: int) -> None:
        super().__init__()
        bottleneck, hidden = config.bottleneck_channels, config.hidden_channels
        self.layers = nn.Sequential(
            Pointwise(bottleneck, hidden),  # [B, H, L]
            PReLUNorm(hidden, EPS),
            ReflectedDepthwise(hidden, config.block_kernel_size, dilation),  # [B, H, L]
            PReLUNorm(hidden, EPS),
            Pointwise(hidden, bottleneck),  # [B, B', L]
        )

    def forward(self, features: Tensor) -> Tensor:
        """Maps features [B, B', L] to the same shape."""
        output: Tensor = features + self.layers(features)
        return output


MODEL = Model(
    network=ConvTasNet,
    presets={
        "paper": ConvTasNetConfig(),
        "debug": ConvTasNetConfig(filters=64, bottleneck_channels=32, hidden_channels=64, blocks=6, repeats=1),
    },
    curriculum=Curriculum.of((1, "C R"), (3, "C R SR S"), (5, "SER SR ER R SE S E")),
    cuda_graph=True,
)
