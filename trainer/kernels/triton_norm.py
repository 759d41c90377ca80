"""The global norm on CUDA, with PReLU in front where a slope is given: Triton kernels, forward and backward.

A mixture is cut into tiles of some channels and positions, one per program. Every tile writes its share of a mixture's
moments and of the sums of the backward pass, and the shares are combined afterwards: without atomics the bits are the
same every time. Under TRITON_INTERPRET=1 the kernels run on the CPU too, slowly, for tests.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainer.kernels.context import Context

TILE = 4096
"""Entries of a tile."""
ADJACENT = 64
"""Channels of a tile where the channels are adjacent in memory; where the positions are, it has TALL channels."""
TALL = 4


def global_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float, slope: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Returns (a - mean) / sqrt(variance + eps) * gain + bias, with a = prelu(x, slope) or x.

    The moments are those of a whole mixture. Computed in float32, or in float64 where x is.

    Args:
        x: [B, C, L] or [B, C, P, Q], of any strides.
        gain: [C].
        bias: [C].
        eps: keeps the root above zero.
        slope: [1], or None without PReLU.
        dtype: type of the result.
    """
    y: Tensor = _GlobalNorm.apply(x.unsqueeze(2) if x.dim() == 3 else x, gain, bias, slope, eps, dtype)
    return y.view_as(x) if x.dim() == 3 else y


class _GlobalNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context,
        x: Tensor,
        gain: Tensor,
        bias: Tensor,
        slope: Tensor | None,
        eps: float,
        dtype: torch.dtype,
    ) -> Tensor:
        batch, channels, rows, columns = x.shape
        length = rows * columns
        tile, grid = _tiles(x)
        full = torch.float64 if x.dtype == torch.float64 else torch.float32
        means, squares = x.new_empty(2, batch, grid[0], dtype=full)  # [B, tiles] each
        mean, scale = x.new_empty(2, batch, dtype=full)  # [B] each
        _moments[grid](x, slope, means, squares, channels, length, columns, *x.stride(), **tile)
        _combine[(batch,)](means, squares, mean, scale, grid[0], channels, length, eps, BLOCK=1024, **tile)
        y = torch.empty_like(x, dtype=dtype)
        _normalize[grid](
            x, slope, gain, bias, mean, scale, y, channels, length, columns, *x.stride(), *y.stride(), **tile
        )
        ctx.save_for_backward(x, gain, slope, mean, scale)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, y_grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, slope, mean, scale = ctx.saved_tensors
        batch, channels, rows, columns = x.shape
        length = rows * columns
        tile, grid = _tiles(x)
        shares = mean.new_empty(2, batch, triton.cdiv(length, tile["LENGTH"]), channels)
        _sums[grid](
            x, slope, y_grad, mean, scale, shares[0], shares[1], channels, length, columns,
            *x.stride(), *y_grad.stride(), **tile,
        )  # fmt: skip
        per_channel = shares.sum(2)  # [2, B, C]: of y_grad, and of y_grad times the normed a
        bias_grad, gain_grad = per_channel.sum(1)  # [C] each
        per_mixture = (per_channel @ gain.to(mean.dtype)) / (channels * length)  # [2, B]
        x_grad = torch.empty_like(x)
        slope_shares = None if slope is None else mean.new_empty(batch, grid[0])
        _input_gradient[grid](
            x, slope, y_grad, gain, mean, scale, per_mixture[0], per_mixture[1], x_grad, slope_shares,
            channels, length, columns, *x.stride(), *y_grad.stride(), *x_grad.stride(), **tile,
        )  # fmt: skip
        slope_grad = None if slope_shares is None else slope_shares.sum().view(1)
        return x_grad, gain_grad, bias_grad, slope_grad, None, None


def _tiles(x: Tensor) -> tuple[dict[str, int], tuple[int, int]]:
    """Returns the sizes of a tile of x [B, C, P, Q], and the grid: tiles of a mixture, mixtures."""
    batch, channels, rows, columns = x.shape
    tall = ADJACENT if x.stride(1) == 1 else TALL
    sizes = {"CHANNELS": tall, "LENGTH": TILE // tall}
    tiles = triton.cdiv(channels, tall) * triton.cdiv(rows * columns, sizes["LENGTH"])
    return {**sizes, "enable_fp_fusion": True}, (tiles, batch)


@triton.jit
def _place(channels, length, CHANNELS: tl.constexpr, LENGTH: tl.constexpr):
    """Returns the channels [C] and positions [L] of the program's tile, and which of them exist, [C, L]."""
    across = tl.cdiv(length, LENGTH)
    c = tl.program_id(0) // across * CHANNELS + tl.arange(0, CHANNELS)
    t = tl.program_id(0) % across * LENGTH + tl.arange(0, LENGTH)
    return c, t, (c < channels)[:, None] & (t < length)[None, :]


@triton.jit
def _load(x, c, t, inside, columns, x_b, x_c, x_p, x_q):
    """Returns the values [C, L] of the program's mixture in float32 or float64."""
    mixture = tl.program_id(1).to(tl.int64)
    place = t // columns * x_p + t % columns * x_q  # [L]
    value = tl.load(x + mixture * x_b + c[:, None] * x_c + place[None, :], inside, 0.0)
    return value if x.dtype.element_ty == tl.float64 else value.to(tl.float32)


@triton.jit
def _store(x, c, t, inside, columns, x_b, x_c, x_p, x_q, value):
    mixture = tl.program_id(1).to(tl.int64)
    place = t // columns * x_p + t % columns * x_q  # [L]
    tl.store(x + mixture * x_b + c[:, None] * x_c + place[None, :], value, inside)


@triton.jit
def _prelu(x, slope):
    """Returns x, times the slope where it is negative."""
    if slope is not None:
        x = tl.where(x > 0, x, x * tl.load(slope))
    return x


@triton.jit
def _tile_size(tile, channels, length, CHANNELS: tl.constexpr, LENGTH: tl.constexpr):
    """Returns the entries of the mixture in a tile."""
    across = tl.cdiv(length, LENGTH)
    tall = tl.minimum(channels - tile // across * CHANNELS, CHANNELS)
    return tall * tl.minimum(length - tile % across * LENGTH, LENGTH)


@triton.jit
def _moments(
    x, slope, means, squares, channels, length, columns, x_b, x_c, x_p, x_q,
    CHANNELS: tl.constexpr, LENGTH: tl.constexpr,
):  # fmt: skip
    """Writes the mean of each tile and the sum of the squared deviations from it."""
    c, t, inside = _place(channels, length, CHANNELS, LENGTH)
    a = _prelu(_load(x, c, t, inside, columns, x_b, x_c, x_p, x_q), slope)  # [C, L]
    mean = tl.sum(a) / _tile_size(tl.program_id(0), channels, length, CHANNELS, LENGTH)
    deviation = tl.where(inside, a - mean, 0.0)
    share = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    tl.store(means + share, mean)
    tl.store(squares + share, tl.sum(deviation * deviation))


@triton.jit
def _combine(
    means, squares, mean, scale, tiles, channels, length, eps,
    BLOCK: tl.constexpr, CHANNELS: tl.constexpr, LENGTH: tl.constexpr,
):  # fmt: skip
    """Writes a mixture's mean and 1 / sqrt(variance + eps), from those of its tiles (Chan, Golub and LeVeque 1983)."""
    first = tl.program_id(0) * tiles
    total = tl.zeros([BLOCK], means.dtype.element_ty)
    for start in range(0, tiles, BLOCK):
        tile = start + tl.arange(0, BLOCK)
        size = _tile_size(tile, channels, length, CHANNELS, LENGTH)
        total += size * tl.load(means + first + tile, tile < tiles, 0.0)
    of_all = tl.sum(total) / (channels * length)
    total = tl.zeros([BLOCK], means.dtype.element_ty)
    for start in range(0, tiles, BLOCK):
        tile = start + tl.arange(0, BLOCK)
        size = _tile_size(tile, channels, length, CHANNELS, LENGTH)
        off = tl.load(means + first + tile, tile < tiles, of_all) - of_all
        total += tl.load(squares + first + tile, tile < tiles, 0.0) + size * off * off
    tl.store(mean + tl.program_id(0), of_all)
    tl.store(scale + tl.program_id(0), 1.0 / tl.sqrt(tl.sum(total) / (channels * length) + eps))


@triton.jit
def _normalize(
    x, slope, gain, bias, mean, scale, y, channels, length, columns, x_b, x_c, x_p, x_q, y_b, y_c, y_p, y_q,
    CHANNELS: tl.constexpr, LENGTH: tl.constexpr,
):  # fmt: skip
    c, t, inside = _place(channels, length, CHANNELS, LENGTH)
    a = _prelu(_load(x, c, t, inside, columns, x_b, x_c, x_p, x_q), slope)  # [C, L]
    normed = (a - tl.load(mean + tl.program_id(1))) * tl.load(scale + tl.program_id(1))
    gain_c, bias_c = tl.load(gain + c, c < channels, 0.0), tl.load(bias + c, c < channels, 0.0)
    _store(y, c, t, inside, columns, y_b, y_c, y_p, y_q, normed * gain_c[:, None] + bias_c[:, None])


@triton.jit
def _sums(
    x, slope, y_grad, mean, scale, bias_share, gain_share, channels, length, columns,
    x_b, x_c, x_p, x_q, g_b, g_c, g_p, g_q, CHANNELS: tl.constexpr, LENGTH: tl.constexpr,
):  # fmt: skip
    """Writes for each channel the sums over a tile's positions of y's gradient, and of that times the normed a."""
    c, t, inside = _place(channels, length, CHANNELS, LENGTH)
    grad = _load(y_grad, c, t, inside, columns, g_b, g_c, g_p, g_q)  # [C, L]
    a = _prelu(_load(x, c, t, inside, columns, x_b, x_c, x_p, x_q), slope)
    normed = (a - tl.load(mean + tl.program_id(1))) * tl.load(scale + tl.program_id(1))
    across = tl.cdiv(length, LENGTH)
    share = (tl.program_id(1) * across + tl.program_id(0) % across) * channels + c  # [C]
    tl.store(bias_share + share, tl.sum(grad, 1), c < channels)
    tl.store(gain_share + share, tl.sum(grad * normed, 1), c < channels)


@triton.jit
def _input_gradient(
    x, slope, y_grad, gain, mean, scale, mean_grad, mean_product, x_grad, slope_share, channels, length, columns,
    x_b, x_c, x_p, x_q, g_b, g_c, g_p, g_q, d_b, d_c, d_p, d_q, CHANNELS: tl.constexpr, LENGTH: tl.constexpr,
):  # fmt: skip
    """Writes the gradient of x: scale (g - mean of g - normed a times the mean of g normed a), through PReLU.

    g is y's gradient times the gain.
    """
    c, t, inside = _place(channels, length, CHANNELS, LENGTH)
    mixture = tl.program_id(1)
    raw = _load(x, c, t, inside, columns, x_b, x_c, x_p, x_q)  # [C, L]
    factor = tl.load(scale + mixture)
    normed = (_prelu(raw, slope) - tl.load(mean + mixture)) * factor
    gain_c = tl.load(gain + c, c < channels, 0.0)
    grad = _load(y_grad, c, t, inside, columns, g_b, g_c, g_p, g_q) * gain_c[:, None]
    grad = factor * (grad - tl.load(mean_grad + mixture) - normed * tl.load(mean_product + mixture))
    if slope is not None:
        negative = inside & (raw <= 0)
        share = mixture * tl.num_programs(0) + tl.program_id(0)
        tl.store(slope_share + share, tl.sum(tl.where(negative, grad * raw, 0.0)))
        grad = tl.where(negative, grad * tl.load(slope), grad)
    _store(x_grad, c, t, inside, columns, d_b, d_c, d_p, d_q, grad)
