"""Linear layers whose products run in oneDNN on the CPU: a sixth faster there than nn.Linear's. Used by the models.

PyTorch gives fp32 products on a CPU to MKL, which keeps to AVX2 on processors that are not Intel's; oneDNN uses the
widest vectors that there are. Elsewhere, and under torch.compile or autocast, nn.Linear is left as it is.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Linear(nn.Linear):
    """nn.Linear: [..., N] to [..., M]."""

    def forward(self, input: Tensor) -> Tensor:
        """[..., N] to [..., M]."""
        in_onednn = _in_onednn(input, self.weight)
        output: Tensor = _Linear.apply(input, self.weight, self.bias) if in_onednn else super().forward(input)
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
        in_onednn = _in_onednn(input, weights[0])
        output: Tensor = (
            _FeedForward.apply(input, *weights) if in_onednn else super().forward(input)  # type: ignore[no-untyped-call]
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
        return (_product(gradient, weight.t()), *_weight_gradients(gradient, input, ctx.biased))


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, weight_out: Tensor, bias_out: Tensor
    ) -> Tensor:
        hidden = _product(input, weight, bias, "relu")
        ctx.save_for_backward(input, hidden, weight, weight_out)
        return _product(hidden, weight_out, bias_out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, hidden, weight, weight_out = ctx.saved_tensors
        of_output = _weight_gradients(gradient, hidden, True)
        inner = _product(gradient, weight_out.t())  # [..., H]
        torch.ops.aten.threshold_backward.grad_input(inner, hidden, 0, grad_input=inner)
        return (_product(inner, weight.t()), *_weight_gradients(inner, input, True), *of_output)


def _in_onednn(input: Tensor, weight: Tensor) -> bool:
    return (
        not torch.compiler.is_compiling()
        and input.device.type == "cpu"
        and input.dtype == weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and not torch.is_autocast_enabled("cpu")
    )


def _product(input: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """[..., N] times the transpose of [M, N], and what follows it: [..., M]."""
    output: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, activation, [], "")
    return output


def _weight_gradients(gradient: Tensor, input: Tensor, biased: bool) -> tuple[Tensor, Tensor | None]:
    """Of the weight [M, N] and of the bias [M]; MKL is as fast here."""
    rows = gradient.flatten(0, -2)  # [..., M] as [R, M]
    return rows.t() @ input.flatten(0, -2), rows.sum(0) if biased else None


def operations(input: tuple[int, ...], weight: tuple[int, ...], *_: Any, **__: Any) -> int:
    """Floating-point operations of a product in oneDNN, for torch's FlopCounterMode, which does not know it."""
    return 2 * math.prod(input) * weight[0]
