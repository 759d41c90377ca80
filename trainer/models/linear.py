"""Linear layers that take less time on a CPU than nn.Linear and what stands around it. Used by the models.

PyTorch gives fp32 products on a CPU to MKL, which keeps to AVX2 on processors that are not Intel's; where there are wider
vectors, oneDNN uses them. On a GPU, and under torch.compile or autocast, PyTorch's own way is taken.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ROWS = 1024
"""Rows that a feed-forward network takes at a time: what stands between its two products stays in the processor's caches."""
WIDE = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
"""Whether oneDNN's products are the faster ones. On an AVX2 machine MKL's are, by a twentieth."""


class Linear(nn.Linear):
    """nn.Linear: [..., N] to [..., M]."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., N] to [..., M]."""
        ours = _in_onednn(input) and _plain(input, self.weight)
        output: Tensor = _Linear.apply(input, self.weight, self.bias) if ours else super().forward(input)
        return output


class FeedForward(nn.Sequential):
    """Linear, ReLU, Linear: [..., N] to the same shape through [..., H]."""

    def __init__(self, channels: int, hidden_size: int) -> None:
        super().__init__(
            nn.Linear(channels, hidden_size),
            nn.ReLU(inplace=True),  # the layer's largest tensor, and nothing needs what stood there before
            nn.Linear(hidden_size, channels),
        )

    def forward(self, input: Tensor) -> Tensor:
        """[..., N] to [..., N]."""
        weights = list(self.parameters())
        output: Tensor = (
            _FeedForward.apply(input, *weights) if _plain(input, weights[0]) else super().forward(input)  # type: ignore[no-untyped-call]
        )
        return output


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.biased = bias is not None
        return _product(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)  # [R, M]
        of_weight = rows.t() @ input.flatten(0, -2)  # MKL is as fast here
        return _product(gradient, weight.t()), of_weight, rows.sum(0) if ctx.biased else None


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, weight_out: Tensor, bias_out: Tensor
    ) -> Tensor:
        hidden, output = [], input.new_empty(input.shape)
        for rows, place in zip(_parts(input), _parts(output), strict=True):  # [ROWS, N] each
            hidden.append(_product(rows, weight, bias, "relu"))  # [ROWS, H]
            _product(hidden[-1], weight_out, bias_out, out=place)
        ctx.save_for_backward(input, weight, weight_out, *hidden)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        input, weight, weight_out, *hidden = ctx.saved_tensors
        of_weight, of_weight_out = torch.zeros_like(weight), torch.zeros_like(weight_out)
        of_bias = torch.zeros_like(weight[:, 0])
        of_input = input.new_empty(input.shape)
        parts = zip(_parts(input), hidden, _parts(gradient), _parts(of_input), strict=True)
        for rows, kept, outer, place in parts:
            of_weight_out.addmm_(outer.t(), kept)
            inner = _product(outer, weight_out.t())  # [ROWS, H]
            torch.ops.aten.threshold_backward.grad_input(inner, kept, 0, grad_input=inner)
            of_weight.addmm_(inner.t(), rows)
            of_bias += inner.sum(0)
            _product(inner, weight.t(), out=place)  # [ROWS, N]
        of_bias_out = gradient.flatten(0, -2).sum(0)
        return of_input, of_weight, of_bias, of_weight_out, of_bias_out


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """[..., N] as [ROWS, N] each, fewer in the last one."""
    return torch.split(tensor.flatten(0, -2), ROWS)


def _plain(input: Tensor, weight: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and input.device.type == "cpu"
        and input.dtype == weight.dtype
        and not torch.is_autocast_enabled("cpu")
    )


def _in_onednn(input: Tensor) -> bool:
    return WIDE and input.dtype == torch.float32


def _product(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str = "none",
    out: Tensor | None = None,
) -> Tensor:
    """[..., N] times the transpose of [M, N], and what follows it: [..., M], or `out` [R, M] where input is [R, N]."""
    if _in_onednn(input):
        output: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, activation, [], "")
        return output if out is None else out.copy_(output)
    if out is None:
        output = nn.functional.linear(input, weight, bias)
    elif bias is None:
        output = torch.mm(input, weight.t(), out=out)
    else:
        output = torch.addmm(bias, input, weight.t(), out=out)
    return output.relu_() if activation == "relu" else output


def operations(input: tuple[int, ...], weight: tuple[int, ...], *_: Any, **__: Any) -> int:
    """Floating-point operations of a product in oneDNN, for torch's FlopCounterMode, which does not know it."""
    return 2 * math.prod(input) * weight[0]
