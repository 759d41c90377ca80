"""Depthwise convolution on CUDA with the channels adjacent in memory: one Triton kernel forward, one backward.

PyTorch's kernels want the positions of a channel adjacent in memory, where rows of an odd length keep matrix products
off the tensor cores, and they reflect in a copy. Under TRITON_INTERPRET=1 the kernels run on the CPU too, for tests.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainer.kernels.context import Context

CHANNELS, LENGTH = 64, 64
"""Channels and positions of a tile, which one program computes."""


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int, before: int, reflect: bool) -> Tensor:
    """Returns y [B, C, L]: y_t = sum over k of w_k x_(t + k dilation - before), plus the bias.

    Outside of x lies its reflection, at most L - 1 positions of it, or zero. y has x's type; it is computed in float32,
    or in float64 where x is.

    Args:
        x: the input [B, C, L].
        weight: w, the taps [C, 1, P].
        bias: [C], or None.
        dilation: positions from one tap to the next.
        before: positions of padding before the first one.
        reflect: whether the padding is a reflection; else it is zero.
    """
    y: Tensor = _Depthwise.apply(x.transpose(1, 2), weight, bias, dilation, before, reflect)
    return y.transpose(1, 2)


class _Depthwise(torch.autograd.Function):
    """The convolution from x [B, L, C] to y [B, L, C]."""

    @staticmethod
    def forward(
        ctx: Context,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        dilation: int,
        before: int,
        reflect: bool,
    ) -> Tensor:
        x, weight = _dense(x), weight.contiguous()
        _, length, channels = x.shape
        y = x.new_empty(x.shape)
        ctx.options = _constants(weight, dilation, before, reflect)
        _forward[_grid(x)](x, weight, bias, y, length, channels, *x.stride()[:2], **ctx.options)
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, y_grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        y_grad = _dense(y_grad)
        batch, length, channels = x.shape
        grid = _grid(x)
        x_grad = x.new_empty(x.shape)
        full = torch.float64 if x.dtype == torch.float64 else torch.float32
        taps = weight.shape[2]
        # Every tile writes its share of these gradients, and they are summed afterwards: without atomics the bits are
        # the same every time.
        shares = weight.new_empty(batch, triton.cdiv(length, LENGTH), taps + 1, channels, dtype=full)
        _backward[grid](
            x, weight, y_grad, x_grad, shares, length, channels, *x.stride()[:2], *y_grad.stride()[:2],
            **ctx.options,
        )  # fmt: skip
        summed = shares.sum((0, 1))  # [P + 1, C]
        bias_grad = summed[taps] if ctx.biased else None
        return x_grad, summed[:taps].t().unsqueeze(1), bias_grad, None, None, None


def _dense(x: Tensor) -> Tensor:
    """Returns x [B, L, C] with the channels adjacent in memory."""
    return x if x.stride(2) == 1 else x.contiguous()


def _grid(x: Tensor) -> tuple[int, int, int]:
    batch, length, channels = x.shape
    return triton.cdiv(channels, CHANNELS), triton.cdiv(length, LENGTH), batch


def _constants(weight: Tensor, dilation: int, before: int, reflect: bool) -> dict[str, int]:
    places = {"TAPS": weight.shape[2], "DILATION": dilation, "BEFORE": before, "REFLECT": reflect}
    return {**places, "CHANNELS": CHANNELS, "LENGTH": LENGTH, "enable_fp_fusion": True}


@triton.jit
def _place(channels, CHANNELS: tl.constexpr, LENGTH: tl.constexpr):
    """Returns the channels [C] and positions [L] of the program's tile, its mixture, and which channels exist."""
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    t = tl.program_id(1) * LENGTH + tl.arange(0, LENGTH)
    return c, t, tl.program_id(2).to(tl.int64), c < channels


@triton.jit
def _load(x, t, c, inside, stride):
    """Returns the values [L, C] in float32 or float64, zeros where it is not `inside`."""
    value = tl.load(x + t[:, None] * stride + c[None, :], inside, 0.0)
    return value if x.dtype.element_ty == tl.float64 else value.to(tl.float32)


@triton.jit
def _reflected(t, length, REFLECT: tl.constexpr):
    if REFLECT:
        t = tl.abs(t)
        t = tl.where(t < length, t, 2 * (length - 1) - t)
    return t


@triton.jit
def _tap(x, t, c, in_channels, length, stride, offset, REFLECT: tl.constexpr):
    """Returns what a tap sees from the positions t: [L, C]."""
    seen = _reflected(t + offset, length, REFLECT)
    return _load(x, seen, c, ((seen >= 0) & (seen < length))[:, None] & in_channels[None, :], stride)


@triton.jit
def _forward(
    x, weight, bias, y, length, channels, x_b, x_t,
    TAPS: tl.constexpr, DILATION: tl.constexpr, BEFORE: tl.constexpr, REFLECT: tl.constexpr,
    CHANNELS: tl.constexpr, LENGTH: tl.constexpr,
):  # fmt: skip
    c, t, mixture, in_channels = _place(channels, CHANNELS, LENGTH)
    total = tl.zeros([LENGTH, CHANNELS], tl.float64 if x.dtype.element_ty == tl.float64 else tl.float32)
    if bias is not None:
        total += tl.load(bias + c, in_channels, 0.0)[None, :]
    for k in tl.static_range(TAPS):
        seen = _tap(x + mixture * x_b, t, c, in_channels, length, x_t, k * DILATION - BEFORE, REFLECT)
        total += seen * tl.load(weight + c * TAPS + k, in_channels, 0.0)[None, :]
    inside = (t < length)[:, None] & in_channels[None, :]
    tl.store(y + mixture * length * channels + t[:, None] * channels + c[None, :], total, inside)


@triton.jit
def _backward(
    x, weight, y_grad, x_grad, shares, length, channels, x_b, x_t, g_b, g_t,
    TAPS: tl.constexpr, DILATION: tl.constexpr, BEFORE: tl.constexpr, REFLECT: tl.constexpr,
    CHANNELS: tl.constexpr, LENGTH: tl.constexpr,
):  # fmt: skip
    c, t, mixture, in_channels = _place(channels, CHANNELS, LENGTH)
    inside = (t < length)[:, None] & in_channels[None, :]
    x += mixture * x_b
    y_grad += mixture * g_b
    given = _load(y_grad, t, c, inside, g_t)  # [L, C]
    total = tl.zeros_like(given)
    share = (mixture * tl.num_programs(1) + tl.program_id(1)) * (TAPS + 1) * channels + c
    for k in tl.static_range(TAPS):
        offset = k * DILATION - BEFORE
        seen = _tap(x, t, c, in_channels, length, x_t, offset, REFLECT)
        tl.store(shares + share + k * channels, tl.sum(seen * given, 0), in_channels)
        # The positions from which this tap saw t: directly, and in the reflections at both ends.
        seer = t - offset
        grad = _load(y_grad, seer, c, ((seer >= 0) & (seer < length))[:, None] & inside, g_t)
        if REFLECT:
            seer = -t - offset
            reflected = (t > 0) & (seer >= 0) & (seer < length)
            grad += _load(y_grad, seer, c, reflected[:, None] & inside, g_t)
            seer = 2 * (length - 1) - t - offset
            reflected = (t < length - 1) & (seer >= 0) & (seer < length)
            grad += _load(y_grad, seer, c, reflected[:, None] & inside, g_t)
        total += grad * tl.load(weight + c * TAPS + k, in_channels, 0.0)[None, :]
    tl.store(shares + share + TAPS * channels, tl.sum(given, 0), in_channels)
    tl.store(x_grad + mixture * length * channels + t[:, None] * channels + c[None, :], total, inside)
