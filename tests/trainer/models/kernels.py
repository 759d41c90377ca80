"""Our Triton kernels against PyTorch's own operations, in double precision where the kernel takes it.

test_kernels.py runs this file: on a GPU as it is, elsewhere in Triton's interpreter, which wants a process of its own
because triton must know before it is imported. Sizes that fill no tile.
"""

from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.trainer.models.recurrence import recurrence, scan_inputs
from trainer.kernels.selective_scan.triton_scan import triton_scan
from trainer.kernels.triton_depthwise import depthwise
from trainer.kernels.triton_lstm import bidirectional_lstm
from trainer.kernels.triton_norm import global_norm

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def made(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, device=DEVICE)


def assert_same(got: Tensor, expected: Tensor, inputs: list[Tensor], tolerance: float) -> None:
    """Asserts that the outputs are the same, and every gradient of a sum of them with random weights."""
    weights = torch.randn_like(expected)
    gradients = torch.autograd.grad(got, inputs, weights.to(got.dtype))
    pairs = [
        (got, expected),
        *zip(gradients, torch.autograd.grad(expected, inputs, weights), strict=True),
    ]
    for number, (ours, theirs) in enumerate(pairs):
        error = (ours - theirs).abs().max()
        # A gradient that is zero in exact arithmetic is nothing but rounding.
        assert error <= tolerance * max(theirs.abs().max().item(), 1e-3), f"{number}: {error:.2g}"


@pytest.mark.parametrize(
    ("layout", "slope"),
    [
        *product(("channels apart", "channels side by side", "time first"), (True, False)),
        ("more tiles than a block", True),
    ],
)
def test_the_global_norm(layout: str, slope: bool) -> None:
    x = {
        "channels apart": lambda: made(2, 5, 1100) + 3,
        "channels side by side": lambda: made(2, 9, 30, 70).movedim(-1, 1),
        "time first": lambda: made(7, 2, 9, 70).movedim(0, 2).movedim(-1, 1),
        "more tiles than a block": lambda: made(1, 4 * 1025, 1),
    }[layout]().requires_grad_()
    gain, bias = made(x.shape[1]).requires_grad_(), made(x.shape[1]).requires_grad_()
    learned = torch.full((1,), 0.25, dtype=x.dtype, device=DEVICE).requires_grad_() if slope else None
    got = global_norm(x, gain, bias, 1e-8, learned, x.dtype)
    activated = x if learned is None else F.prelu(x, learned)
    inputs = [x, gain, bias, *([] if learned is None else [learned])]
    assert_same(got, F.group_norm(activated, 1, gain, bias, 1e-8), inputs, 1e-12)


@pytest.mark.parametrize(("length", "taps", "dilation"), [(90, 3, 1), (130, 3, 64), (10, 5, 4)])
def test_the_reflected_depthwise_convolution(length: int, taps: int, dilation: int) -> None:
    x = made(2, length, 70).transpose(1, 2).requires_grad_()
    weight = made(70, 1, taps).requires_grad_()
    width = dilation * (taps // 2)
    got = depthwise(x, weight, None, dilation, width, reflect=True)
    padded = F.pad(x, (width, width), mode="reflect")
    assert_same(got, F.conv1d(padded, weight, dilation=dilation, groups=70), [x, weight], 1e-12)


@pytest.mark.parametrize("length", [2, 65])
def test_the_causal_depthwise_convolution(length: int) -> None:
    x = made(2, 9, length).requires_grad_()
    weight, bias = made(9, 1, 4).requires_grad_(), made(9).requires_grad_()
    got = depthwise(x, weight, bias, 1, 3, reflect=False)
    expected = F.conv1d(x, weight, bias, padding=3, groups=9)[..., :length]
    assert_same(got, expected, [x, weight, bias], 1e-12)


@pytest.mark.parametrize("steps", [2, 5])
def test_the_lstm(steps: int) -> None:
    lstm = torch.nn.LSTM(6, 16, bidirectional=True, device=DEVICE)
    sequences = made(steps, 19, 6, dtype=torch.float32).requires_grad_()
    inputs = [sequences, *lstm.parameters()]
    got = bidirectional_lstm(sequences, list(lstm.parameters()), torch.float16)
    assert got.dtype == torch.float16
    assert_same(got, lstm(sequences)[0], inputs, 5e-3)


@pytest.mark.parametrize(
    ("length", "softplus", "without"),
    [(1, True, ()), (7, False, ()), (7, True, ("z", "delta_bias")), (33, True, ())],
    ids=["one step", "steps as they are", "neither gate nor bias", "three chunks"],
)
def test_the_selective_scan(length: int, softplus: bool, without: tuple[str, ...]) -> None:
    """35 channels of 32, 5 states of 8, a last tile that is not full."""
    there = {
        name: x.detach().to(DEVICE)
        for name, x in scan_inputs(2, 35, length, 5, without=without).items()
        if x is not None
    }
    there["delta"] = there["delta"].abs()
    inputs = [x.requires_grad_() for x in there.values()]
    arguments: dict[str, Any] = there | dict.fromkeys(without) | {"delta_softplus": softplus}
    assert_same(triton_scan(**arguments), recurrence(**arguments), inputs, 1e-9)
