"""A transformer layer that trains in less time on a CPU than one of PyTorch's own parts.

Sequences are independent of one another, so a CPU takes a few of them at a time through the whole layer, forward and
backward: intermediate values stay in the processor's caches. On a GPU, and under torch.compile or autocast, PyTorch's
own implementation runs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.kernels.context import Context
from trainer.kernels.linear import Linear, add_product, plain, product
from trainer.kernels.recording import are_shapes_alone

EPS = 1e-6
ROWS = 1024
"""Rows (steps of all sequences) that are taken at a time; a group has at least one sequence."""


class TransformerLayer(nn.Module):
    """Self-attention and a feed-forward network, each with a norm before it, and added to its input.

    Dropout is that of Vaswani et al. 2017 (arXiv:1706.03762, section 5.4): of each output before it is added.

    Args:
        channels: N, the channels of the sequences.
        heads: attention heads; N is a multiple of them.
        feedforward_size: H, the units between the two linear layers.
        dropout: share of both outputs that is zeroed in training.
    """

    def __init__(self, channels: int, heads: int, feedforward_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.attention_norm = nn.LayerNorm(channels, EPS)
        self.attention = SelfAttention(channels, heads)
        self.feedforward_norm = nn.LayerNorm(channels, EPS)
        self.feedforward = nn.Sequential(
            Linear(channels, feedforward_size),
            # In place, because this is the layer's largest tensor and nothing needs its old values. With dropout,
            # Linear may be our own function on the CPU, whose output autograd does not let change.
            nn.ReLU(inplace=not dropout),
            Linear(feedforward_size, channels),
        )

    def forward(self, sequences: Tensor) -> Tensor:
        """Maps sequences [B, T, N] to the same shape."""
        drops = self.training and isinstance(self.dropout, nn.Dropout)
        if not drops and plain(sequences, self.attention.qkv.weight):
            grouped: Tensor = _Grouped.apply(self.attention.heads, sequences.contiguous(), *self.parameters())
            return grouped
        sequences = sequences + self.dropout(self.attention(self.attention_norm(sequences)))  # [B, T, N]
        output: Tensor = sequences + self.dropout(self.feedforward(self.feedforward_norm(sequences)))  # [B, T, N]
        return output


class SelfAttention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values.

    Args:
        channels: N, the channels of the sequences.
        heads: attention heads; N is a multiple of them.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(channels, 3 * channels)
        self.output = Linear(channels, channels)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, sequences: Tensor) -> Tensor:
        """Maps sequences [B, T, N] to the same shape."""
        query, key, value = _heads(self.qkv(sequences), self.heads)
        attended = F.scaled_dot_product_attention(query, key, value)  # [B, heads, T, N / heads]
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))  # [B, T, N]
        return output


class _Pair(NamedTuple):
    """The weight and bias of a part, or their gradients."""

    weight: Tensor
    bias: Tensor


class _Parts(NamedTuple):
    """The layer's parts in the order of its parameters."""

    attention_norm: _Pair
    qkv: _Pair
    output: _Pair
    feedforward_norm: _Pair
    inner: _Pair
    outer: _Pair


class _Kept(NamedTuple):
    """What the backward pass of a group of sequences needs; all but `logsumexp` are [B, T, ...]."""

    normed: Tensor
    mean: Tensor
    deviation: Tensor
    qkv: Tensor
    attended: Tensor
    logsumexp: Tensor
    between: Tensor
    between_normed: Tensor
    between_mean: Tensor
    between_deviation: Tensor
    hidden: Tensor


class _Grouped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, heads: int, sequences: Tensor, *parameters: Tensor) -> Tensor:
        parts, output = _parts(parameters), torch.empty_like(sequences)
        kept: list[Tensor] = []
        for group, out in zip(_groups(sequences), _groups(output), strict=True):
            kept += _forward(group, heads, parts, out)
        ctx.heads, ctx.parameters = heads, len(parameters)
        ctx.save_for_backward(sequences, *parameters, *kept)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sequences, *saved = ctx.saved_tensors
        parameters, kept = saved[: ctx.parameters], saved[ctx.parameters :]
        of_sequences, of_parameters = torch.empty_like(sequences), list(map(torch.zeros_like, parameters))
        parts, of_parts = _parts(parameters), _parts(of_parameters)
        groups = zip(_groups(sequences), _groups(gradient), _groups(of_sequences), strict=True)
        for group, outer, out in groups:
            own, kept = _Kept(*kept[: len(_Kept._fields)]), kept[len(_Kept._fields) :]
            _backward(group, outer, ctx.heads, own, parts, of_parts, out)
        return None, of_sequences, *of_parameters


def _forward(group: Tensor, heads: int, parts: _Parts, out: Tensor) -> _Kept:
    """Writes the layer's output for the sequences [B, T, N] to `out`; returns what the backward pass needs."""
    normed = _norm(group, parts.attention_norm)
    qkv = product(normed[0], *parts.qkv)  # [B, T, 3 N]
    attended, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*_heads(qkv, heads))
    attended = attended.transpose(1, 2).flatten(2)  # [B, T, N]
    between = add_product(group + parts.output.bias, attended, parts.output.weight)  # [B, T, N]
    between_normed = _norm(between, parts.feedforward_norm)
    hidden = product(between_normed[0], *parts.inner, "relu")  # [B, T, H]
    add_product(torch.add(between, parts.outer.bias, out=out), hidden, parts.outer.weight)
    return _Kept(*normed, qkv, attended, logsumexp, between, *between_normed, hidden)


def _backward(group: Tensor, outer: Tensor, heads: int, kept: _Kept, parts: _Parts, of: _Parts, out: Tensor) -> None:
    """Writes the gradient of the sequences [B, T, N] to `out`, from `outer`, the gradient of the layer's output.

    Adds the gradients of the parts to `of`.
    """
    inner = _linear_backward(outer, kept.hidden, parts.outer, of.outer)  # [B, T, H]
    torch.ops.aten.threshold_backward.grad_input(inner, kept.hidden, 0, grad_input=inner)
    inner = _linear_backward(inner, kept.between_normed, parts.inner, of.inner)  # [B, T, N]
    moments = kept.between_mean, kept.between_deviation
    inner = _norm_backward(inner, kept.between, *moments, parts.feedforward_norm, of.feedforward_norm)
    outer = outer + inner  # [B, T, N]

    inner = _linear_backward(outer, kept.attended, parts.output, of.output)  # [B, T, N]
    inner, attended = (part.view(*part.shape[:2], heads, -1).transpose(1, 2) for part in (inner, kept.attended))
    # Of queries, keys and values: [B, heads, T, N / heads] each.
    of_heads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        inner, *_heads(kept.qkv, heads), attended, kept.logsumexp, dropout_p=0.0, is_causal=False
    )
    inner = torch.stack([part.transpose(1, 2) for part in of_heads], dim=2).flatten(2)  # [B, T, 3 N]
    inner = _linear_backward(inner, kept.normed, parts.qkv, of.qkv)  # [B, T, N]
    inner = _norm_backward(inner, group, kept.mean, kept.deviation, parts.attention_norm, of.attention_norm)
    torch.add(outer, inner, out=out)


def _linear_backward(outer: Tensor, input: Tensor, part: _Pair, of: _Pair) -> Tensor:
    """Returns the gradient of the input [..., N] of a linear layer from that of its output [..., M]."""
    rows = outer.flatten(0, -2)  # [R, M]
    of.weight.addmm_(rows.t(), input.flatten(0, -2))
    # This takes less time than a sum over the rows.
    of.bias.addmv_(rows.t(), rows.new_ones(len(rows)))
    return product(outer, part.weight.t())


def _norm(input: Tensor, part: _Pair) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the normed input [..., N], and the means and reciprocal deviations [..., 1] for the backward pass."""
    return torch.native_layer_norm(input, part.weight.shape, *part, EPS)


def _norm_backward(outer: Tensor, input: Tensor, mean: Tensor, deviation: Tensor, part: _Pair, of: _Pair) -> Tensor:
    """Returns the gradient of the norm's input [..., N] from that of its output [..., N]."""
    of_input: Tensor
    of_input, *of_part = torch.ops.aten.native_layer_norm_backward(
        outer, input, part.weight.shape, mean, deviation, *part, [True, True, True]
    )
    for total, gradient in zip(of, of_part, strict=True):
        total += gradient
    return of_input


def _parts(parameters: Sequence[Tensor]) -> _Parts:
    """Returns the parameters, or their gradients, by parts."""
    return _Parts(*map(_Pair, parameters[::2], parameters[1::2]))


def _heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns queries, keys and values, [B, heads, T, N / heads] each, from their projection [B, T, 3 N]."""
    # Split before the heads come first, so that the gradients of the three meet in the layout of the projection.
    query, key, value = torch.unflatten(qkv, -1, (3, heads, -1)).unbind(2)  # [B, T, heads, N / heads] each
    return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)


def _groups(sequences: Tensor) -> tuple[Tensor, ...]:
    """Returns the sequences [B, T, N] in groups of whole sequences."""
    if are_shapes_alone():
        return (sequences,)
    return torch.split(sequences, max(1, ROWS // sequences.shape[1]))
