"""Dual-path separation: masks from a sequence model that runs within chunks of frames, then across them.

The frames are cut into chunks that overlap by half. Every block runs one sequence model along each chunk (intra) and
another one along the same position of all chunks (inter); overlap-add joins the chunks again. Chunks are [B, S, K, N],
channels last, so that every projection is one matrix product over contiguous rows.

References:
    Luo, Chen and Yoshioka 2020, "Dual-path RNN: efficient long sequence modeling for time-domain single-channel speech
    separation", arXiv:1910.06379.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.kernels.linear import Linear
from trainer.kernels.prelu import PReLU
from trainer.models.parts.codec import SPEAKERS, Decoder, Encoder
from trainer.models.parts.global_norm import GlobalNorm

EPS = 1e-8


class DualPathNetwork(nn.Module):
    """Separates a mixture [B, T] of any T >= 1 samples into estimates [B, 2, T].

    Args:
        filters: N, the filters of the encoder and channels of the blocks.
        kernel_size: samples of a filter, even; the stride is half of it.
        chunk_size: K, the frames of a chunk, even; the hop is half of it.
        blocks: modules that map chunks [B, S, K, N] to the same shape.
    """

    def __init__(self, filters: int, kernel_size: int, chunk_size: int, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.chunk_size = chunk_size
        self.encoder = Encoder(filters, kernel_size)
        self.norm = GlobalNorm(filters, EPS)
        self.bottleneck = Linear(filters, filters, bias=False)
        self.blocks = nn.Sequential(*blocks)
        self.activation = PReLU()
        self.speakers = Linear(filters, SPEAKERS * filters)
        self.gate = Linear(filters, 2 * filters)
        self.mask = Linear(filters, filters, bias=False)
        self.decoder = Decoder(filters, kernel_size)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the estimates [B, 2, T] of the speakers in a mixture [B, T]."""
        frames = self.encoder(mixture)  # [B, N, L]
        features = self.bottleneck(self.norm(frames).transpose(1, 2))  # [B, L, N]
        chunks = self.activation(self.blocks(split(features, self.chunk_size)))  # [B, S, K, N]
        masks = self.masks(overlap_add(chunks, features.shape[1]))  # [B, 2, L, N]
        masked = masks.transpose(2, 3) * frames.unsqueeze(1)  # [B, 2, N, L]
        estimates: Tensor = self.decoder(masked, mixture.shape[-1])  # [B, 2, T]
        return estimates

    def masks(self, features: Tensor) -> Tensor:
        """Returns a mask for each speaker, [B, 2, L, N], from the overlap-added features [B, L, N]."""
        # The papers project each chunk and overlap-add afterwards. Both are linear, so the other order gives the same
        # from half the rows; the bias counts twice because two chunks cover every frame.
        speakers = F.linear(features, self.speakers.weight, 2 * self.speakers.bias)  # [B, L, 2 N]
        speakers = speakers.view(*speakers.shape[:2], SPEAKERS, -1).transpose(1, 2)  # [B, 2, L, N]
        output, gate = self.gate(speakers).chunk(2, dim=-1)  # [B, 2, L, N] each
        return F.relu(self.mask(torch.tanh(output) * torch.sigmoid(gate)))  # [B, 2, L, N]


class DualPathBlock(nn.Module):
    """One sequence model along the chunks and one across them, each normed and, as a rule, added to its input.

    Args:
        channels: N, the channels of the chunks.
        intra: module that runs along T of [B, X, T, N] and returns the same shape; along the chunks.
        inter: another such module; across the chunks.
        intra_skip: whether the input is added to the path along the chunks.
    """

    def __init__(self, channels: int, intra: nn.Module, inter: nn.Module, intra_skip: bool = True) -> None:
        super().__init__()
        self.intra_skip = intra_skip
        self.intra = intra
        self.intra_norm = ChunkNorm(channels, EPS)
        self.inter = inter
        self.inter_norm = ChunkNorm(channels, EPS)

    def forward(self, chunks: Tensor) -> Tensor:
        """Maps chunks [B, S, K, N] to the same shape."""
        along = self.intra_norm(self.intra(chunks))  # [B, S, K, N]
        chunks = chunks + along if self.intra_skip else along  # [B, S, K, N]
        across = self.inter(chunks.transpose(1, 2)).transpose(1, 2)  # [B, S, K, N]
        output: Tensor = chunks + self.inter_norm(across)  # [B, S, K, N]
        return output


class ChunkNorm(GlobalNorm):
    """GlobalNorm with the channels last: over all chunks, frames and channels of a mixture."""

    def forward(self, chunks: Tensor) -> Tensor:
        """Maps chunks [B, S, K, N] to the same shape."""
        return super().forward(chunks.movedim(-1, 1)).movedim(1, -1)  # [B, S, K, N]


def split(features: Tensor, chunk_size: int) -> Tensor:
    """Returns the chunks [B, S, K, N] of features [B, L, N]; they overlap by half.

    Half a chunk of zeros comes before the first frame, and half a chunk and 1 to K zeros after the last one, so that
    every frame lies in exactly two chunks.
    """
    half = chunk_size // 2
    gap = chunk_size - (half + features.shape[1]) % chunk_size  # 1..K frames that fill the last chunk
    padded = F.pad(features, (0, 0, half, gap + half))  # [B, (S + 1) K / 2, N]
    halves = padded.view(padded.shape[0], -1, half, padded.shape[-1])  # [B, S + 1, K / 2, N]
    return torch.cat((halves[:, :-1], halves[:, 1:]), dim=2)  # [B, S, K, N]


def overlap_add(chunks: Tensor, length: int) -> Tensor:
    """Returns twice the features [B, length, N] that `split` has cut into chunks [B, S, K, N]."""
    half = chunks.shape[2] // 2
    summed = chunks[:, 1:, :half] + chunks[:, :-1, half:]  # [B, S - 1, K / 2, N]
    return summed.flatten(1, 2)[:, :length]  # [B, L, N]
