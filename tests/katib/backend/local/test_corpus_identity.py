"""What a search knows its corpus by: the trainer's own fingerprint, and of other programs' corpora the tables."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from katib.backend.local.corpus import EARLIER
from katib.backend.local.launch import Launcher
from katib.backend.local.record import DATABASE
from katib.backend.local.run import run
from katib.backend.local.store import Store
from katib.errors import FolderError
from katib.manifest.experiment import load_experiment
from katib.manifest.render import render
from katib.site import load_site
from katib.spec import load_spec
from trainer.__main__ import main
from trainer.data.pack import main as pack

MANIFEST = render(load_spec("demo"), load_site().model_copy(update={"data_folder": ""}))


def start(data: Path, runs: Path, text: str = MANIFEST) -> Launcher:
    return Launcher(load_experiment(text, "test"), data, runs, (None,))


def test_it_is_what_the_trainer_says_of_files_and_packs(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two folders of packs, which have no table, are one corpus where they hold the same sound and two where they do
    not.
    """
    assert main(["fingerprint", "--data-dir", str(corpus)]) == 0
    expected = capsys.readouterr().out.strip()
    assert start(corpus, tmp_path).corpus() == expected
    assert pack(["--data-dir", str(corpus), "--out", str(tmp_path / "one")]) == 0
    other = Path(shutil.copytree(corpus, tmp_path / corpus.name))
    shutil.copyfile(other / "val/scene/000_sceneFile.wav", other / "val/scene/001_sceneFile.wav")
    assert pack(["--data-dir", str(other), "--out", str(tmp_path / "two")]) == 0
    assert start(tmp_path / "one", tmp_path).corpus() == expected
    assert start(tmp_path / "two", tmp_path).corpus() not in ("", expected)


def test_a_corpus_that_the_trainer_refuses_is_refused_in_its_words(tmp_path: Path) -> None:
    """Before any trial starts."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "some.csv").write_text("x\n")
    with pytest.raises(FolderError, match=r"^--data: .*data: has no folder train/"):
        start(tmp_path / "data", tmp_path).corpus()


@pytest.mark.parametrize(
    ("word", "other"),
    [('"trainer"', '"my.trainer"'), ('"/data"', '"/data/${trialParameters.lr}"')],
    ids=["another program", "a search among corpora"],
)
def test_other_programs_and_layouts_are_known_by_their_tables(word: str, other: str, tmp_path: Path) -> None:
    """In any place, whatever the tables hold."""
    text = MANIFEST.replace(f"- {word}\n", f"- {other}\n")
    assert text != MANIFEST
    for name, row in {"one": "mix_1", "moved": "mix_1", "other": "mix_2"}.items():
        (tmp_path / name / "any").mkdir(parents=True)
        (tmp_path / name / "any" / "list.csv").write_text(f"{row}\n")
    found = {name: start(tmp_path / name, tmp_path, text).corpus() for name in ("one", "moved", "other")}
    assert found["one"] == found["moved"] != found["other"]


def test_a_search_of_an_earlier_version_is_told(corpus: Path, tmp_path: Path) -> None:
    """It knew its corpus by a checksum of the tables."""
    launcher = start(corpus, tmp_path)
    launcher.folder.mkdir()
    Store.create(launcher.folder, replace(launcher.experiment.identity(), corpus="0" * 64)).close()
    assert (launcher.folder / DATABASE).exists()
    with pytest.raises(FolderError, match=EARLIER):
        run(launcher, "")
