"""What the trainer says of a corpus that can be trained on, and to no good."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.trainer.test_layouts import write_libri
from tests.trainer.training import Training
from trainer.data.readers.corpora import list_files, open_subset
from trainer.data.readers.oddities import oddities
from trainer.data.readers.wav import WavSubset


def swap(root: Path) -> None:
    """Swaps the first speaker's files of two mixtures."""
    one, other = (root / "train" / "clean" / f"{index:03d}_speaker1File.wav" for index in (2, 5))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def silence(root: Path) -> None:
    """Silences a speaker, also in the mixture."""
    mix, speaker = root / "train/mix/004_mixFile.wav", root / "train/clean/004_speaker2File.wav"
    samples = soundfile.read(mix, dtype="int16")[0] - soundfile.read(speaker, dtype="int16")[0]
    soundfile.write(mix, samples, 8000, subtype="PCM_16")
    soundfile.write(speaker, np.zeros(len(samples), np.int16), 8000, subtype="PCM_16")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: None, []),
        (
            swap,
            ["2 of 12 checked mixtures are not the sum of their parts; were files swapped, or scaled separately?"],
        ),
        (
            silence,
            ["1 of 12 checked mixtures have a silent speaker, on which no model can be scored"],
        ),
    ],
    ids=["nothing", "swapped", "silent"],
)
def test_what_no_header_shows_is_said(spoil: Callable[[Path], None], said: list[str], broken: Path) -> None:
    """And nothing of a sound corpus, whose sums are right but for the rounding of eight files to 16 bits."""
    spoil(broken)
    subset = open_subset(broken, "train")
    assert list(oddities(subset)) == [f"note: {subset.source}: {line}" for line in said]


def test_a_few_mixtures_of_a_long_list_are_looked_at(broken: Path) -> None:
    """Sixteen, however many there are: of 12 rows that are listed four times every third."""
    table = next((broken / "train").glob("*.csv"))
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *rows * 4]) + "\n")
    swap(broken)
    (line,) = oddities(WavSubset(list_files(broken, "train")))
    assert " of 16 checked mixtures " in line


def test_of_a_long_mixture_the_beginning_is_looked_at(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A speaker who is silent there may speak later; a sum that is wrong there is wrong."""
    monkeypatch.setattr("trainer.data.readers.oddities.LONGEST", 400)
    silence(broken)
    assert list(oddities(open_subset(broken, "train"))) == []
    swap(broken)
    assert "2 of 12" in next(oddities(open_subset(broken, "train")))


def test_a_file_that_is_gone_is_left_to_the_training(broken: Path) -> None:
    subset = open_subset(broken, "train")
    next((broken / "train" / "clean").glob("*")).unlink()
    assert list(oddities(subset)) == []


def test_noise_that_no_mixture_has_is_said(tmp_path: Path) -> None:
    """LibriMix's mix_both was not copied: every mixture is shown clean, as it is silently if noise/ is missing, too."""
    root = write_libri(tmp_path / "libri")
    assert list(oddities(open_subset(root, "val"))) == []
    shutil.rmtree(root / "dev" / "mix_both")
    assert list(oddities(open_subset(root, "val"))) == [
        f"note: {root}/dev: has noise/ but no mix_both/, so no mixture has noise; copy mix_both/ to train with noise"
    ]
    shutil.rmtree(root / "dev" / "noise")
    assert list(oddities(open_subset(root, "val"))) == []


def test_notes_of_a_run(training: Training, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Swapped files, and a patience that cannot run out; said at the start, once."""
    swap(broken)
    flags = ("--epochs", "2", "--patience", "2", "--train-limit", "2")
    assert training.here(tmp_path / "trial", *flags, data=broken) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes[0] == "note: --patience 2 has no effect: it needs more than the 2 of --epochs"
    assert "2 of 12 checked mixtures are not the sum of their parts" in notes[1]
    assert len(notes) == 2


def test_settings_that_do_nothing_are_noted(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve mixtures are three steps an epoch; with values that fit, nothing is said."""
    idle = "--cosine-epochs 5 --average-best 3 --warmup-steps 7 --train-limit 13 --validation-limit 99"
    useful = "--scheduler cosine --cosine-epochs 5 --average-best 2 --warmup-steps 6 --train-limit 12"
    expected = (
        "--cosine-epochs 5 has no effect with --scheduler plateau, only with cosine",
        "--average-best 3 averages all of the 2 of --epochs",
        "--train-limit 13 has no effect",
        "--validation-limit 99 has no effect",
        "--warmup-steps 7: the learning rate does not come up to --lr, because the 2 of --epochs have 6 steps",
    )
    assert training.here(tmp_path / "idle", "--epochs", "2", *idle.split()) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert [said in note for said, note in zip(expected, notes, strict=True)] == [True] * 5
    assert training.here(tmp_path / "useful", "--epochs", "2", *useful.split()) == 0
    assert "note: " not in capsys.readouterr().out


def test_a_training_on_other_variants_than_are_validated_is_noted(
    training: Training, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The validation set has lost its outdoor mixtures; with patience below the epochs nothing is said of that."""
    table = next((broken / "val").glob("*.csv"))
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *rows[::2]]) + "\n")
    flags = ("--epochs", "2", "--patience", "1", "--train-limit", "2")
    assert training.here(tmp_path / "trial", *flags, data=broken) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: the mixtures to train can show SER SR ER R C SE S E, those to validate SER SR ER R C; "
        "both should show the same variants"
    ]
