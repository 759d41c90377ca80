"""Dual-path Mamba: its published sizes, its paths against the equations said directly, the published code's numbers."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.trainer.models.recurrence import assert_equal, direct_state_space, gradient_of, ramp, with_gradients
from tests.trainer.training import Training
from trainer.models import build
from trainer.models.dpmamba import DPMambaConfig, MambaPath
from trainer.models.parts.dual_path import DualPathBlock

SMALL = {"filters": 12, "chunk_size": 10, "blocks": 2, "state_size": 3}

PUBLISHED = {
    True: [
        *(0.006747405197552093, 0.01016724786580927, -0.0011273817793846959),
        *(0.004638656741118276, -0.007761724488647528, -0.00892900885678141),
        0.43239704621493996,
    ],
    False: [
        *(0.01093420953946404, -3.159627693605574e-05, -0.01095167462132682),
        *(-0.011545672437629738, 0.005805542835578667, 0.014754730298885396),
        0.7720773844605794,
    ],
}
"""Three samples of each estimate and the norm of the mixture's gradient, by `intra_skip`."""


def direct_path(path: MambaPath, x: Tensor) -> Tensor:
    """Maps [B, X, T, N] to the same shape, by the equations of the papers of Mamba and Vision Mamba."""
    rows = x.flatten(0, 1)
    for norm, mamba in zip(path.norms, path.mambas, strict=True):
        u, z = (direct_norm(rows, norm.weight) @ mamba.input.weight.T).chunk(2, 2)  # type: ignore[operator, union-attr]
        there = direct_state_space(mamba, u, z)  # type: ignore[arg-type]
        back = direct_state_space(mamba.backwards, u.flip(1), z.flip(1)).flip(1)  # type: ignore[arg-type]
        rows = rows + (0.5 * there + 0.5 * back) @ mamba.output.weight.T  # type: ignore[operator, union-attr]
    return direct_norm(rows, path.norm.weight).view(x.shape)


def direct_norm(x: Tensor, gain: object) -> Tensor:
    assert isinstance(gain, Tensor)
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-5) * gain


@pytest.mark.parametrize("mambas", [1, 2])
@pytest.mark.parametrize("length", [1, 7])
def test_a_path_equals_its_equations_said_directly(length: int, mambas: int) -> None:
    """Output and the gradients of the input and of every parameter, in float64 to 1e-9."""
    torch.manual_seed(0)
    path = MambaPath(DPMambaConfig(filters=6, state_size=5, taps=3, mambas=mambas)).double()
    for parameter in path.parameters():
        nn.init.normal_(parameter, std=0.5)
    chunks = torch.randn(2, 3, length, 6, dtype=torch.float64, requires_grad=True)
    inputs = [chunks, *path.parameters()]
    assert_equal(with_gradients(path(chunks), inputs), with_gradients(direct_path(path, chunks), inputs), 1e-9)


def test_a_block_without_the_skip_adds_only_across_the_chunks() -> None:
    """As the published networks of the sizes S and XS have it."""
    block = DualPathBlock(6, nn.Tanh(), nn.Sigmoid(), intra_skip=False)
    chunks = torch.randn(2, 4, 10, 6)
    along = block.intra_norm(torch.tanh(chunks))
    torch.testing.assert_close(block(chunks), along + block.inter_norm(torch.sigmoid(along)))


@pytest.mark.parametrize("intra_skip", PUBLISHED)
def test_the_published_code_computes_the_same_numbers(intra_skip: bool) -> None:
    """Recorded in float64 from github.com/xi-j/Mamba-TasNet with the reference scan, of one mixture and its gradient."""
    network = build("dpmamba", "paper", **SMALL, intra_skip=intra_skip).double()
    ramp(network)
    mixture = torch.sin(torch.arange(523.0, dtype=torch.float64) ** 1.5).view(1, -1).requires_grad_()
    estimates = network(mixture)
    estimates.square().sum().backward()
    found = [*estimates[0, :, 100:103].flatten().tolist(), gradient_of(mixture).norm().item()]
    assert found == pytest.approx(PUBLISHED[intra_skip], rel=1e-9)


@pytest.mark.parametrize(
    ("fields", "millions"),
    [
        ({"filters": 128, "blocks": 8, "intra_skip": False}, 2.26),
        ({"blocks": 8, "intra_skip": False}, 8.14),
        ({}, 15.87),
        ({"filters": 512}, 59.8),
    ],
    ids=["XS", "S", "M", "L"],
)
def test_the_published_networks_have_the_published_sizes(fields: dict[str, int], millions: float) -> None:
    """2.3, 8.1, 15.9 and 59.8 million parameters."""
    with torch.device("meta"):
        network = build("dpmamba", "paper", **fields)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, rel=5e-3)


@pytest.mark.parametrize("samples", [1, 15, 16, 17, 999, 4001])
def test_any_length_comes_back_as_long_as_it_was(samples: int) -> None:
    """Shorter than a frame, and lengths that no hop divides; every gradient is finite."""
    torch.manual_seed(0)
    network = build("dpmamba", "debug")
    estimates = network(torch.randn(2, samples))
    assert estimates.shape == (2, 2, samples)
    estimates.square().mean().backward()
    assert all(gradient_of(parameter).isfinite().all() for parameter in network.parameters())
    assert network(torch.zeros(1, samples)).isfinite().all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mamba": 2}, "did you mean 'mambas'?"),
        ({"mambas": 0}, "mambas must be a whole number of at least 1"),
        ({"chunk_size": 125}, "chunk_size must be even"),
        ({"intra_skip": 1}, "intra_skip must be true or false, not 1"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build("dpmamba", "paper", **fields)


def test_training_separates_and_names_its_scan(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A few short epochs lift the validation of two simple voices; the log tells which scan ran and why."""
    flags = ["--model", "dpmamba", "--epochs", "4", "--lr", "1e-2", "--curriculum", "all"]
    assert training.here(tmp_path / "trial", *flags) == 0
    summary = json.loads((tmp_path / "trial" / "summary.json").read_text())
    assert summary["improvement_db"] > 2
    assert "selective scan: tiled (the device is cpu)" in capsys.readouterr().out
