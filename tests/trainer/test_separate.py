"""`separate`: where its results go, what is no recording, and that its time grows as the recording does."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from tests.trainer.training import Training
from trainer.__main__ import main
from trainer.inference.separator import separate_long

RATE = 8000


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "trained"
    assert Training(corpus).here(run_dir, "--epochs", "1") == 0
    return run_dir


def talk(file: Path, level: float = 0.1, **options: str) -> Path:
    samples = level * np.random.default_rng(len(file.name)).standard_normal(4000).astype(np.float32)
    soundfile.write(file, samples, RATE, **options)
    return file


def separate(recording: Path, trained: Path, *flags: str) -> int:
    return main(["separate", str(recording), "--checkpoint", str(trained), "--device", "cpu", *flags])


def test_a_folder_that_is_not_there_is_made(trained: Path, tmp_path: Path) -> None:
    recording = talk(tmp_path / "talk.wav")
    assert separate(recording, trained, "--out", str(tmp_path / "a" / "b")) == 0
    assert sorted(file.name for file in (tmp_path / "a" / "b").iterdir()) == [
        "talk.speaker1.wav",
        "talk.speaker2.wav",
    ]


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_computed(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lies below a file, or is one."""
    monkeypatch.setattr("trainer.inference.separate.separate_long", lambda *_: pytest.fail("it separates"))
    recording = talk(tmp_path / "talk.wav")
    for out in (recording, recording / "out"):
        assert separate(recording, trained, "--out", str(out)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"--out {out}: cannot be written" in line


def test_results_of_another_recording_of_the_same_name_are_kept(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """talk.wav and talk.flac: the second is refused before it is read, and --overwrite or --out let it through."""
    wav, flac = talk(tmp_path / "talk.wav"), talk(tmp_path / "talk.flac")
    result = tmp_path / "talk.speaker1.wav"
    assert separate(wav, trained) == 0
    first = result.read_bytes()
    capsys.readouterr()
    assert separate(flac, trained) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in ("talk.speaker1.wav: exists already", "--overwrite", "--out", "talk.flac"))
    assert result.read_bytes() == first
    assert separate(flac, trained, "--out", str(tmp_path / "flac")) == 0
    assert separate(flac, trained, "--overwrite") == 0
    assert result.read_bytes() == (tmp_path / "flac" / "talk.speaker1.wav").read_bytes() != first


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("missing", "there is no such recording"),
        ("folder", "is a folder"),
        ("empty", "cannot be read as a recording"),
        ("text", "cannot be read as a recording"),
        ("no samples", "has no samples"),
        ("nan", "has samples that are not numbers"),
        ("infinite", "has samples that are not numbers"),
        ("beyond float32", "has samples that are not numbers"),
        ("too loud", "is too loud to separate"),
        ("no channels", "cannot be read as a recording"),
        ("rate 0", "cannot be read as a recording"),
    ],
)
def test_what_is_no_recording_is_one_line(
    kind: str, expected: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and no file but the recording."""
    file = tmp_path / "bad.wav"
    values = {"nan": np.nan, "infinite": -np.inf, "beyond float32": 1e300, "too loud": 1e38}
    if kind == "folder":
        file.mkdir()
    elif kind in ("empty", "text"):
        file.write_bytes(b"" if kind == "empty" else b"no sound at all\n" * 99)
    elif kind in values:
        samples = np.random.default_rng(1).uniform(-1, 1, 4000)
        samples[7] = 1.0 if kind == "too loud" else values[kind]
        samples = samples * (values[kind] if kind == "too loud" else 1)
        soundfile.write(file, samples, RATE, subtype="DOUBLE")
    elif kind != "missing":
        soundfile.write(file, np.zeros(0 if kind == "no samples" else 100), RATE, subtype="PCM_16")
        content = bytearray(file.read_bytes())
        place = content.index(b"fmt ") + 8
        if kind == "no channels":
            content[place + 2 : place + 4] = bytes(2)
        if kind == "rate 0":
            content[place + 4 : place + 8] = bytes(4)
        file.write_bytes(content)
    assert separate(file, trained) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: ")
    assert expected in line
    assert list(tmp_path.iterdir()) == ([] if kind == "missing" else [file])


@pytest.mark.parametrize("rate", [1, 4, 2**31 - 1])
def test_a_rate_that_no_recording_has_ends_in_no_trace(
    rate: int, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Separated, or refused in one line."""
    soundfile.write(tmp_path / "odd.wav", np.zeros(100), rate, subtype="PCM_16")
    assert separate(tmp_path / "odd.wav", trained) in (0, 2)
    assert len(capsys.readouterr().err.splitlines()) <= 1


def test_joining_copies_each_sample_a_fixed_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements that torch's functions return or fill while pieces are joined, counted: four times the length takes four
    times as many, where appending takes sixteen.
    """

    class Counting(torch.overrides.TorchFunctionMode):
        elements = 0

        def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result._base is None:
                self.elements += result.numel()
            return result

    counts = []
    for seconds in (600, 2400):
        recording = torch.zeros(seconds * 100)
        with Counting() as counting:
            separate_long(lambda mixtures: mixtures.expand(2, -1)[None], recording, 800)
        counts.append(counting.elements)
    assert counts[1] / counts[0] == pytest.approx(4, rel=0.05)


def test_the_recording_is_named_as_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """In the usage, and it is no flag."""
    with pytest.raises(SystemExit):
        main(["separate", "--help"])
    printed = capsys.readouterr().out
    assert "RECORDING" in printed
    assert "--recording" not in printed
    assert main(["separate", "x.wav", "--checkpoit", "y"]) == 2
    assert "--recording" not in capsys.readouterr().err
