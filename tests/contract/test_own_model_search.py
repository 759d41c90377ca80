"""docs/extend.md, "A model of your own": the example, really searched, confirmed, swept and fetched."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from katib.backend.local.table import read_table
from katib.conclude.confirmation import confirm_command
from katib.trainer_flags import own_model
from tests.verbs import katib
from trainer.inference import load
from trainer.models import registry

EXAMPLE = Path(__file__).parents[2] / "examples/own_model"
SPEC = "gru-mask.yaml"
SECONDS = 600
"""For a machine that does much else."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the current folder, a copy of the example, of which Python knows nothing else."""
    shutil.copytree(EXAMPLE, tmp_path / "own", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "own")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    own_model.cache_clear()
    registry._own_fields.cache_clear()
    return tmp_path / "own"


@pytest.mark.long
def test_a_model_of_ones_own_goes_the_whole_way(folder: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One trial of an epoch, and one of another seed; a sweep is refused before it trains anything."""
    data = ("--data", str(corpus))
    done = katib("local", SPEC, *data, "--trials", "1", "--epochs", "1", seconds=SECONDS)
    assert (done.returncode, done.stdout.count("1 Succeeded")) == (0, 1)
    (trial,) = json.loads(katib("results", SPEC, "--json").stdout)
    assert trial["assignments"].keys() == {"lr", "units", "mask"}

    assert confirm_command(read_table(Path("runs"), "gru-mask")) == "make confirm EXPERIMENT=x.yaml"
    unnamed = katib("confirm", "gru-mask", *data, "--yes")
    assert (unnamed.returncode, unnamed.stdout) == (2, "")
    assert "its trials train lab.gru_mask:MODEL, a module that would be run here; name the file" in unnamed.stderr
    assert unnamed.stderr.endswith("such as gru-mask.yaml\n")
    confirmed = katib("confirm", SPEC, *data, "--seeds", "42,7", "--top", "1", "--yes", seconds=SECONDS)
    assert "(mean of seeds 42, 7)" in confirmed.stdout

    Path("odd.yaml").write_text(Path(SPEC).read_text().replace("values: [16, 32]", "values: [32, 15]"))
    refused = katib("arch", "odd.yaml", *data, "--yes", seconds=SECONDS)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: next_phase.values: taps 15: taps must be even, not 15\n"
    assert not Path("runs/gru-mask-arch").exists()

    assert katib("fetch", "gru-mask", "--to", "best").returncode == 0
    assert "Python must find the module of lab.gru_mask:MODEL" in Path("best/README.md").read_text()
    monkeypatch.syspath_prepend(folder)
    assert load("best")(torch.rand(1, 999)).shape == (1, 2, 999)


def test_a_model_that_does_not_separate_starts_no_search(folder: Path, corpus: Path) -> None:
    file = Path("lab/gru_mask.py")
    file.write_text(file.read_text().replace("[..., self.hop : self.hop + samples]", ""))
    done = katib("local", SPEC, "--data", str(corpus))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: gru-mask: model lab.gru_mask:MODEL: forward maps mixtures [2, 4001] to [2, 2, 4048], expected"
        " estimates [2, 2, 4001]\n"
    )
    assert not Path("runs").exists()
