"""The layers equal PyTorch's own, forwards and backwards, whichever library makes their products, and are counted."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainer.kernels import linear
from trainer.kernels.linear import Linear, operations


def with_gradients(layer: nn.Module, input: Tensor) -> list[Tensor]:
    """Returns the output and the gradients of the input and of every parameter."""
    output = layer(input)
    weighted = (output * torch.linspace(-1, 1, output.numel()).to(output).view_as(output)).sum()
    return [output, *torch.autograd.grad(weighted, [input, *layer.parameters()])]


def pytorchs_own(layer: Linear) -> nn.Module:
    """Returns PyTorch's own layer in float64 with copies of the weights."""
    own = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    own.load_state_dict(layer.state_dict())
    return own.double()


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "MKL"])
@pytest.mark.parametrize("layer", [Linear(7, 5), Linear(7, 5, bias=False)], ids=repr)
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_it_equals_pytorchs_own_in_float64(
    layer: Linear, layout: str, onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "WIDE", onednn)
    torch.manual_seed(0)
    input = torch.randn(3, 4, 7) if layout == "contiguous" else torch.randn(4, 7, 3).movedim(2, 0)
    input.requires_grad_()
    assert ("_LinearBackward" in str(layer(input).grad_fn)) == onednn
    got = with_gradients(layer, input)
    expected = with_gradients(pytorchs_own(layer), input.detach().double().requires_grad_())
    for one, exact in zip(got, expected, strict=True):
        torch.testing.assert_close(one.double(), exact, rtol=1e-5, atol=1e-5)


def test_autocast_goes_pytorchs_own_way() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(6, 4)(torch.randn(2, 6)).dtype == torch.bfloat16


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "MKL"])
def test_its_operations_are_counted(onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "WIDE", onednn)
    known = {torch.ops.mkldnn._linear_pointwise: operations}
    with FlopCounterMode(display=False, custom_mapping=known) as count:
        Linear(6, 4)(torch.randn(2, 6))
    assert count.get_total_flops() == 2 * 2 * 6 * 4
