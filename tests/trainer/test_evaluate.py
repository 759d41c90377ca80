"""`evaluate` and `separate`: a model that has learned two simple voices, scored, and put to recordings."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor
from torchmetrics.functional.audio import permutation_invariant_training
from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio as reference_si_snr

from tests.tiny_corpus import FOLDERS, write_subset
from tests.trainer.training import Training
from trainer.__main__ import main
from trainer.data.sampling import Excerpt
from trainer.inference.evaluate import _batches
from trainer.inference.scores import Score, bootstrap, summarize
from trainer.inference.separator import load_separator, separate_long


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the run directory of a short training that has learned; its corpus, PolSESS_voices, lies beside it."""
    root = tmp_path_factory.mktemp("evaluate")
    for seed, (name, count) in enumerate({"train": 12, "val": 4, "test": 6}.items(), start=1):
        write_subset(root / "PolSESS_voices", name, count, 0.5, seed)
    flags = ["--epochs", "12", "--lr", "1e-2", "--curriculum", "all"]
    assert Training(root / "PolSESS_voices").here(root / "trial", *flags) == 0
    return root / "trial"


def evaluation(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return content


def test_validation_is_evaluated_as_it_was_in_training(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over the variants of validation the best checkpoint scores what summary.json says, and improves as much."""
    out = ["--out", str(tmp_path / "val")]
    assert main(["evaluate", "--run-dir", str(trained), "--variants", "SER", "SE", *out]) == 0
    reported, found = json.loads((trained / "summary.json").read_text()), evaluation(tmp_path / "val")
    everything = found["results"]["all"]
    assert everything["si_snr"]["mean"] == pytest.approx(reported["best_val_si_snr"], abs=1e-3)
    assert everything["improvement"]["mean"] == pytest.approx(reported["improvement_db"], abs=1e-3)
    assert found["epoch"] == reported["best_epoch"]
    assert everything["si_snr"]["low"] < everything["si_snr"]["mean"] < everything["si_snr"]["high"]
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "val_si_snr" not in printed.out


def test_the_test_set_is_shown_in_each_variant_and_written(trained: Path) -> None:
    """Three indoor rows in five variants, three outdoor ones in four.

    Scores are those of the written speakers, by torchmetrics, and their levels are those in the mixture; a second
    evaluation takes the place of the first.
    """
    run = ["evaluate", "--run-dir", str(trained), "--subset", "test"]
    assert main([*run, "--wavs", "99"]) == 0
    folder, root = trained / "evaluation-test", trained.parent / "PolSESS_voices" / "test"
    found = evaluation(folder)
    counts = {name: result["mixtures"] for name, result in found["results"].items()}
    assert counts == {"SER": 3, "SR": 3, "ER": 3, "R": 3, "C": 6, "SE": 3, "S": 3, "E": 3, "all": 6}
    assert len(list(folder.glob("*.wav"))) == 5 * 27
    score = next(score for score in found["scores"] if score["variant"] == "SE")
    name = f"{score['row']:05d}-SE-speaker"
    speakers = np.stack([soundfile.read(folder / f"{name}{one}.wav", dtype="float32")[0] for one in (1, 2)])
    clean = [root / "clean" / f"{score['row']:03d}_speaker{one}File.wav" for one in (1, 2)]
    targets = np.stack([soundfile.read(file, dtype="float32")[0] for file in clean])
    expected = reference_si_snr(torch.from_numpy(speakers), torch.from_numpy(targets)).mean().item()
    assert score["si_snr"] == pytest.approx(expected, abs=0.1)  # 16 bits
    mixture = soundfile.read(root / "mix" / f"{score['row']:03d}_mixFile.wav", dtype="float32")[0]
    before = reference_si_snr(torch.from_numpy(mixture).expand(2, -1), torch.from_numpy(targets)).mean().item()
    assert score["improvement"] == pytest.approx(score["si_snr"] - before, abs=1e-3)
    assert np.linalg.norm(speakers, axis=1) == pytest.approx(np.linalg.norm(targets, axis=1), rel=0.25)
    assert main([*run, "--wavs", "0"]) == 0
    assert {file.name for file in folder.iterdir()} == {"evaluation.json"}
    assert evaluation(folder)["scores"] == found["scores"]
    assert {path.name for path in trained.iterdir() if "evaluation" in path.name} == {"evaluation-test"}


@pytest.fixture
def lengths(trained: Path, tmp_path: Path) -> Path:
    """Returns a test set of six mixtures of 0.5 s, but the second has 0.2 s and the fourth, a repetition, 4.5 s."""
    root = Path(shutil.copytree(trained.parent / "PolSESS_voices", tmp_path / "PolSESS_voices"))
    for file in (root / "test").rglob("*.wav"):
        samples = soundfile.read(file, dtype="int16")[0]
        changed = {"001": samples[:1600], "003": np.tile(samples, 9)}.get(file.name[:3], samples)
        soundfile.write(file, changed, 8000, subtype="PCM_16")
    return root


@pytest.mark.parametrize("seconds", [None, 0.3])
def test_each_mixture_is_scored_whole_or_by_its_first_segment(
    seconds: float | None, trained: Path, lengths: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a plain loop over the files with torchmetrics, one mixture after the other: no score depends on a batch,
    none on a padding. Output and report say which it was.
    """
    flags = ["--subset", "test", "--data-dir", str(lengths), "--out", str(tmp_path / "out"), "--wavs", "9"]
    flags += [] if seconds is None else ["--segment-seconds", str(seconds)]
    assert main(["evaluate", "--run-dir", str(trained), "--variants", "S", "SR", "C", *flags]) == 0
    found = evaluation(tmp_path / "out")
    said = "scored: each mixture as a whole" if seconds is None else "scored: the first 0.3 s of each mixture"
    assert said in capsys.readouterr().out.splitlines()
    assert found["segment_seconds"] == seconds
    separator = load_separator(trained, torch.device("cpu"))
    expected = {}
    for row in range(6):
        kinds = (
            {"SR": ["eventFile", "reverbForEvent"], "C": list(FOLDERS)[3:]}
            if row % 2 == 0
            else {
                "S": ["eventFile"],
                "C": ["sceneFile", "eventFile"],
            }
        )
        for variant, dropped in kinds.items():
            stems = {
                stem: torch.from_numpy(
                    soundfile.read(lengths / "test" / FOLDERS[stem] / f"{row:03d}_{stem}.wav", dtype="float32")[0]
                )[: None if seconds is None else round(8000 * seconds)]
                for stem in ("mixFile", "speaker1File", "speaker2File", *dropped)
            }
            mixture = stems["mixFile"] - sum(stems[stem] for stem in dropped)
            targets = torch.stack([stems["speaker1File"], stems["speaker2File"]])
            estimates = separator(mixture.unsqueeze(0))
            score = permutation_invariant_training(estimates, targets.unsqueeze(0), reference_si_snr)[0].item()
            before = reference_si_snr(mixture.expand(2, -1), targets).mean().item()
            expected[row, variant] = (score, score - before)
            wav = soundfile.info(tmp_path / "out" / f"{row:05d}-{variant}-speaker1.wav")
            assert wav.frames == len(mixture)
    scores = {(one["row"], one["variant"]): (one["si_snr"], one["improvement"]) for one in found["scores"]}
    assert set(scores) == set(expected)
    for key, values in expected.items():
        assert scores[key] == pytest.approx(values, abs=0.01)


def test_a_batch_of_long_mixtures_holds_fewer_of_them(lengths: Path) -> None:
    """Nine mixtures of 0.5 s, 3 s, 4 s, 9 s and 100 s, three at most at once: no more samples than three of 4 s have,
    or one mixture, and all of one length.
    """
    frames = [4000] * 4 + [24_000] * 2 + [32_000] * 4 + [72_000] * 3 + [800_000] * 2
    rows = [SimpleNamespace(frames=count, index=index) for index, count in enumerate(frames)]
    excerpts = [Excerpt(row, "C", 0) for row in reversed(rows)]  # type: ignore[arg-type]
    batches = _batches(excerpts, 800_000, 3)
    assert [(len(batch), batch[0].row.frames) for batch in batches] == [
        (3, 4000),
        (1, 4000),
        (2, 24_000),
        (3, 32_000),
        (1, 32_000),
        *[(1, 72_000)] * 3,
        *[(1, 800_000)] * 2,
    ]
    assert sorted(excerpt.row.index for batch in batches for excerpt in batch) == list(range(len(rows)))
    assert {excerpt.row.frames - batch[0].row.frames for batch in batches for excerpt in batch} == {0}


@pytest.mark.parametrize("variants", ["C", "C R", "SE C", "E C S", "SER SR ER R C SE S E"])
def test_c_is_scored_over_every_mixture_whatever_else_is_listed(variants: str, trained: Path, tmp_path: Path) -> None:
    """Six rows, three of them indoors, can all be shown as C."""
    flags = [
        "--subset",
        "test",
        "--wavs",
        "0",
        "--variants",
        *variants.split(),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["evaluate", "--run-dir", str(trained), *flags]) == 0
    scores = evaluation(tmp_path / "out")["scores"]
    assert sorted(score["row"] for score in scores if score["variant"] == "C") == [0, 1, 2, 3, 4, 5]


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    """Of 100 samples of 60 normal values, drawn with standard deviation 3, nearly 95 % have the mean in the interval,
    whose width is that of the normal approximation.
    """
    draws = np.random.default_rng(1).normal(5, 3, (100, 60))
    ends = np.array([bootstrap(draw) for draw in draws])
    assert 0.88 <= ((ends[:, 0] < 5) & (ends[:, 1] > 5)).mean() <= 0.99
    assert np.diff(ends).mean() == pytest.approx(2 * 1.96 * 3 / np.sqrt(60), rel=0.06)


def test_all_counts_each_mixture_once() -> None:
    """A mixture that was shown in two variants weighs no more than one that was shown in one."""
    scores = [Score(0, "SER", 1.0, 2.0), Score(0, "C", 3.0, 4.0), Score(1, "SE", 8.0, 9.0)]
    results = summarize(scores)
    assert (results["all"].mixtures, results["all"].si_snr.mean) == (2, 5.0)
    assert results["C"].improvement.mean == 4.0


def voices(seconds: float, rate: int) -> np.ndarray:
    """Returns two voices [2, T] like those of the tiny corpus, each silent at times."""
    time = np.arange(round(seconds * rate)) / rate
    pitches, pauses = (110, 240), (0.31, 0.23)
    found = []
    for pitch, pause in zip(pitches, pauses, strict=True):
        harmonics = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6))
        found.append(0.08 * harmonics * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)) * (np.sin(pause * time) > -0.7))
    return np.stack(found).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_a_long_recording_is_separated(rate: int, trained: Path, tmp_path: Path) -> None:
    """Twenty seconds at either rate, stereo at the higher one, in chunks of one: speakers as long as the recording and
    lined up with it, each one and the same voice throughout, and as loud as in the mixture.
    """
    sources = voices(20, rate)
    mixture = sources.sum(0)
    sound = np.stack([mixture * 1.5, mixture * 0.5], axis=1) if rate == 44100 else mixture
    soundfile.write(tmp_path / "talk.wav", sound, rate)
    words = ["--checkpoint", str(trained), "--chunk-seconds", "1", "--out", str(tmp_path)]
    assert main(["separate", str(tmp_path / "talk.wav"), *words]) == 0
    files = [soundfile.SoundFile(tmp_path / f"talk.speaker{one}.wav") for one in (1, 2)]
    assert {(file.samplerate, file.frames, file.channels) for file in files} == {(rate, len(mixture), 1)}
    estimates = np.stack([file.read(dtype="float32") for file in files])
    if np.vdot(estimates[0], sources[0]) < np.vdot(estimates[1], sources[0]):
        estimates = estimates[::-1].copy()
    scores = reference_si_snr(torch.from_numpy(estimates), torch.from_numpy(sources))
    unprocessed = reference_si_snr(torch.from_numpy(mixture).expand(2, -1), torch.from_numpy(sources))
    assert (scores - unprocessed).min() > 4
    assert np.linalg.norm(estimates, axis=1) == pytest.approx(np.linalg.norm(sources, axis=1), rel=0.3)
    assert not list(tmp_path.glob("*.partial"))


def test_speakers_keep_their_place_where_the_network_swaps_them() -> None:
    """A network that splits low from high perfectly, and gives the two in the other order every other time, or when it
    sees less than a whole chunk: the result is what one pass over all of it gives.
    """
    calls = []

    def split(mixtures: Tensor) -> Tensor:
        calls.append(mixtures.shape[1])
        spectrum = torch.fft.rfft(mixtures)
        low = torch.arange(spectrum.shape[1]) < spectrum.shape[1] * 180 / 4000
        both = torch.stack([torch.fft.irfft(spectrum * part, mixtures.shape[1]) for part in (low, ~low)], 1)
        return both.flip(1) if len(calls) % 2 == 0 else both

    time = torch.arange(8000 * 13 + 77) / 8000
    tones = torch.stack([0.3 * torch.sin(2 * torch.pi * hertz * time) for hertz in (120, 700)])
    result = separate_long(split, tones.sum(0), 8000)
    assert result.shape == tones.shape
    assert set(calls) == {8000}
    assert len(calls) == 26
    assert reference_si_snr(result, tones).min() > 20


@pytest.mark.parametrize("frames", [1, 7, 4000, 8000, 8001, 12_000, 20_001])
def test_every_length_is_separated_as_a_whole(frames: int) -> None:
    """A network that passes the mixture on passes all of it on, whatever the number of chunks."""
    recording = torch.randn(frames, generator=torch.Generator().manual_seed(frames))
    passed = separate_long(lambda mixtures: torch.stack([mixtures, 0 * mixtures], 1), recording, 8000)
    torch.testing.assert_close(passed, torch.stack([recording, 0 * recording]))


def write_stereo_nothing(file: Path) -> None:
    soundfile.write(file, np.zeros((0, 2)), 8000)


def write_nan(file: Path) -> None:
    soundfile.write(file, np.full(4000, np.nan), 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda file: None, "no such recording"),
        (lambda file: file.write_text("no sound"), "cannot be read as a recording"),
        (write_stereo_nothing, "has no samples"),
        (write_nan, "are not numbers"),
    ],
    ids=["missing", "text", "empty", "nan"],
)
def test_a_recording_that_is_none_is_refused(
    write: Callable[[Path], object],
    expected: str,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line that names the file; nothing is written."""
    write(tmp_path / "talk.wav")
    before = set(tmp_path.iterdir())
    assert main(["separate", str(tmp_path / "talk.wav"), "--checkpoint", str(trained / "best.pt")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "talk.wav" in line
    assert expected in line
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["evaluate", "--run-dir", "RUN/none"], "none/best.pt: no such checkpoint"),
        (["evaluate", "--run-dir", "RUN", "--data-dir", "RUN/none"], "none: no such directory"),
        (["evaluate", "--run-dir", "RUN", "--variants", "SRE"], "unknown 'SRE', did you mean"),
        (["evaluate", "--run-dir", "RUN", "--subset", "train"], "--subset"),
        (["evaluate", "--run-dir", "RUN", "--out", "RUN/best.pt/x"], "cannot be written"),
        (["evaluate", "--run-dri", "RUN"], "--run-dir"),
        (["separate", "RUN/config.json", "--checkpoint", "RUN/config.json"], "config.json: is damaged"),
        (["separate", "--checkpoint", "RUN"], "RECORDING is missing (a WAV file"),
        (["evaluate", "--run-dir", "RUN", "--out", "RUN"], "exists and is no evaluation"),
        (["seperate", "in.wav"], "unknown verb 'seperate', did you mean 'separate'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_call_that_does_not_fit_is_refused(
    words: list[str], expected: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, and the run directory as it was."""
    before = {path: path.stat().st_mtime_ns for path in trained.iterdir()}
    assert main([word.replace("RUN", str(trained)) for word in words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert {path: path.stat().st_mtime_ns for path in trained.iterdir()} == before
