"""`export`: what is written, as TorchScript or ONNX, computes what the network does, or is not written."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from trainer.__main__ import main
from trainer.config import Training
from trainer.inference import load
from trainer.inference.export import LEAST_SAMPLES
from trainer.models import MODELS
from trainer.training.checkpoint import _dump, new_session

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.load:FutureWarning")


def checkpoint(model: str, folder: Path) -> Path:
    """Returns a checkpoint of the untrained debug preset, in which no weight is special."""
    training = Training(model=model, preset="debug")
    network = new_session(training, torch.device("cpu")).model
    file = folder / "best.pt"
    file.write_bytes(_dump({"model": network.state_dict(), "identity": asdict(training), "epoch": 1}))
    return file


def export(file: Path, corpus: Path, *words: str) -> int:
    out = str(file.parent / "out.pt")
    return main(["export", "--checkpoint", str(file), "--data-dir", str(corpus), "--out", out, *words])


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_exported_and_takes_any_batch_and_length(
    model: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Longer ones than it was recorded with, too; the shortest are refused, of which it knows nothing."""
    file = checkpoint(model, tmp_path)
    assert export(file, corpus) == 0
    assert "2 validation mixtures its greatest deviation from the original is " in capsys.readouterr().out
    details = {"sepsweep.json": ""}
    exported, network = torch.jit.load(tmp_path / "out.pt", _extra_files=details), load(file)
    assert f'"model": "{model}"'.encode() in details["sepsweep.json"]  # type: ignore[operator]
    for shape in ((3, 9001), (1, 2500)):
        mixtures = 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected, found = network(mixtures), exported(mixtures)
        assert (found - expected).abs().max() < 2.0**-16 * expected.abs().max()
    with pytest.raises(torch.jit.Error, match="shorter than 2000 samples"):
        exported(torch.zeros(1, LEAST_SAMPLES - 1))


def test_what_deviates_or_cannot_be_recorded_is_refused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An activation in Python alone, a tolerance that nothing meets, and a file that is there; nothing else remains."""
    file = checkpoint("convtasnet", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("trainer.kernels.prelu.is_recorded", lambda: False)
        assert export(file, corpus) == 2
    with monkeypatch.context() as patch:
        patch.setattr("trainer.inference.as_torchscript.TOLERANCE", -1.0)
        assert export(file, corpus) == 2
    assert [found.name for found in tmp_path.iterdir()] == ["best.pt"]
    (tmp_path / "out.pt").touch()
    assert export(file, corpus) == 2
    lines = capsys.readouterr().err.splitlines()
    expected = ("does not allow an export", "deviates from the original", "out.pt: exists already")
    assert len(lines) == len(expected)
    assert all(text in line for text, line in zip(expected, lines, strict=True)), lines


@pytest.mark.filterwarnings("ignore")
def test_onnx_takes_any_batch_and_length(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a minute; SPMamba cannot be written: it loops over time."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    file = checkpoint("convtasnet", tmp_path)
    assert export(file, corpus, "--form", "onnx") == 0
    assert "out.pt: ONNX; on 2 validation mixtures its greatest deviation" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(tmp_path / "out.pt", providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["model"] == "convtasnet"
    network = load(file)
    for shape in ((3, 9001), (1, 2500)):
        mixtures = 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected = network(mixtures)
        found = torch.from_numpy(session.run(None, {"mixtures": mixtures.numpy()})[0])
        assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


def test_onnx_of_a_loop_or_without_its_packages_is_one_line(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainer.inference.as_onnx.PACKAGES", ())
    assert export(checkpoint("spmamba", tmp_path), corpus, "--form", "onnx") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: spmamba: does not allow an export as ONNX (it loops over time")
    monkeypatch.setattr("trainer.inference.as_onnx.PACKAGES", ("onnx_of_nobody",))
    assert export(checkpoint("convtasnet", tmp_path), corpus, "--form", "onnx") == 2
    (line,) = capsys.readouterr().err.splitlines()
    fix = "the extra `onnx` has it: pip install 'sepsweep[onnx]'"
    assert line == f"error: --form onnx: onnx_of_nobody is not installed; {fix}"
