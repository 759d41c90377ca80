"""examples/spirals, a PyTorch trainer of one's own, really run: int, choice and bool ranges, and it goes on."""

import json
import os
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from katib.manifest.experiment import load_experiment
from tests.verbs import katib

pytestmark = pytest.mark.long
EXAMPLE = Path(__file__).parents[2] / "examples/spirals"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of the example after a search of two trials of two epochs."""
    folder = tmp_path_factory.mktemp("spirals") / "spirals"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("runs"))
    with pytest.MonkeyPatch.context() as patch:
        enter(patch, folder)
        done = katib("local", "spirals.yaml", "--trials", "2", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "2 Succeeded" in done.stdout
    return folder


@pytest.fixture
def folder(searched: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of the search, which is the current one."""
    enter(monkeypatch, searched)
    return searched


def enter(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Makes `folder` the current one, and this interpreter, which has PyTorch, that of the command."""
    patch.chdir(folder)
    patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def test_its_trials_take_values_of_every_type(folder: Path) -> None:
    rows = json.loads(katib("results", "spirals", "--format", "json").stdout)
    assert [row["epochs"] for row in rows] == [2, 2]
    for row in rows:
        settings = row["assignments"]
        assert int(settings["width"]) in range(8, 65)
        assert settings["activation"] in ("relu", "tanh", "silu")
        assert settings["norm"] in ("True", "False")
        assert 20 < row["accuracy"] <= 100


def test_a_pod_that_fails_starts_it_again(folder: Path) -> None:
    text = katib("render", "spirals.yaml").stdout
    (folder / "manifest.yaml").write_text(text)
    assert katib("check", "manifest.yaml").stdout == "manifest.yaml: nothing found\n"
    assert load_experiment(text, "spirals").template.backoff_limit == 3


def test_its_best_is_trained_further_from_a_copy_of_its_checkpoint(folder: Path) -> None:
    done = katib("extend", "spirals.yaml", "--epochs", "3", "--yes")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(katib("results", "spirals-extend-3", "--format", "json").stdout)
    *settings, seed, source = row["assignments"]["run"].split(",")
    assert (seed, row["epochs"]) == ("seed=42", 3)
    trial = source.rsplit("/", 1)[1]
    before, after = (folder / "runs" / "spirals" / trial), (folder / "runs/spirals-extend-3" / row["trial"])
    printed = (before / "output.log").read_text().splitlines()
    assert len(printed) == 2
    # It goes on with the history that it printed again, and leaves the search as it was.
    assert (after / "output.log").read_text().splitlines()[:2] == printed
    (earlier,) = (
        one for one in json.loads(katib("results", "spirals", "--format", "json").stdout) if one["trial"] == trial
    )
    assert [f"{name}={text}" for name, text in earlier["assignments"].items()] == settings
    assert row["metrics"]["accuracy"]["value"][:2] == earlier["metrics"]["accuracy"]["value"]
    assert "no error" not in katib("extend", "spirals.yaml", "--epochs", "3", "--json").stderr


def test_it_goes_on_as_if_it_had_never_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(epochs: int, out: str) -> list[str]:
        words = ["--rate=0.01", "--width=8", "--norm=True", f"--epochs={epochs}", f"--out={out}"]
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        runpy.run_path("train.py", run_name="__main__")
        return capsys.readouterr().out.splitlines()

    first = trained(1, "parts")
    again = trained(3, "parts")
    assert again[:1] == first
    assert again == trained(3, "whole")
