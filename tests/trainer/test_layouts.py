"""What people have on their disks: layouts and tables that are read, and those that are refused in a line."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.tiny_corpus import FOLDERS
from tests.trainer.training import Training
from trainer.data.pack import main as pack
from trainer.data.readers.corpora import open_corpus, open_subset
from trainer.data.readers.subset import load
from trainer.data.readers.wav import WavSubset
from trainer.errors import DataError

Edit = Callable[[Path], object]


def write_libri(root: Path, speakers: int = 2, rate: int = 8000, missing: tuple[str, ...] = ()) -> Path:
    """Writes train-100 and dev of a LibriMix-style corpus, 3 mixtures each, with metadata, but no folders `missing`."""
    draw = np.random.default_rng(5)
    names = [f"s{number}" for number in range(1, speakers + 1)]
    for subset in ("train-100", "dev"):
        rows = []
        for index in range(3):
            stems = {name: draw.normal(0, 0.05, 4000) for name in names}
            clean = np.sum(list(stems.values()), axis=0)
            stems |= {"noise": draw.normal(0, 0.01, 4000), "mix_clean": clean, "mix_single": stems["s1"]}
            stems["mix_both"] = clean + stems["noise"]
            for folder, samples in stems.items():
                if folder not in missing:
                    (root / subset / folder).mkdir(parents=True, exist_ok=True)
                    soundfile.write(root / subset / folder / f"m{index}.wav", samples, rate, subtype="PCM_16")
            sources = {f"source_{number}_path": f"/gen/s{number}/m{index}.wav" for number in range(1, speakers + 1)}
            rows.append({"mixture_ID": f"m{index}", "mixture_path": f"/gen/mix_both/m{index}.wav", **sources})
        (root / "metadata").mkdir(exist_ok=True)
        with metadata(root, subset).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return root


def metadata(root: Path, subset: str = "train-100") -> Path:
    return root / "metadata" / f"mixture_{subset}_mix_both.csv"


def replace(file: Path, *pairs: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    file.write_bytes(text.encode())


LIBRI_REFUSED: dict[str, tuple[dict[str, object], Edit, str]] = {
    "s3": ({"speakers": 3}, lambda root: None, "has s3/ beside s1/ and s2/; .* two speakers"),
    "s3 without metadata": ({"speakers": 3}, lambda root: shutil.rmtree(root / "metadata"), "has s3/ beside"),
    "a third source in the metadata": (
        {"speakers": 3},
        lambda root: [shutil.rmtree(root / name / "s3") for name in ("train-100", "dev")],
        "line 2: column source_3_path names a third speaker",
    ),
    "16 kHz": ({"rate": 16_000}, lambda root: None, "16000 Hz, a corpus has 8000 Hz; resample it"),
    "no s2": ({"missing": ("s2",)}, lambda root: None, "has mix_both/ but no folder s2/"),
    "no noise": ({"missing": ("noise",)}, lambda root: None, "has mix_both/ but no folder noise/"),
    "one speaker": (
        {"missing": ("mix_both", "mix_clean")},
        lambda root: None,
        "no folder mix_both or mix_clean, .*; mix_single/ has one speaker",
    ),
    "a source that is missing": (
        {},
        lambda root: (root / "train-100" / "s2" / "m1.wav").unlink(),
        r"s2/m1\.wav \(mixture_train-100_mix_both\.csv, line 3\): there is no such file",
    ),
    "another name of a source": (
        {},
        lambda root: replace(metadata(root), ("s1/m1.wav", "s1/m2.wav")),
        "line 3: column source_1_path names m2.wav, the mixture is m1.wav",
    ),
}


@pytest.mark.parametrize("what", LIBRI_REFUSED)
def test_a_librimix_that_is_not_of_two_speakers_or_not_whole_is_refused(
    what: str, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one line; nothing is written."""
    settings, edit, expected = LIBRI_REFUSED[what]
    root = write_libri(tmp_path / "libri", **settings)  # type: ignore[arg-type]
    edit(root)
    with pytest.raises(DataError, match=expected):
        open_corpus(root)
    assert training.here(tmp_path / "trial", data=root) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert not (tmp_path / "trial").exists()


LIBRI_READ: dict[str, Edit] = {
    "paths of Windows": lambda root: replace(
        metadata(root), ("/gen/mix_both/", "D:\\LibriMix\\mix_both\\"), ("/gen/s1/", "D:\\LibriMix\\s1\\")
    ),
    "byte order mark and CRLF": lambda root: metadata(root).write_bytes(
        b"\xef\xbb\xbf" + metadata(root).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    ),
    "files that macOS leaves": lambda root: [
        shutil.rmtree(root / "metadata"),
        (root / "train-100" / "mix_both" / "._m0.wav").write_bytes(b"\0\5\x16\7"),
    ],
    "an absolute path that is there": lambda root: replace(
        metadata(root), ("/gen/mix_both/", f"{root}/train-100/mix_both/")
    ),
}


@pytest.mark.parametrize("what", LIBRI_READ)
def test_a_librimix_is_read_by_the_names_of_its_files(what: str, tmp_path: Path) -> None:
    """As before the edit: the same fingerprint."""
    root = write_libri(tmp_path / "libri")
    before = open_corpus(root).fingerprint()
    LIBRI_READ[what](root)
    assert open_corpus(root).fingerprint() == before


def table(root: Path) -> Path:
    return root / "train" / f"corpus_{root.name}_train_final.csv"


def with_column(root: Path, name: str, cell: str) -> None:
    first, *rows = table(root).read_text().splitlines()
    table(root).write_text("\n".join([f"{first},{name}", *(f"{row},{cell}" for row in rows)]) + "\n")


POLSESS_REFUSED: dict[str, tuple[Edit, str]] = {
    "a third speaker": (
        lambda root: with_column(root, "speaker3File", "a.wav"),
        "line 2: column speaker3File names a third speaker",
    ),
    "a third speaker's reverberation": (
        lambda root: with_column(root, "reverbForSpeaker3", "a.wav"),
        "line 2: column reverbForSpeaker3 names a third speaker",
    ),
    "semicolons": (
        lambda root: replace(table(root), (",", ";")),
        "line 1: column mixFile is missing, .* separate the columns by commas",
    ),
    "nothing": (lambda root: table(root).write_bytes(b""), "column mixFile is missing, the file is empty"),
    "UTF-16": (
        lambda root: table(root).write_bytes(table(root).read_text().encode("utf-16")),
        "cannot be read as CSV .* save it in UTF-8",
    ),
    "a row that was cut off": (
        lambda root: table(root).write_text(table(root).read_text().rstrip().rpartition(",")[0]),
        "line 13: 7 cells, line 1 has 8",
    ),
    "a cell too many": (
        lambda root: replace(table(root), ("003_mixFile.wav", "003,_mixFile.wav")),
        "line 5: 9 cells, line 1 has 8",
    ),
    "a quote that is never closed": (
        lambda root: replace(table(root), ("003_mixFile.wav", '"003_mixFile.wav')),
        r"line 5: cannot be read as CSV \(.*\); is a quote never closed\?",
    ),
    "no header": (
        lambda root: table(root).write_text("a.wav,a.wav,\n" + table(root).read_text().partition("\n")[2]),
        "line 1: column mixFile is missing; the required columns are mixFile",
    ),
    "a column that is there twice": (
        lambda root: with_column(root, "mixFile", "a.wav"),
        "line 1: column mixFile occurs twice",
    ),
    "a path of Windows": (
        lambda root: replace(table(root), ("003_mixFile.wav", "D:\\PolSESS\\mix\\003_mixFile.wav")),
        r"line 5\): there is no such file; 'D:\\PolSESS\\mix\\003_mixFile\.wav' is a Windows path, "
        r".* write 003_mixFile\.wav",
    ),
    "the folder in the name": (
        lambda root: replace(table(root), ("003_mixFile.wav", "mix/003_mixFile.wav")),
        "the column names files of mix/: write 003_mixFile.wav",
    ),
    "an absolute path that is not there": (
        lambda root: replace(table(root), ("003_mixFile.wav", "/gone/003_mixFile.wav")),
        r"/gone/003_mixFile\.wav \(.* line 5\): there is no such file",
    ),
}


@pytest.mark.parametrize("what", POLSESS_REFUSED)
def test_a_polsess_table_that_does_not_fit_is_refused(
    what: str, training: Training, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one line; nothing is written."""
    edit, expected = POLSESS_REFUSED[what]
    edit(broken)
    with pytest.raises(DataError, match=expected):
        open_subset(broken, "train")
    assert training.here(tmp_path / "trial", data=broken) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert not (tmp_path / "trial").exists()


def test_absolute_paths_that_are_there_are_checked_read_and_trained_on(
    training: Training, broken: Path, corpus: Path, tmp_path: Path
) -> None:
    """Each stem of train lies in a folder of its own, elsewhere; samples and fingerprint are those of before."""
    elsewhere = tmp_path / "elsewhere"
    text = table(broken).read_text()
    for column, folder in FOLDERS.items():
        shutil.copytree(broken / "train" / folder, elsewhere / column)
        for index in range(12):
            name = f"{index:03d}_{column}.wav"
            text = text.replace(name, str(elsewhere / column / name))
    for folder in set(FOLDERS.values()):
        shutil.rmtree(broken / "train" / folder)
    table(broken).write_text(text)
    found, expected = open_corpus(broken), open_corpus(corpus)
    assert isinstance(found.train, WavSubset)
    assert found.fingerprint() == expected.fingerprint()
    for mine, its in zip(found.train.rows, expected.train.rows, strict=True):
        for one, other in zip(load(mine, "C", 7, 3000), load(its, "C", 7, 3000), strict=True):
            assert np.array_equal(one, other)
    assert training.here(tmp_path / "trial", "--epochs", "1", data=broken) == 0


def test_a_third_speakers_column_without_a_cell_is_no_third_speaker(broken: Path) -> None:
    """A generator may write the column for all corpora."""
    with_column(broken, "speaker3File", "")
    assert len(open_subset(broken, "train").rows) == 12


def test_a_librimix_without_dev_is_told_what_is_missing(tmp_path: Path) -> None:
    """In LibriMix's words."""
    root = write_libri(tmp_path / "libri")
    shutil.rmtree(root / "dev")
    with pytest.raises(DataError, match="has no folder dev/ with mixtures, LibriMix's name for val; copy it, too"):
        open_corpus(root)


def test_mixtures_that_are_there_twice_are_trained_on_and_counted(
    training: Training, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three rows are listed again, one of them twice, under the same names or others, in files and in the pack.

    Four mixtures then repeat one before them.
    """
    head, *rows = table(broken).read_text().splitlines()
    for column, folder in FOLDERS.items():
        file = broken / "train" / folder / f"005_{column}.wav"
        if file.exists():
            shutil.copyfile(file, file.with_name(f"again_{column}.wav"))
    copied = rows[5].replace("005_", "again_")
    table(broken).write_text("\n".join([head, *rows, rows[0], rows[0], rows[7], copied]) + "\n")
    flags = ("--epochs", "1", "--train-limit", "2")
    assert training.here(tmp_path / "one" / "trial", *flags, data=broken) == 0
    assert f"note: {table(broken)}: 4 of 16 mixtures repeat an earlier one" in capsys.readouterr().out
    assert pack(["--data-dir", str(broken), "--out", str(tmp_path / "packed")]) == 0
    packed = open_corpus(tmp_path / "packed")
    assert (packed.train.repeated, packed.validation.repeated) == (4, 0)


def test_the_root_that_fits_is_named_where_the_whole_of_libri2mix_is_given(tmp_path: Path) -> None:
    """Of the four folders in it, the one of 8 kHz whose mixtures are as long as their shorter speaker."""
    root = tmp_path / "Libri2Mix"
    for folder in ("wav16k/max", "wav16k/min", "wav8k/max", "wav8k/min"):
        write_libri(root / folder, rate=16_000 if "16" in folder else 8000)
    with pytest.raises(DataError, match=rf"did you mean --data-dir {root}/wav8k/min\?"):
        open_corpus(root)
