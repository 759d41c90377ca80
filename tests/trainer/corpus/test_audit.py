"""The check of a whole corpus: every planted fault is found, and a sound corpus has none."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.tiny_corpus import FOLDERS, RATE, write_subset
from trainer.data.audit.__main__ import audit, main
from trainer.data.pack import pack
from trainer.data.readers.speakers import COLUMN, NAMES

PLANTED = 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "PolSESS_audit"
    for seed, (name, mixtures) in enumerate({"train": 30, "val": 14, "test": 8}.items()):
        write_subset(root, name, mixtures, 2.5, seed)
    return root


def stems(root: Path, subset: str, index: int) -> dict[str, Path]:
    files = {column: root / subset / folder / f"{index:03d}_{column}.wav" for column, folder in FOLDERS.items()}
    return {column: file for column, file in files.items() if file.exists()}


def change(file: Path, samples: np.ndarray) -> None:
    soundfile.write(file, samples, RATE, subtype="PCM_16")


def test_a_sound_corpus_has_no_findings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data-dir", str(root)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split() == ["mixtures", "30", "14", "8"]
    assert printed.endswith("nothing is wrong\n")


def test_planted_duplicates_are_found_and_no_others(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten within train, ten of train in val: each shifted by up to a second, scaled, and with noise 30 dB below."""
    draw = np.random.default_rng(3)
    copies = [(("train", 2 * k), ("train", 2 * k + 20) if k < 5 else ("val", 2 * k - 10)) for k in range(10)]
    copies += [((one, index + 1), (other, place + 1)) for (one, index), (other, place) in copies]
    assert len(copies) == PLANTED
    for (one, index), (other, place) in copies:
        shift, scale = int(draw.integers(-RATE, RATE + 1)), draw.uniform(0.3, 1.5)
        for column, file in stems(root, one, index).items():
            samples = soundfile.read(file)[0]
            copy = np.zeros_like(samples)
            begin, end = max(0, shift), len(copy) + min(0, shift)
            copy[begin:end] = scale * samples[begin - shift : end - shift]
            noise = draw.standard_normal(len(copy)) * np.sqrt(np.mean(copy**2) / 1000)
            change(stems(root, other, place)[column], copy + noise)
    assert main(["--data-dir", str(root), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    twice = [finding for finding in answer["findings"] if finding["kind"] == "mixture"]
    found = {(finding["where"].split("_")[0], finding["detail"].split(": ")[1][:3]) for finding in twice}
    expected = {(f"{other}: {place:03d}", f"{index:03d}") for (_, index), (other, place) in copies}
    assert found == expected
    assert len(twice) == PLANTED
    across = {finding["note"] for finding in answer["findings"] if finding["kind"] == "speech"}
    assert across == {True, False}, "the same speech within train is a note, in train and val it is wrong"


def test_a_pack_is_checked_like_its_files(root: Path, tmp_path: Path) -> None:
    for column, file in stems(root, "train", 2).items():
        stems(root, "val", 4)[column].write_bytes(file.read_bytes())
    for subset in ("train", "val"):
        assert pack(root, subset, tmp_path / "packs")
    sizes, findings = audit(tmp_path / "packs")
    assert sizes == {"train": 30, "val": 14}
    assert {(one.kind, one.where) for one in findings} == {
        (kind, "val.pack, mixture 5") for kind in ("mixture", "speech")
    }


def test_each_fault_of_one_mixture_is_named(root: Path) -> None:
    def scaled(index: int, column: str, factor: float, offset: float = 0) -> None:
        file = stems(root, "train", index)[column]
        change(file, np.clip(factor * soundfile.read(file)[0] + offset, -1, 1))

    scaled(0, "speaker1File", 0)
    scaled(1, "mixFile", 0.5)
    scaled(2, "mixFile", 30)
    scaled(3, "speaker2File", 1, 0.05)
    scaled(3, "mixFile", 1, 0.05)
    soundfile.write(stems(root, "train", 4)["mixFile"], np.zeros(100), 2 * RATE, subtype="PCM_16")
    change(stems(root, "train", 5)["sceneFile"], np.full(100, 0.1))
    found = {(finding.kind, finding.where.split()[1][:3]) for finding in audit(root)[1]}
    expected = {("silence", "000"), ("sum", "000"), ("sum", "001"), ("sum", "002"), ("clipping", "002")}
    assert found == expected | {("offset", "003"), ("file", "004"), ("file", "005")}


def name_speakers(root: Path, **names: str) -> None:
    """Writes the two speakers of each subset into its CSV."""
    for subset, pair in names.items():
        table = root / subset / f"corpus_{root.name}_{subset}_final.csv"
        head, *lines = table.read_text().splitlines()
        table.write_text("\n".join([f"{head},speaker1_id,speaker2_id", *(f"{line},{pair}" for line in lines)]) + "\n")


def test_speakers_of_two_subsets_are_found_where_the_csv_names_them(root: Path) -> None:
    name_speakers(root, train="Ada,Jan", val="Ola,Jan", test="Iza,Ewa")
    table = root / "train" / f"corpus_{root.name}_train_final.csv"
    table.write_text(table.read_text().replace("Ada", "Leo", 1))
    (finding,) = audit(root)[1]
    assert (finding.kind, finding.subset, finding.where) == ("speaker", "val", "speaker Jan")


def test_people_who_are_too_few_to_keep_apart_are_a_note(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four for three subsets, as `make corpus` divides them: nothing is wrong, and what the scores are worth is said."""
    name_speakers(root, train="Ada,Jan", val="Ola,Jan", test="Iza,Jan")
    assert main(["--data-dir", str(root)]) == 0
    notes = [line for line in capsys.readouterr().out.splitlines() if "note: " in line]
    assert len(notes) == 3
    assert notes[0] == (
        "  note: 1 of 4 speakers: speak in train, too; it takes 6 to keep them apart, so val says nothing of other voices"
    )


def test_which_columns_and_names_tell_a_speaker() -> None:
    assert all(COLUMN.fullmatch(column) for column in ("speaker1_id", "speaker_2_ID", "speaker1Id", "speaker1"))
    assert not any(COLUMN.fullmatch(column) for column in (*FOLDERS, "source_1_path", "source_1_gain"))
    for file, named in (
        ("103-1240-0000_1235-135887-0017.wav", ("103", "1235")),
        ("011a0101_1.8669_422a030m_-1.8669.wav", ("011", "422")),
    ):
        assert [match.groups() for names in NAMES if (match := names.fullmatch(file))] == [named]


def test_what_is_no_corpus_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data-dir", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'none'}: no such directory")
    assert main(["--data-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
