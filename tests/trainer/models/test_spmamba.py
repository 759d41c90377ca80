"""SPMamba: its published size, its blocks against the equations said directly, any length, silence, training."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.trainer.models.recurrence import assert_equal, direct_mamba, gradient_of, with_gradients
from tests.trainer.training import Training
from trainer.models import build
from trainer.models.parts.spectral import FrameAttention
from trainer.models.spmamba import Block, SPMambaConfig
from trainer.models.spmamba import Path as ScanPath

SMALL = SPMambaConfig(n_fft=16, hop=8, channels=6, window=3, heads=3, attention_size=20, state_size=5, expansion=2)


def direct_block(block: Block, x: Tensor) -> Tensor:
    """Computes the block [B, C, T, F] as the papers of TF-GridNet and SPMamba print it, one path after the other."""
    batch, channels, frames, frequencies = x.shape
    assert isinstance(block.intra, ScanPath)
    assert isinstance(block.inter, ScanPath)
    rows = x.transpose(1, 2).reshape(batch * frames, channels, frequencies)
    along = direct_path(block.intra, rows).view(batch, frames, channels, frequencies).transpose(1, 2)
    x = x + along
    rows = x.permute(0, 3, 1, 2).reshape(batch * frequencies, channels, frames)
    x = x + direct_path(block.inter, rows).view(batch, frequencies, channels, frames).permute(0, 2, 3, 1)
    return x + direct_attention(block.attention, x)


def direct_path(path: ScanPath, x: Tensor) -> Tensor:
    """Maps [B', C, L] to the same shape: norm over C, unfold, both directions, transposed convolution."""
    normed = direct_norm(x, (1,), path.norm.weight[:, None], path.norm.bias[:, None])
    windows = F.unfold(normed[..., None], (path.window, 1)).transpose(1, 2)  # [B', L', C w], neighbours fastest
    directions = []
    for direction, sequences in ((path.forwards, windows), (path.backwards, windows.flip(1))):
        root = torch.sqrt(sequences.square().mean(2, keepdim=True) + 1e-5)
        scanned = direct_mamba(direction.mamba, sequences / root * direction.norm.weight)
        directions.append(scanned + sequences)
    both = torch.cat((directions[0], directions[1].flip(1)), 2)  # [B', L', 2 C w]
    output = torch.zeros_like(x) + _of(path.output.bias)[:, None]
    for place in range(both.shape[1]):
        spread = torch.einsum("bi,iok->bok", both[:, place], path.output.weight)  # [B', C, w]
        output = output + F.pad(spread, (place, x.shape[2] - place - path.window))
    return output


def _of(bias: Tensor | None) -> Tensor:
    assert bias is not None
    return bias


def direct_attention(attention: FrameAttention, x: Tensor) -> Tensor:
    """Maps [B, C, T, F] to the same shape, head by head; a frame is a row of all channels and frequencies."""

    def project(projection: Any, x: Tensor) -> Tensor:
        linear, prelu, norm = projection
        y = torch.einsum("bctf,oc->botf", x, linear.weight) + linear.bias[:, None, None]
        y = torch.where(y > 0, y, prelu.weight * y)
        return direct_norm(y, (1, 3), norm.weight.T[:, None], norm.bias.T[:, None])

    heads = []
    for of_query, of_key, of_value in zip(attention.queries, attention.keys, attention.values, strict=True):
        query, key = (project(of, x).transpose(1, 2).flatten(2) for of in (of_query, of_key))  # [B, T, E F]
        scores = torch.softmax(query @ key.mT / math.sqrt(query.shape[2]), 2)  # [B, T, T]
        heads.append(torch.einsum("bts,bcsf->bctf", scores, project(of_value, x)))
    return project(attention.output, torch.cat(heads, 1))


def direct_norm(x: Tensor, axes: tuple[int, ...], gain: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean(axes, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(axes, keepdim=True) + 1e-5) * gain + bias


@pytest.mark.parametrize(("frames", "frequencies"), [(7, 9), (3, 9)], ids=["several windows", "one window"])
def test_a_block_equals_its_equations_said_directly(frames: int, frequencies: int) -> None:
    """Output and the gradients of the input and of every parameter, in float64 to 1e-9.

    Parameters are drawn at random, so that no norm or slope is at the value that hides it.
    """
    torch.manual_seed(0)
    block = Block(SMALL).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    features = torch.randn(2, frames, frequencies, SMALL.channels, dtype=torch.float64, requires_grad=True)
    inputs = [features, *block.parameters()]
    got = with_gradients(block(features), inputs)
    direct = direct_block(block, features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert_equal(got, with_gradients(direct, inputs), 1e-9)


@pytest.mark.parametrize("layers", [4, 5, 6])
def test_the_published_network_has_the_published_size(layers: int) -> None:
    """1 156 368 parameters with four blocks, and 288 863 for each one more."""
    model = build("spmamba", "paper", layers=layers)
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_156_368 + (layers - 4) * 288_863


@pytest.mark.parametrize("preset", ["paper", "debug"])
def test_the_published_spectrogram_is_inverted(preset: str) -> None:
    """Short-time transform and its inverse give the signal back, also where the last hop is not full."""
    model: Any = build("spmamba", preset, layers=1)
    signals = torch.randn(2, 4001, dtype=torch.float64)
    spectra = model.spectrogram(signals)
    frequencies = 129 if preset == "paper" else 65
    assert spectra.shape == (2, 2, 4001 // 64 + 1, frequencies)
    torch.testing.assert_close(model.waveforms(spectra.unsqueeze(1), 4001).squeeze(1), signals)


@pytest.mark.parametrize("samples", [1, 63, 64, 129, 191, 192, 193, 1000, 4097])
@pytest.mark.parametrize("batch", [1, 3])
def test_any_length_comes_back_as_long_as_it_was(samples: int, batch: int) -> None:
    """Shorter than a window, and lengths that no hop divides; every gradient is finite."""
    torch.manual_seed(0)
    model = build("spmamba", "debug")
    estimates = model(torch.randn(batch, samples))
    assert estimates.shape == (batch, 2, samples)
    estimates.square().mean().backward()
    assert all(gradient_of(parameter).isfinite().all() for parameter in model.parameters())
    assert estimates.isfinite().all()


def test_silence_gives_finite_estimates_and_gradients() -> None:
    """The deviation by which the mixture is divided is zero."""
    model = build("spmamba", "debug")
    estimates = model(torch.zeros(1, 2000))
    assert estimates.isfinite().all()
    (estimates - torch.randn(1, 2, 2000)).square().mean().backward()
    assert all(gradient_of(parameter).isfinite().all() for parameter in model.parameters())


def test_bf16_leaves_two_digits_and_no_warning() -> None:
    """Autocast with bfloat16 against float32; the scan stays in float32, so nothing runs away."""
    torch.manual_seed(0)
    model, mixture = build("spmamba", "debug"), torch.randn(2, 3000)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(mixture)
    assert half.dtype == torch.float32
    full = model(mixture)
    assert (half - full).abs().max() < 0.05 * full.abs().max()


def test_the_estimates_scale_with_the_mixture() -> None:
    """The deviation is taken out before the network and put back behind it."""
    torch.manual_seed(0)
    model, mixture = build("spmamba", "debug").double(), torch.randn(2, 3000, dtype=torch.float64)
    torch.testing.assert_close(model(8 * mixture), 8 * model(mixture), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 8}, "spmamba has no architecture field 'hidden_size'"),
        ({"layer": 5}, "did you mean 'layers'?"),
        ({"layers": 0}, "layers must be a whole number of at least 1"),
        ({"heads": 3}, "heads must divide the 16 channels, not be 3"),
        ({"hop": 129}, "hop must be at most half of the 256 samples of n_fft, not 129"),
        ({"n_fft": 255}, "n_fft must be even"),
        ({"window": 130}, "window must be at most the 129 frequencies, not 130"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, int], message: str) -> None:
    """The message says what is valid instead."""
    with pytest.raises(ValueError, match=re.escape(message)):
        build("spmamba", "paper", **fields)


def test_training_separates_and_names_its_scan(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten short epochs lift the validation of two simple voices; the log tells which scan ran and why."""
    flags = ["--model", "spmamba", "--epochs", "10", "--lr", "1e-2", "--curriculum", "all"]
    assert training.here(tmp_path / "trial", *flags) == 0
    summary = json.loads((tmp_path / "trial" / "summary.json").read_text())
    assert summary["improvement_db"] > 2
    assert "selective scan: tiled (the device is cpu)" in capsys.readouterr().out
