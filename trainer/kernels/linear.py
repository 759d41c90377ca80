"""Linear layers that take less time on a CPU than nn.Linear. Used by the models.

PyTorch gives fp32 products on a CPU to MKL, which keeps to AVX2 on processors that are not Intel's; where there are
wider vectors, oneDNN uses them. On a GPU, and under torch.compile or autocast, PyTorch's own way is taken.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

WIDE = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
"""Whether oneDNN's products are the faster ones. On an AVX2 machine MKL's are, by a twentieth."""


class Linear(nn.Linear):
    """nn.Linear: [..., N] to [..., M]."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., N] to [..., M]."""
        ours = _in_onednn(input) and plain(input, self.weight)
        output: Tensor = _Linear.apply(input, self.weight, self.bias) if ours else super().forward(input)
        return output


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.biased = bias is not None
        return product(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)  # [R, M]
        of_weight = rows.t() @ input.flatten(0, -2)  # MKL is as fast here
        return product(gradient, weight.t()), of_weight, rows.sum(0) if ctx.biased else None


def plain(input: Tensor, weight: Tensor) -> bool:
    """Returns whether a CPU computes in the one type of both, so that our own ways may be taken."""
    return (
        not torch.compiler.is_compiling()
        and input.device.type == "cpu"
        and input.dtype == weight.dtype
        and not torch.is_autocast_enabled("cpu")
    )


def product(input: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """[..., N] times the transpose of [M, N], the bias [M] and "relu" or "none" after it: [..., M]."""
    if _in_onednn(input):
        output: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, activation, [], "")
        return output
    output = nn.functional.linear(input, weight, bias)
    return output.relu_() if activation == "relu" else output


def add_product(place: Tensor, input: Tensor, weight: Tensor) -> Tensor:
    """Adds to `place` [..., M], which is contiguous, [..., N] times the transpose of [M, N]; returns it."""
    if _in_onednn(input):
        return place.add_(product(input, weight))
    rows = place.view(-1, place.shape[-1])  # [R, M]; flatten would copy what is not contiguous
    torch.addmm(rows, input.flatten(0, -2), weight.t(), out=rows)  # FlopCounterMode does not know addmm_
    return place


def _in_onednn(input: Tensor) -> bool:
    return WIDE and input.dtype == torch.float32


def operations(input: tuple[int, ...], weight: tuple[int, ...], *_: Any, **__: Any) -> int:
    """Floating-point operations of a product in oneDNN, for torch's FlopCounterMode, which does not know it."""
    return 2 * math.prod(input) * weight[0]
