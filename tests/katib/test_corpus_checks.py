"""The result of corpus-check is found again by the fingerprint of the corpus, and said in one line."""

import json
import shutil
from pathlib import Path

import pytest

from katib.__main__ import main
from katib.backend.local.run import run
from katib.corpus_checks import FOLDER, copied_line, corpus_line, note_copy
from tests.katib.backend.local.test_corpus_identity import start
from tests.tiny_corpus import write_subset
from tests.verbs import katib

UNCHECKED = "corpus not checked: make corpus-check DATA="


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus two of whose test mixtures are in train, too."""
    root = tmp_path_factory.mktemp("corpus") / "PolSESS_doubled"
    for seed, (name, mixtures) in enumerate({"train": 6, "val": 3, "test": 3}.items()):
        write_subset(root, name, mixtures, 2.5, seed)
    for wav in (root / "train").glob("*/00[12]_*.wav"):
        shutil.copyfile(wav, root / "test" / wav.relative_to(root / "train"))
    return root


def test_a_check_is_found_by_the_fingerprint_wherever_the_corpus_lies(doubled: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    done = katib("corpus-check", "--data", str(doubled), "--out", str(runs))
    assert done.returncode == 1, done.stderr
    fingerprint = start(doubled, runs).corpus()
    assert list((runs / FOLDER).iterdir()) == [runs / FOLDER / f"{fingerprint}.json"]
    moved = Path(shutil.copytree(doubled, tmp_path / doubled.name))
    line = corpus_line(runs, start(moved, runs).corpus(), "x")
    assert line.startswith("corpus checked on ")
    assert line.endswith(": 2 duplicates across train and test, 4 duplicates of speech across train and test")
    # A claim of a cluster is known by the folder that was copied to it.
    place = "https://cluster lab/data/corpus"
    assert copied_line(runs, place) == f"{UNCHECKED}…"
    note_copy(runs, place, doubled)
    assert copied_line(runs, place) == line
    note_copy(runs, "https://other lab/data/corpus", moved)
    assert copied_line(runs, "https://other lab/data/corpus") == f"{UNCHECKED}{moved}"


def test_plan_says_whether_the_corpus_was_checked_before_its_search_has_begun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "polsess"
    words = ["plan", "dprnn", "--out", str(tmp_path)]
    assert main([*words, "--data", str(data)]) == 2
    assert "no such folder" in capsys.readouterr().err
    (data / "train").mkdir(parents=True)
    assert main([*words, "--data", str(data)]) == 0
    assert UNCHECKED in capsys.readouterr().out
    found = {"fingerprint": "v2-0-0", "checked": 1.79e9, "data_dir": str(data), "mixtures": {}, "found": []}
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "v2-0-0.json").write_text(json.dumps(found))
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--data", "polsess"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert main(words) == 0
    assert "corpus" not in capsys.readouterr().out


def test_a_search_says_whether_its_corpus_was_checked(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("katib.backend.local.run.Engine.run", lambda engine: None)
    search = start(corpus, tmp_path / "runs")
    run(search, "")
    assert f"{UNCHECKED}{corpus}\n" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", '{"fingerprint": "v2-0-0", "checked": 1e300}', "\0"])
def test_a_damaged_or_foreign_record_is_no_check(content: str, tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "v2-0-0.json").write_text(content)
    (tmp_path / FOLDER / "copies.json").write_text(content)
    assert corpus_line(tmp_path, "v2-0-0") == f"{UNCHECKED}…"
    assert copied_line(tmp_path, "here") == f"{UNCHECKED}…"


def test_no_other_file_is_read_and_control_characters_are_not_shown(tmp_path: Path) -> None:
    found = [{"kind": "mixture\x1b[31m", "subsets": ["train\n"], "count": 1}]
    record = {"fingerprint": "v2-0-0", "checked": 1.0, "data_dir": "", "mixtures": {}, "found": found}
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "v2-0-0.json").write_text(json.dumps(record))
    assert corpus_line(tmp_path, "v2-0-0").endswith(": 1 mixture [31m in train ")
    assert corpus_line(tmp_path, "../v2-0-0") == corpus_line(tmp_path, "") == corpus_line(tmp_path, "0" * 64) == ""


def test_a_corpus_that_no_training_reads_is_checked_without_a_record(tmp_path: Path) -> None:
    write_subset(tmp_path / "data", "test", 2, 2.5, 0)
    done = katib("corpus-check", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "runs"))
    assert done.returncode == 0
    assert not (tmp_path / "runs").exists()


def test_no_file_beyond_a_link_in_the_runs_folder_is_written(doubled: Path, tmp_path: Path) -> None:
    runs, other = tmp_path / "runs", tmp_path / "other"
    other.write_text("mine")
    (runs / FOLDER).mkdir(parents=True)
    record = f"{start(doubled, tmp_path / 'first').corpus()}.json"
    (runs / FOLDER / f"{record}.new").symlink_to(other)
    assert katib("corpus-check", "--data", str(doubled), "--out", str(runs)).returncode == 1
    assert other.read_text() == "mine"
    assert [file.name for file in (runs / FOLDER).iterdir()] == [record]


def test_a_file_for_a_runs_folder_is_refused_before_anything_is_read(doubled: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = katib("corpus-check", "--data", str(doubled), "--out", str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --out {tmp_path / 'file'}: is no folder; name that of the runs, such as runs\n"
