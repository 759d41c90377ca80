"""The products in oneDNN equal PyTorch's own, forwards and backwards, and are counted."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainer.models.linear import FeedForward, Linear, operations


def with_gradients(layer: nn.Module, input: Tensor) -> list[Tensor]:
    """The output and the gradients of the input and of every parameter."""
    output = layer(input)
    weighted = (output * torch.linspace(-1, 1, output.numel()).to(output).view_as(output)).sum()
    return [output, *torch.autograd.grad(weighted, [input, *layer.parameters()])]


@pytest.mark.parametrize("layer", [Linear(7, 5), Linear(7, 5, bias=False), FeedForward(7, 20)], ids=repr)
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_it_equals_the_same_in_float64(layer: nn.Module, layout: str) -> None:
    """float64 goes PyTorch's own way, float32 through oneDNN."""
    torch.manual_seed(0)
    input = torch.randn(3, 4, 7) if layout == "contiguous" else torch.randn(4, 7, 3).movedim(2, 0)
    input.requires_grad_()
    assert "_LinearBackward" in str(layer(input).grad_fn) or "_FeedForwardBackward" in str(
        layer(input).grad_fn
    )
    got = with_gradients(layer, input)
    expected = with_gradients(layer.double(), input.detach().double().requires_grad_())
    layer.float()
    for ours, exact in zip(got, expected, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)


def test_autocast_and_other_types_go_pytorchs_own_way() -> None:
    layer, input = Linear(6, 4), torch.randn(2, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(input).dtype == torch.bfloat16
    with FlopCounterMode(
        display=False, custom_mapping={torch.ops.mkldnn._linear_pointwise: operations}
    ) as count:
        layer(input)
    assert count.get_total_flops() == 2 * 2 * 6 * 4
