"""LibriMix-style corpora through the same reader interface: which files they are, variants, a training, damage."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.trainer.training import Training
from trainer.__main__ import main
from trainer.data.pack import pack
from trainer.data.readers.corpora import open_subset
from trainer.data.readers.subset import load
from trainer.errors import DataError


@pytest.fixture
def libri(tmp_path: Path) -> Path:
    """min/ of a corpus of 6 + 3 mixtures of different lengths, with metadata for train-100 alone, in an order of its
    own; its last file is in no row of it.
    """
    root, draw = tmp_path / "Libri2Mix" / "wav8k" / "min", np.random.default_rng(3)
    for name, count in (("train-100", 6), ("dev", 3)):
        for index in range(count):
            frames = 4000 + 500 * index
            speech = [0.1 * np.sin(np.arange(frames) * draw.uniform(0.1, 0.5)) for _ in range(2)]
            stems = {"s1": speech[0], "s2": speech[1], "noise": 0.01 * draw.standard_normal(frames)}
            stems |= {"mix_both": sum(stems.values()), "mix_clean": speech[0] + speech[1]}
            for folder, samples in stems.items():
                (root / name / folder).mkdir(parents=True, exist_ok=True)
                soundfile.write(root / name / folder / f"m{index}.wav", samples, 8000, subtype="PCM_16")
    (root / "metadata").mkdir()
    with (root / "metadata" / "mixture_train-100_mix_both.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mixture_ID", "mixture_path", "source_1_path", "source_2_path", "noise_path", "length"])
        for index in (3, 1, 4, 0, 2):
            paths = [f"/elsewhere/{folder}/m{index}.wav" for folder in ("mix_both", "s1", "s2", "noise")]
            writer.writerow([f"m{index}", *paths, 4000 + 500 * index])
    return root


def test_the_metadata_gives_the_mixtures_and_their_order_and_else_the_folder_does(libri: Path) -> None:
    """Lengths tell which mixture is which. Paths of the machine that made the corpus do not matter."""
    assert open_subset(libri, "train").frames.tolist() == [5500, 4500, 6000, 4000, 5000]
    assert open_subset(libri, "val").frames.tolist() == [4000, 4500, 5000]


def test_s_is_the_mixture_and_c_is_it_without_the_noise(libri: Path) -> None:
    """C is compared with mix_clean, up to the rounding of four files to 16 bits; targets are s1 and s2."""
    row = open_subset(libri, "val").rows[1]
    expected = {
        folder: soundfile.read(libri / "dev" / folder / "m1.wav", dtype="float32")[0][50:2050]
        for folder in ("mix_both", "mix_clean", "s1", "s2")
    }
    noisy, targets = load(row, "S", 50, 2000)
    assert np.array_equal(noisy, expected["mix_both"])
    assert np.array_equal(targets, np.stack((expected["s1"], expected["s2"])))
    clean, _ = load(row, "C", 50, 2000)
    np.testing.assert_allclose(clean, expected["mix_clean"], atol=4 / 2**15)


def test_without_mix_both_the_mixtures_are_clean(libri: Path) -> None:
    """C is then the file itself, and the only variant."""
    make_clean(libri)
    row = open_subset(libri, "val").rows[0]
    assert row.kind == "clean"
    mixture, _ = load(row, "C", 0, 4000)
    assert np.array_equal(mixture, soundfile.read(libri / "dev/mix_clean/m0.wav", dtype="float32")[0])


def test_a_training_runs_on_it_and_on_its_pack(
    libri: Path, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the variants that it has; started again on the packs alone, it is the same corpus.

    If Series 3's variants are requested, which it lacks, the line says which ones it has.
    """
    assert training.here(tmp_path / "trial", "--epochs", "1", data=libri) == 0
    config = json.loads((tmp_path / "trial" / "config.json").read_text())
    assert (config["curriculum"], config["validation_variants"]) == ("convtasnet", ["S"])
    for name in ("train", "val"):
        assert pack(libri, name, tmp_path / "packed")
    assert training.here(tmp_path / "trial", "--epochs", "2", data=tmp_path / "packed") == 0
    capsys.readouterr()
    assert training.here(tmp_path / "other", "--validation-variants", "SER", "SE", data=libri) == 2
    assert "no row fits the variants SER SE; these rows show S C" in capsys.readouterr().err


@pytest.mark.parametrize("curriculum", ["auto", "convtasnet", "dprnn", "sepformer", "spmamba", "all"])
def test_mixtures_without_noise_train_on_c_under_every_curriculum(
    curriculum: str, libri: Path, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Up to an epoch in which convtasnet's and spmamba's last stage, which lacks C, has begun.

    Evaluated, C is all that there is.
    """
    make_clean(libri)
    flags = ("--curriculum", curriculum, "--epochs", "5", "--train-limit", "2", "--batch-size", "2")
    assert training.here(tmp_path / "trial", *flags, data=libri) == 0
    said = capsys.readouterr().out
    assert ("note: no mixture can show SER SR ER R SE S E; from epoch 5 on the training stays" in said) == (
        curriculum in ("auto", "convtasnet", "spmamba")
    )
    summary = json.loads((tmp_path / "trial" / "summary.json").read_text())
    assert [list(epoch["variants"]) for epoch in summary["history"]] == [["C"]] * 5
    assert main(["evaluate", "--run-dir", str(tmp_path / "trial"), "--wavs", "0"]) == 0
    evaluation = json.loads((tmp_path / "trial" / "evaluation-val" / "evaluation.json").read_text())
    assert {name: result["mixtures"] for name, result in evaluation["results"].items()} == {"C": 3, "all": 3}


def make_clean(libri: Path) -> None:
    for name in ("train-100", "dev"):
        shutil.rmtree(libri / name / "mix_both")
        shutil.rmtree(libri / name / "noise")


def test_damage_is_named(libri: Path) -> None:
    """The root above the one that is meant; a column; a file; a folder; two training sets."""
    with pytest.raises(DataError, match=rf"did you mean --data-dir {libri}\?"):
        open_subset(libri.parent.parent, "train")
    table = libri / "metadata" / "mixture_train-100_mix_both.csv"
    text = table.read_text()
    table.write_text(text.replace("mixture_path", "path"))
    with pytest.raises(DataError, match="line 1: column mixture_path is missing"):
        open_subset(libri, "train")
    table.write_text(text)
    (libri / "train-100" / "s2" / "m4.wav").unlink()
    with pytest.raises(DataError, match=r"s2/m4\.wav \(mixture_train-100_mix_both\.csv, line 4\): there is no"):
        open_subset(libri, "train")
    shutil.rmtree(libri / "dev" / "noise")
    with pytest.raises(DataError, match="has mix_both/ but no folder noise/"):
        open_subset(libri, "val")
    shutil.copytree(libri / "train-100", libri / "train-360")
    with pytest.raises(DataError, match="has train-100, train-360; keep one"):
        open_subset(libri, "train")
