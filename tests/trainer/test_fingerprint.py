"""The fingerprint of a corpus: all that is trained on and nothing else, at little cost where it was seen before."""

import csv
import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.tiny_corpus import FOLDERS
from tests.trainer.training import Training
from trainer.__main__ import main
from trainer.data.pack import main as pack
from trainer.data.readers import survey
from trainer.data.readers.corpora import open_corpus
from trainer.data.readers.seen import FORGETFUL, Memory
from trainer.data.readers.subset import load
from trainer.errors import DataError, DataFaultError


@pytest.fixture
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Returns a memory that also trusts files which have just been written."""
    monkeypatch.setattr(survey, "FRESH_NS", 0)
    return Memory((tmp_path / "memory",), lambda line: None)


def fingerprint(root: Path, memory: Memory = FORGETFUL) -> str:
    return open_corpus(root, memory).fingerprint()


def table(root: Path, subset: str) -> Path:
    return root / subset / f"corpus_{root.name}_{subset}_final.csv"


def change_one_sample(file: Path) -> None:
    """Changes a sample, but neither the size of the file nor its time of writing."""
    before = file.stat()
    samples = soundfile.read(file, dtype="int16")[0]
    samples[1234] ^= 1
    soundfile.write(file, samples, 8000, subtype="PCM_16")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


@pytest.mark.parametrize("subset", ["train", "val"])
@pytest.mark.parametrize("stem", FOLDERS)
def test_a_sample_of_any_stem_changes_it(subset: str, stem: str, broken: Path, remembered: Memory) -> None:
    """Of one mixture in the middle, though file, size and time of writing are the same and the corpus was seen."""
    before = fingerprint(broken, remembered)
    assert fingerprint(broken, remembered) == before
    change_one_sample(broken / subset / FOLDERS[stem] / f"002_{stem}.wav")
    assert fingerprint(broken, remembered) != before
    assert fingerprint(broken, remembered) == fingerprint(broken)


def test_order_and_number_of_the_mixtures_change_it(broken: Path, remembered: Memory) -> None:
    """The draws of an epoch go by the order, so another order is another training."""
    rows = table(broken, "train").read_text().splitlines()
    found = {fingerprint(broken, remembered)}
    for other in ([rows[0], rows[2], rows[1], *rows[3:]], rows[:-1], [*rows, rows[-1]]):
        table(broken, "train").write_text("\n".join(other) + "\n")
        found.add(fingerprint(broken, remembered))
    assert len(found) == 4


def test_place_names_dialect_and_storage_do_not_change_it(
    corpus: Path, broken: Path, tmp_path: Path, remembered: Memory
) -> None:
    """The root is renamed, files get other names and times, the CSV a byte order mark, CRLF, another order of columns,
    one more column and a blank line at its end; then the corpus is packed, and the pack lies elsewhere.
    """
    before = fingerprint(corpus)
    root = broken.rename(tmp_path / "data")
    for subset in ("train", "val"):
        (old,) = (root / subset).glob("*.csv")
        with old.open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            for column, name in row.items():
                if name:
                    source = root / subset / FOLDERS[column] / name
                    row[column] = f"new_{name}"
                    shutil.copyfile(source, source.with_name(row[column]))
                    source.unlink()
        columns = ["note", *reversed(FOLDERS)]
        with old.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, columns, restval="a, b", lineterminator="\r\n")
            writer.writeheader()
            writer.writerows(rows)
            file.write("\r\n")
    assert fingerprint(root, remembered) == before
    assert pack(["--data-dir", str(root), "--out", str(tmp_path / "packed")]) == 0
    assert fingerprint(tmp_path / "packed") == before


def test_packs_of_corpora_that_differ_in_one_event_differ(broken: Path, tmp_path: Path) -> None:
    """Nothing else tells two folders of packs apart."""
    assert pack(["--data-dir", str(broken), "--out", str(tmp_path / "one")]) == 0
    change_one_sample(broken / "val" / "event" / "003_eventFile.wav")
    assert pack(["--data-dir", str(broken), "--out", str(tmp_path / "two")]) == 0
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")


def test_what_was_seen_before_is_not_read_again(
    broken: Path, remembered: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mixture of each subset is read all the same, in case that the times lie; of the others one has changed."""
    before = fingerprint(broken, remembered)
    read: set[str] = set()
    headers: list[object] = []
    monkeypatch.setattr(survey, "SAMPLED", 1)
    monkeypatch.setattr(survey, "common_header", lambda *found: headers.append(found))
    plain = soundfile.read

    def counted(file: str, **options: object) -> object:
        read.add(Path(file).name[:3])
        return plain(file, **options)

    monkeypatch.setattr("trainer.data.readers.survey.soundfile.read", counted)
    assert fingerprint(broken, remembered) == before
    assert (read, headers) == ({"000"}, [])
    monkeypatch.undo()


def test_a_corpus_that_only_looks_like_the_one_that_was_seen_is_read(
    broken: Path, remembered: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an image of a file system without times of change, names, sizes, times and inodes may all be the same."""
    monkeypatch.setattr(survey, "stamp", lambda files: (str(next(iter(files))[0]), 0))
    before = fingerprint(broken, remembered)
    for file in (broken / "train" / "scene").iterdir():
        change_one_sample(file)
    assert fingerprint(broken, remembered) == fingerprint(broken) != before


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[" * 100_000,
        lambda text: '{"format": "sepsweep corpus memory 1", "mixtures": {"a": 1}}',
        lambda text: text.replace("4000", "3999"),
        lambda text: "\0\xff",
    ],
    ids=["empty", "half", "nested", "foreign", "another number", "binary"],
)
def test_a_damaged_memory_is_passed_over(spoil: Callable[[str], str], broken: Path, remembered: Memory) -> None:
    """It is then written again."""
    before = fingerprint(broken, remembered)
    files = sorted(remembered.folders[0].iterdir())
    whole = [file.read_text() for file in files]
    for file, text in zip(files, whole, strict=True):
        file.write_text(spoil(text))
    assert fingerprint(broken, remembered) == before
    assert [file.read_text() for file in files] == whole


def test_trainings_at_once_share_one_memory(broken: Path, remembered: Memory) -> None:
    """Eight of them, none of which finds it half written; the last one finds everything in it."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(fingerprint(broken, remembered))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [fingerprint(broken)] * 8
    assert len(list(remembered.folders[0].iterdir())) == 2
    assert all(len(remembered.recall(open_corpus(broken).train.source)) == 12 for _ in range(1))


def test_a_place_that_cannot_be_written_is_passed_over(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is taken; where there is none, a note says so and the fingerprint is right."""
    monkeypatch.setattr(survey, "FRESH_NS", 0)
    said: list[str] = []
    (tmp_path / "file").write_text("")
    fingerprint(broken, Memory((tmp_path / "file" / "in", tmp_path / "next"), said.append))
    assert said == []
    assert len(list((tmp_path / "next").iterdir())) == 2
    assert fingerprint(broken, Memory((tmp_path / "file",), said.append)) == fingerprint(broken)
    assert len(said) == 2
    assert "no cache folder can be written" in said[0]


def test_the_verb_prints_what_config_json_holds(
    training: Training, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text and as JSON; a corpus that is none ends with 2."""
    assert training.here(tmp_path / "trial", "--epochs", "1") == 0
    reported = json.loads((tmp_path / "trial" / "config.json").read_text())["corpus"]
    capsys.readouterr()
    assert main(["fingerprint", "--data-dir", str(corpus)]) == 0
    assert capsys.readouterr().out == f"{reported}\n"
    assert main(["fingerprint", "--data-dir", str(corpus), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "fingerprint": reported,
        "mixtures": {"train": 12, "val": 4},
    }
    assert main(["fingerprint", "--data-dir", str(tmp_path / "none")]) == 2
    assert "no such directory" in capsys.readouterr().err


def test_a_resume_on_other_targets_is_refused(
    training: Training, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One target of the validation has changed."""
    assert training.here(tmp_path / "trial", "--epochs", "1", data=broken) == 0
    change_one_sample(broken / "val" / "clean" / "001_speaker2File.wav")
    capsys.readouterr()
    assert training.here(tmp_path / "trial", "--epochs", "2", data=broken) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds another run, with corpus v2-" in line


def test_stems_that_were_replaced_after_packing_are_noticed(
    training: Training, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The training refuses the pack, and packing again replaces it by the new sound."""
    words = ["--data-dir", str(broken)]
    assert pack(words) == 0
    change_one_sample(broken / "train" / "clean" / "007_speaker1File.wav")
    capsys.readouterr()
    assert training.here(tmp_path / "trial", data=broken) == 2
    assert "train.pack: was packed from other files" in capsys.readouterr().err
    assert pack(words) == 0
    reported = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in reported] == ["packed", "already there, intact"]
    shutil.copytree(broken, tmp_path / "unpacked", ignore=shutil.ignore_patterns("*.pack"))
    assert fingerprint(broken) == fingerprint(tmp_path / "unpacked")


def test_a_run_directory_or_pack_of_an_earlier_version_is_told(
    training: Training, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each in one line that says what to do."""
    assert training.here(tmp_path / "trial", "--epochs", "1", data=broken) == 0
    config = tmp_path / "trial" / "config.json"
    content = json.loads(config.read_text()) | {"corpus": "0123456789abcdef-fedcba9876543210"}
    config.write_text(json.dumps(content))
    capsys.readouterr()
    assert training.here(tmp_path / "trial", "--epochs", "2", data=broken) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "was begun by an earlier version" in line
    assert pack(["--data-dir", str(broken)]) == 0
    pack_file = broken / "val.pack"
    pack_file.write_bytes(pack_file.read_bytes().replace(b"sepsweep pack 2", b"sepsweep pack 1", 1))
    with pytest.raises(DataError, match=r"val\.pack: is a pack of an earlier version; .*`make pack`"):
        open_corpus(broken)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20], ids=str)
@pytest.mark.parametrize(("subset", "stem"), [("train", "sceneFile"), ("val", "speaker1File"), ("val", "mixFile")])
def test_what_is_no_sound_is_refused_before_anything_is_written(
    value: float,
    subset: str,
    stem: str,
    training: Training,
    broken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One sample of one file; the training and `make pack` name file, line and sample."""
    file = broken / subset / FOLDERS[stem] / f"002_{stem}.wav"
    spoil(file, value)
    assert training.here(tmp_path / "trial", data=broken) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in (str(file), "line 4", "is no sound, sample 77 is")), line
    assert not (tmp_path / "trial").exists()
    assert pack(["--data-dir", str(broken)]) == 2
    assert str(file) in capsys.readouterr().err
    assert not (broken / f"{subset}.pack").exists()


def spoil(file: Path, value: float) -> None:
    samples = soundfile.read(file, dtype="float32")[0]
    samples[77] = value
    soundfile.write(file, samples, 8000, subtype="FLOAT")


def test_what_stops_being_sound_during_a_training_ends_with_5(
    training: Training,
    broken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never as diverged, and the run continues once the file is what it was."""
    from tests.trainer.test_survival import _after

    file = broken / "val" / "mix" / "001_mixFile.wav"
    soundfile.write(file, soundfile.read(file, dtype="float32")[0], 8000, subtype="FLOAT")
    whole = file.read_bytes()
    monkeypatch.setattr("trainer.training.train.hold", _after(lambda: spoil(file, np.nan)))
    assert training.here(tmp_path / "trial", data=broken) == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{file} (" in line
    assert "is no sound, sample 77 is nan" in line
    monkeypatch.undo()
    file.write_bytes(whole)
    assert training.here(tmp_path / "trial", data=broken) == 0


def test_a_pack_of_what_is_no_sound_ends_with_the_mixture_named(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the sample came into it."""
    file = broken / "val" / "clean" / "002_speaker1File.wav"
    spoil(file, np.inf)
    with monkeypatch.context() as patch:
        patch.setattr(survey, "fault", lambda samples: "")
        patch.setattr("trainer.data.readers.wav.fault", lambda samples: "")
        assert pack(["--data-dir", str(broken), "--out", str(tmp_path / "packed")]) == 0
    rows = open_corpus(tmp_path / "packed").validation.rows
    load(rows[1], "C", 0, 4000)
    load(rows[2], "C", 100, 3000)
    with pytest.raises(DataFaultError, match=r"val\.pack: mixture 2 is no sound, sample 27 is inf from 50 on"):
        load(rows[2], "C", 50, 3000)
