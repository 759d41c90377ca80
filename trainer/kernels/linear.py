"""Linear layers that take less time on a CPU than nn.Linear.

PyTorch gives fp32 products on a CPU to MKL, which stays with AVX2 on processors that are not Intel's; oneDNN uses wider
vectors where there are any. On a GPU, and under torch.compile or autocast, PyTorch's own implementation runs.
"""

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.kernels.context import Context
from trainer.kernels.recording import is_recorded

_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
WIDE = torch.backends.cpu.get_cpu_capability() == "AVX512" and _ONEDNN
"""Whether oneDNN's products are faster than MKL's. On an AVX2 machine MKL's are, by a twentieth."""


class Linear(nn.Linear):
    """nn.Linear with oneDNN's products where they are faster."""

    def forward(self, input: Tensor) -> Tensor:
        """Maps [..., N] to [..., M]."""
        ours = _in_onednn(input) and plain(input, self.weight)
        output: Tensor = _Linear.apply(input, self.weight, self.bias) if ours else super().forward(input)
        return output


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.biased = bias is not None
        return product(input, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)  # [R, M]
        # MKL is as fast as oneDNN here.
        of_weight = rows.t() @ input.flatten(0, -2)
        return product(gradient, weight.t()), of_weight, rows.sum(0) if ctx.biased else None


def plain(input: Tensor, weight: Tensor) -> bool:
    """Returns whether a CPU computes in the type of both, so that our own implementations may run."""
    return (
        not is_recorded()
        and input.device.type == "cpu"
        and input.dtype == weight.dtype
        and not torch.is_autocast_enabled("cpu")
    )


def product(input: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """Returns [..., M]: `input` [..., N] times the transpose of `weight` [M, N], plus `bias` [M], then the activation.

    Args:
        activation: "relu" or "none".
    """
    if _in_onednn(input):
        output: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, activation, [], "")
        return output
    output = nn.functional.linear(input, weight, bias)
    return output.relu_() if activation == "relu" else output


def add_product(total: Tensor, input: Tensor, weight: Tensor) -> Tensor:
    """Adds `input` [..., N] times the transpose of `weight` [M, N] to the contiguous `total` [..., M]; returns it."""
    if _in_onednn(input):
        return total.add_(product(input, weight))
    # view and not flatten, which would copy a tensor that is not contiguous.
    rows = total.view(-1, total.shape[-1])  # [R, M]
    # Not addmm_, which FlopCounterMode does not know.
    torch.addmm(rows, input.flatten(0, -2), weight.t(), out=rows)
    return total


def _in_onednn(input: Tensor) -> bool:
    return WIDE and input.dtype == torch.float32


def operations(input: tuple[int, ...], weight: tuple[int, ...], *_: object, **__: object) -> int:
    """Returns the floating-point operations of oneDNN's product, which torch's FlopCounterMode does not know."""
    return 2 * math.prod(input) * weight[0]
