"""A model that nobody here has heard of: one file in trainer/models/, one spec, and nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verbs import environment, katib

ROOT = Path(__file__).parents[2]

MODEL = '''"""A mask from one convolution over the samples."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.models.registry import Curriculum, Model


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """Architecture of the toy."""

    taps: int = 17
    """Samples that a mask depends on, odd."""
    bias: bool = True


class Toy(nn.Module):
    """Mixture [B, T] to estimates [B, 2, T]."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.masks = nn.Conv1d(1, 2, config.taps, padding=config.taps // 2, bias=config.bias)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the estimates."""
        return torch.sigmoid(self.masks(mixture.unsqueeze(1))) * mixture.unsqueeze(1)  # [B, 2, T]


MODEL = Model(
    network=Toy,
    presets={"paper": ToyConfig(), "debug": ToyConfig(taps=5)},
    curriculum=Curriculum.of((1, "C"), (2, "SER SE")),
)
'''

SPEC = """name: toy
model: toy
trials: 2
epochs: 1
hours_per_run: 0.01
max_failed_trials: 1
algorithm:
  name: random
early_stopping:
  name: medianstop
  min_trials_required: 1
  start_step: 1
search:
  lr:
    min: 1.0e-4
    max: 1.0e-2
    distribution: logUniform
    why: A toy learns at any rate.
fixed:
  preset: debug
  taps: 9
  curriculum: toy
  batch_size: 4
"""


def in_tree(tree: Path, *words: str) -> str:
    """Returns what `python -m` prints in the copied tree; whatever it prints on stderr fails the test."""
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=tree, env=environment(), capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Returns a copy of the project, of what a search on this machine needs."""
    for folder in ("katib", "trainer"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "k8s").mkdir()
    shutil.copy(ROOT / "k8s/site.yaml", tmp_path / "k8s")
    return tmp_path


@pytest.mark.long
def test_a_model_is_one_file_and_one_spec(tree: Path, corpus: Path) -> None:
    """Nothing else is touched: the search trains, with a field of the toy's config and with its curriculum."""
    (tree / "trainer/models/toy.py").write_text(MODEL)
    (tree / "katib/specs/toy.yaml").write_text(SPEC)
    in_tree(tree, "katib", "local", "toy", "--data", str(corpus), "--out", str(tree / "runs"))
    trials = json.loads(katib("results", "toy", "--out", str(tree / "runs"), "--json").stdout)
    assert [trial["state"] for trial in trials] == ["Succeeded", "Succeeded"]
    for trial in trials:
        config = json.loads((tree / "runs/toy" / trial["trial"] / "config.json").read_text())
        assert (config["model"], config["taps"], config["curriculum"]) == ("toy", 9, "toy")
