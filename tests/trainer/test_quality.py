"""`evaluate --metrics`: SDR, PESQ, STOI and ESTOI beside SI-SNR, checked against others' code and recorded values."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor
from torchmetrics.functional.audio import signal_distortion_ratio

from tests.tiny_corpus import write_subset
from tests.trainer.training import Training
from trainer.__main__ import main
from trainer.inference import quality
from trainer.inference.quality import UNITS, Quality, qualities, sd_sdr, sdr
from trainer.inference.scores import Score, summarize, table

MIR_EVAL = [16.290682, 16.459272]
"""The SDR of `voices` in dB."""
RECORDED = {"pesq": 2.439586, "stoi": 0.792613, "estoi": 0.759765}
"""The means over `voices`."""
needs_pesq = pytest.mark.skipif(find_spec("pesq") is None, reason="pesq is missing; the extra `metrics` has it")
needs_stoi = pytest.mark.skipif(find_spec("pystoi") is None, reason="pystoi is missing; the extra `metrics` has it")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the run directory of a training of one epoch, beside its corpus."""
    root = tmp_path_factory.mktemp("quality")
    for seed, (name, count) in enumerate({"train": 4, "val": 4, "test": 4}.items(), start=1):
        write_subset(root / "PolSESS_voices", name, count, 1.0, seed)
    assert Training(root / "PolSESS_voices").here(root / "trial", "--epochs", "1", "--curriculum", "all") == 0
    return root / "trial"


def voices() -> tuple[Tensor, Tensor]:
    """Returns two targets [2, T] of 3 s, with pauses as speech has them, and estimates with a rest of each other."""
    time = np.arange(24_000) / 8000
    found = [
        sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 9)) * (np.sin(2 * np.pi * pause * time) > -0.5)
        for pitch, pause in ((110, 1.3), (240, 0.9))
    ]
    targets = torch.from_numpy(0.1 * np.stack(found)).float()
    hiss = 0.01 * torch.from_numpy(np.random.default_rng(0).normal(size=(2, 24_000))).float()
    return targets + hiss / 10, targets + 0.1 * targets.flip(0) + hiss


def test_sdr_is_that_of_bss_eval() -> None:
    """As by torchmetrics, and as mir_eval 0.8.2 computed it; a filter of the target costs nothing, unlike in SI-SNR."""
    targets, estimates = voices()
    found = [sdr(estimate, target) for estimate, target in zip(estimates, targets, strict=True)]
    assert found == pytest.approx(signal_distortion_ratio(estimates.double(), targets.double()).tolist(), abs=1e-6)
    assert found == pytest.approx(MIR_EVAL, abs=1e-4)
    assert sdr(3 * estimates[0], targets[0]) == pytest.approx(found[0], abs=1e-6)
    late = torch.nn.functional.pad(targets[0], (100, 0))
    assert (sdr(late, torch.nn.functional.pad(targets[0], (0, 100))) or 0) > 60


def test_the_scale_dependent_sdr_is_lowered_by_a_wrong_level() -> None:
    """By equation 6: an estimate at half the level has as much noise as signal."""
    targets, estimates = voices()
    assert sd_sdr(targets[0] / 2, targets[0]) == pytest.approx(0, abs=1e-6)
    assert sd_sdr(targets[0], targets[0]) == pytest.approx(150)
    noise = (targets[0] - estimates[0]).double()
    scale = (targets[0].double() @ estimates[0].double()) / targets[0].double().square().sum()
    expected = 20 * torch.log10(scale * targets[0].double().norm() / noise.norm())
    assert sd_sdr(estimates[0], targets[0]) == pytest.approx(expected.item())


@needs_pesq
@needs_stoi
def test_pesq_and_stoi_are_those_of_their_packages() -> None:
    """The mean over speakers, and the values that pesq 0.0.4 and pystoi 0.4.1 gave."""
    from pesq import pesq
    from pystoi import stoi

    targets, estimates = voices()
    mixture = targets.sum(0)
    found = qualities(["pesq", "stoi", "estoi"], mixture, targets, estimates)
    references = {
        "pesq": lambda estimate, target: pesq(8000, target, estimate, "nb"),
        "stoi": lambda estimate, target: stoi(target, estimate, 8000),
        "estoi": lambda estimate, target: stoi(target, estimate, 8000, extended=True),
    }
    for name, metric in references.items():
        after, before = (
            np.mean([metric(signal.numpy(), target.numpy()) for signal, target in zip(signals, targets, strict=True)])
            for signals in (estimates, mixture.expand(2, -1))
        )
        given = found[name]
        assert given is not None
        assert (given.value, given.improvement) == pytest.approx((after, after - before))
        assert after == pytest.approx(RECORDED[name], abs=1e-3)


@needs_pesq
@needs_stoi
@pytest.mark.parametrize(
    ("samples", "factor", "missing"),
    [
        (24_000, 0.0, set(UNITS)),
        (24_000, float("nan"), set(UNITS)),
        (1000, 1.0, {"pesq", "stoi", "estoi"}),
        (8 * 24_000, 1.0, {"pesq"}),
    ],
    ids=["a silent voice", "no number", "0.1 s", "24 s"],
)
def test_a_metric_without_a_value_is_none(samples: int, factor: float, missing: set[str]) -> None:
    """None of them ends the process or counts as a value."""
    targets, estimates = (signals.repeat(1, 8)[:, :samples] for signals in voices())
    estimates = torch.stack([estimates[0], factor * estimates[1]])
    found = qualities(list(UNITS), targets.sum(0), targets, estimates)
    assert {name for name, value in found.items() if value is None} == missing


def test_the_means_are_over_the_mixtures_that_have_a_value() -> None:
    """`all` counts a mixture once, whatever variants it has; a metric that no mixture has is left out."""
    scores = [
        Score(0, "SER", 1.0, 2.0, {"pesq": Quality(2.0, 0.5), "stoi": None}),
        Score(0, "C", 3.0, 4.0, {"pesq": Quality(3.0, 0.5), "stoi": None}),
        Score(1, "SER", 8.0, 9.0, {"pesq": None, "stoi": None}),
        Score(2, "SER", 8.0, 9.0, {"pesq": Quality(1.0, 0.1), "stoi": None}),
    ]
    results = summarize(scores)
    pesq = results["SER"].metrics["pesq"]
    assert (results["SER"].mixtures, pesq.mixtures, pesq.value.mean, pesq.improvement.mean) == (3, 2, 1.5, 0.3)
    assert results["all"].metrics["pesq"].value.mean == 1.75
    assert {name for result in results.values() for name in result.metrics} == {"pesq"}
    assert "pesq     1.50 MOS [" in " ".join(table(results))


@pytest.mark.parametrize("names", [["sdr", "sd_sdr"], pytest.param(list(UNITS), marks=[needs_pesq, needs_stoi])])
def test_a_trained_model_is_evaluated_by_the_metrics_that_are_asked_for(
    names: list[str], trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By variant with intervals, in evaluation.json and the output; all else is as without --metrics."""
    found: dict[str, dict[str, Any]] = {}
    for folder, words in {"plain": [], "more": ["--metrics", *names]}.items():
        run = ["evaluate", "--run-dir", str(trained), "--subset", "test", "--variants", "SER", "C", "--wavs", "9"]
        assert main([*run, "--out", str(tmp_path / folder), *words]) == 0
        found[folder] = json.loads((tmp_path / folder / "evaluation.json").read_text())
    lines = capsys.readouterr().out.splitlines()
    assert all(sum(line.split()[1:2] == [name] for line in lines) == 3 for name in names)
    for result in found["more"]["results"].values():
        metrics = result.pop("metrics")
        assert list(metrics) == names
        assert all(one["value"]["low"] <= one["value"]["mean"] <= one["value"]["high"] for one in metrics.values())
    written = tmp_path / "more"
    for score in found["more"]["scores"]:
        metrics = score.pop("metrics")
        stem = f"{score['row']:05d}-{score['variant']}"
        estimates, targets = (
            torch.stack([torch.from_numpy(soundfile.read(written / f"{stem}-{what}{k}.wav")[0]) for k in (1, 2)])
            for what in ("speaker", "target")
        )
        expected = signal_distortion_ratio(estimates, targets).mean().item()
        assert metrics["sdr"]["value"] == pytest.approx(expected, abs=0.2)  # 16 bits
    assert found["more"] == found["plain"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--metrics", "sdr", "stio"], "--metrics: unknown 'stio', did you mean 'stoi'?"),
        (["--metrics", "sdr", "sdr"], "--metrics: sdr is given twice"),
        (["--metrics"], "--metrics: is empty, expected one or more of sdr, sd_sdr, pesq, stoi, estoi"),
        (["--variants"], "--variants: is empty, expected one or more of SER, "),
        (["--metrics", "pesq"], "--metrics pesq: pesq is not installed; the extra `metrics` has it: pip install"),
    ],
)
def test_a_metric_that_cannot_be_had_is_one_line(
    words: list[str],
    expected: str,
    trained: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before anything is read or written."""
    monkeypatch.setattr(quality, "find_spec", lambda name: None)
    before = set(trained.iterdir())
    assert main(["evaluate", "--run-dir", str(trained), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert set(trained.iterdir()) == before
