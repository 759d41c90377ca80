"""TF-GridNet: its published size, its paths against the equations said directly, the published code's numbers."""

import json
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.trainer.models.recurrence import assert_equal, gradient_of, ramp, with_gradients
from tests.trainer.training import Training
from trainer.models import build
from trainer.models.tfgridnet import RecurrentPath

SMALL = {"n_fft": 16, "hop": 8, "layers": 2, "channels": 6, "window": 3, "hidden_size": 5, "heads": 3}
SMALL |= {"attention_size": 20}

PUBLISHED = [
    *(0.10765300856688872, 0.44588796463405433, 0.34127072650491935),
    *(0.22499072763310374, 0.49338383657341295, 0.2573052077031878),
    25.68315585839806,
]
"""Three samples of each estimate, and the norm of the mixture's gradient."""


def direct_path(path: RecurrentPath, x: Tensor) -> Tensor:
    """Maps [B, X, L, C] to the same shape: norm, windows, PyTorch's own LSTM, and each window put back."""
    centred = x - x.mean(3, keepdim=True)
    deviation = torch.sqrt(centred.square().mean(3, keepdim=True) + 1e-5)
    rows = (centred / deviation * path.norm.weight + path.norm.bias).flatten(0, 1)  # [B X, L, C]
    windows = F.unfold(rows.mT[..., None], (path.window, 1)).mT  # [B X, L', C w], neighbours fastest
    lstm = nn.LSTM(windows.shape[2], path.lstm.hidden_size, batch_first=True, bidirectional=True)
    hidden, _ = torch.func.functional_call(lstm.double(), dict(path.lstm.named_parameters()), (windows,))
    assert path.output.bias is not None
    output = torch.zeros_like(rows) + path.output.bias
    for place in range(hidden.shape[1]):
        spread = torch.einsum("bi,iow->bwo", hidden[:, place], path.output.weight)  # [B X, w, C]
        output = output + F.pad(spread, (0, 0, place, x.shape[2] - place - path.window))
    return output.view(x.shape)


@pytest.mark.parametrize("length", [3, 9], ids=["one window", "several windows"])
def test_a_path_equals_its_equations_said_directly(length: int) -> None:
    """Output and the gradients of the input and of every parameter, in float64 to 1e-9."""
    torch.manual_seed(0)
    path = RecurrentPath(6, 3, 5).double()
    for parameter in path.parameters():
        nn.init.normal_(parameter, std=0.5)
    features = torch.randn(2, 4, length, 6, dtype=torch.float64, requires_grad=True)
    inputs = [features, *path.parameters()]
    assert_equal(with_gradients(path(features), inputs), with_gradients(direct_path(path, features), inputs), 1e-9)


def test_the_published_code_computes_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded in float64 from espnet 202511, which adds nothing to the mixture's deviation, and its gradient."""
    monkeypatch.setattr("trainer.models.parts.spectral.SILENCE", 0.0)
    network = build("tfgridnet", "paper", **SMALL).double()
    ramp(network)
    mixture = torch.sin(torch.arange(203.0, dtype=torch.float64) ** 1.5).view(1, -1).requires_grad_()
    estimates = network(mixture)
    estimates.square().sum().backward()
    found = [*estimates[0, :, 100:103].flatten().tolist(), gradient_of(mixture).norm().item()]
    assert found == pytest.approx(PUBLISHED, rel=1e-9)


def test_the_published_network_has_the_published_size() -> None:
    """8 175 874 parameters, as espnet's of the same sizes has."""
    with torch.device("meta"):
        network = build("tfgridnet", "paper")
    assert sum(parameter.numel() for parameter in network.parameters()) == 8_175_874


@pytest.mark.parametrize("samples", [1, 63, 64, 65, 129, 1000, 4097])
def test_any_length_comes_back_as_long_as_it_was(samples: int) -> None:
    """Shorter than a window, and lengths that no hop divides; every gradient is finite, also of silence."""
    torch.manual_seed(0)
    network = build("tfgridnet", "debug")
    estimates = network(torch.randn(2, samples))
    assert estimates.shape == (2, 2, samples)
    silent = network(torch.zeros(1, samples))
    assert silent.isfinite().all()
    (estimates.square().mean() + silent.sum()).backward()
    assert all(gradient_of(parameter).isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layer": 5}, "did you mean 'layers'?"),
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1"),
        ({"heads": 5}, "heads must divide the 48 channels, not be 5"),
        ({"hop": 65}, "hop must be at most half of the 128 samples of n_fft, not 65"),
        ({"n_fft": 127}, "n_fft must be even"),
        ({"n_fft": 4, "hop": 2}, "window must be at most the 3 frequencies, not 4"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build("tfgridnet", "paper", **fields)


def test_training_separates(training: Training, tmp_path: Path) -> None:
    """Eight short epochs lift the validation of two simple voices."""
    flags = ["--model", "tfgridnet", "--epochs", "8", "--lr", "2e-2", "--curriculum", "all"]
    assert training.here(tmp_path / "trial", *flags) == 0
    summary = json.loads((tmp_path / "trial" / "summary.json").read_text())
    assert summary["improvement_db"] > 2
