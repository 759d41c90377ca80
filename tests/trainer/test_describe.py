"""`python -m trainer describe`: each number against one that was found in another way."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.measure import Load, peak_memory
from tests.trainer.models.recurrence import gradient_of
from trainer.__main__ import main
from trainer.models import MODELS, build


@pytest.fixture
def described(capsys: pytest.CaptureFixture[str]) -> Any:
    def describe(*flags: str) -> dict[str, Any]:
        assert main(["describe", "--json", *flags]) == 0
        content: dict[str, Any] = json.loads(capsys.readouterr().out)
        return content

    return describe


def test_the_published_convtasnet_is_described(described: Any) -> None:
    """Multiply-adds by hand: every weight of a convolution but the encoder's and decoder's once a frame, those once a
    frame too and the decoder's for two speakers.
    """
    reported = described("--model", "convtasnet")
    frames = (32_000 - 16) // 8 + 1
    block = 2 * 256 * 512 + 3 * 512
    weights = 256 * 16 + 256 * 256 + 32 * block + 256 * 512 + 2 * 256 * 16
    assert reported["multiply_adds"] == frames * weights
    assert reported["parameters"] == 8_708_672
    assert reported["configuration"]["hidden_channels"] == 512


def test_an_option_of_the_architecture_counts(described: Any) -> None:
    """Half the units: fewer parameters; an LSTM hears the whole mixture."""
    small, large = described("--model", "dprnn", "--hidden-size", "64"), described("--model", "dprnn")
    assert small["configuration"]["hidden_size"] == 64
    assert small["parameters"] < large["parameters"] == 2_609_793
    assert small["multiply_adds"] < large["multiply_adds"]
    assert small["receptive_field"] is None


def test_the_receptive_field_is_where_the_gradient_comes_from(described: Any) -> None:
    """With all norms taken out, which hear everything: the furthest sample to each side that a sample in the middle
    depends on. It differs by where in a frame the sample lies; the field is what covers them all.
    """
    field = described("--model", "convtasnet", "--preset", "debug")["receptive_field"]
    network: Any = build("convtasnet", "debug").double()
    network.norm = nn.Identity()
    for block in network.blocks:
        block.layers[1].norm = block.layers[3].norm = nn.Identity()
    mixture = torch.randn(1, 8000, dtype=torch.float64, requires_grad=True)
    network(mixture)[0, :, 4000:4008].sum().backward()
    (heard,) = gradient_of(mixture)[0].nonzero(as_tuple=True)
    assert field == heard.max() - heard.min() + 1


@pytest.mark.parametrize("model", MODELS)
def test_shapes_alone_say_what_a_step_says(model: str, described: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ("--model", model, "--preset", "debug", "--segment-seconds", "0.3")
    from_shapes = described(*flags)
    # A model of one's own is run.
    monkeypatch.setattr("trainer.describe.is_own", lambda _: True)
    run = described(*flags)
    assert from_shapes["multiply_adds"] == run["multiply_adds"]
    assert from_shapes["memory"] == pytest.approx(run["memory"], rel=0.01)


def test_a_step_that_no_machine_could_take_is_described(described: Any) -> None:
    """So much at once takes terabytes, which must not be allocated to say so."""
    assert described("--model", "spmamba", "--segment-seconds", "3000")["memory"] > 5e12


@pytest.mark.long
@pytest.mark.parametrize(("model", "seconds"), [("convtasnet", 0.5), ("dprnn", 1.0), ("sepformer", 0.2)])
def test_the_memory_estimate_is_near_the_measured_peak(model: str, seconds: float, described: Any) -> None:
    """Two steps of the published model in a process of their own, without Adam, whose two moments are taken from the
    estimate: within a quarter.
    """
    reported = described("--model", model, "--segment-seconds", str(seconds), "--batch-size", "2")
    expected = (reported["memory"] - 8 * reported["parameters"]) / 1e9
    measured = peak_memory(Load(model=model, seconds=seconds, batch=2), sides=["ours"])["ours"]
    assert expected == pytest.approx(measured, rel=0.25)


def test_the_text_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--model", "convtasnet", "--preset", "debug"]) == 0
    printed = capsys.readouterr().out
    assert all(part in printed for part in ("35,596", "4 s", "receptive field", "GB", "repeats"))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--model", "convtasnt"], "did you mean 'convtasnet'?"),
        (["--model", "convtasnet", "--layers", "4"], "--layers: convtasnet has no such field"),
        (
            ["--model", "dprnn", "--hidden-size", "0"],
            "--hidden-size: 0 does not fit, expected 1 to 1000000",
        ),
        (["--model", "dprnn", "--lr", "1"], "unknown argument '--lr'"),
    ],
)
def test_what_does_not_fit_is_one_line(flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
