"""A transformer's layer, taken in groups of sequences, equals PyTorch's own, forwards and backwards, and is counted."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainer.kernels import linear, transformer
from trainer.kernels.linear import operations
from trainer.kernels.transformer import EPS, TransformerLayer

CHANNELS, HEADS, HIDDEN = 8, 2, 12
NAMES = {
    "attention_norm": "norm1",
    "attention.qkv.": "self_attn.in_proj_",
    "attention.output": "self_attn.out_proj",
    "feedforward_norm": "norm2",
    "feedforward.0": "linear1",
    "feedforward.2": "linear2",
}
"""Of our parts, as PyTorch's layer has them."""


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> TransformerLayer:
    """Returns a layer in which no weight is as it was initialised, so that each of them matters."""
    monkeypatch.setattr(transformer, "ROWS", 9)  # of five sequences of four steps: two at a time and a rest
    torch.manual_seed(0)
    layer = TransformerLayer(CHANNELS, HEADS, HIDDEN)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def pytorchs_own(layer: TransformerLayer) -> nn.Module:
    """Returns PyTorch's own layer in float64 with copies of the weights."""
    own = nn.TransformerEncoderLayer(
        CHANNELS, HEADS, HIDDEN, dropout=0, layer_norm_eps=EPS, batch_first=True, norm_first=True
    )
    own.load_state_dict({_theirs(name): weight for name, weight in layer.state_dict().items()})
    return own.double()


def _theirs(name: str) -> str:
    (part,) = (part for part in NAMES if name.startswith(part))
    return name.replace(part, NAMES[part])


def with_gradients(layer: nn.Module, input: Tensor, names: list[str]) -> list[Tensor]:
    """Returns the output and the gradients of the input and of the parameters."""
    output = layer(input)
    weighted = (output * torch.linspace(-1, 1, output.numel()).to(output).view_as(output)).sum()
    parameters = dict(layer.named_parameters())
    return [output, *torch.autograd.grad(weighted, [input, *(parameters[name] for name in names)])]


@pytest.mark.parametrize(
    ("dtype", "onednn", "near"),
    [(torch.float64, False, 1e-9), (torch.float32, False, 1e-4), (torch.float32, True, 1e-4)],
    ids=["float64", "MKL", "oneDNN"],
)
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_it_equals_pytorchs_own(
    layer: TransformerLayer,
    layout: str,
    dtype: torch.dtype,
    onednn: bool,
    near: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linear, "WIDE", onednn)
    exact = torch.randn(5, 4, 8) if layout == "contiguous" else torch.randn(4, 8, 5).movedim(2, 0)
    own, names = pytorchs_own(layer), [name for name, _ in layer.named_parameters()]
    input = exact.to(dtype).requires_grad_()
    layer.to(dtype)
    assert "_GroupedBackward" in str(layer(input).grad_fn)
    got = with_gradients(layer, input, names)
    expected = with_gradients(own, exact.double().requires_grad_(), list(map(_theirs, names)))
    for mine, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(mine.double(), theirs, rtol=near, atol=near)


def test_a_sequence_may_be_longer_than_a_group(layer: TransformerLayer) -> None:
    input = torch.randn(2, 11, CHANNELS)
    torch.testing.assert_close(layer.double()(input.double()), pytorchs_own(layer)(input.double()))


def test_autocast_goes_pytorchs_own_way(layer: TransformerLayer) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert "_GroupedBackward" not in str(layer(torch.randn(2, 4, CHANNELS)).grad_fn)


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "MKL"])
def test_its_operations_are_counted(layer: TransformerLayer, onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "WIDE", onednn)
    known = {torch.ops.mkldnn._linear_pointwise: operations}
    with FlopCounterMode(display=False, custom_mapping=known) as count:
        layer(torch.randn(5, 4, CHANNELS))
    of_a_step = 4 * CHANNELS * CHANNELS + 2 * CHANNELS * HIDDEN + 2 * 4 * CHANNELS  # the last are attention's
    assert count.get_total_flops() == 2 * 5 * 4 * of_a_step
