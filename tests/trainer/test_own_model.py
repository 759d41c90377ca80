"""A model outside this package, examples/own_model: trained, evaluated, loaded again; and what is wrong with others."""

import json
import pickle
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.trainer.training import Training
from trainer import config
from trainer.__main__ import main
from trainer.command_line import parse
from trainer.config import Run
from trainer.errors import ConfigError
from trainer.inference import load
from trainer.models import registry

EXAMPLE = Path(__file__).parents[2] / "examples/own_model"
WORD = "lab.gru_mask:MODEL"
SMALL = ("--model", WORD, "--units", "8", "--mask=relu")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yields the current folder, with the example's package in it; Python does not look there by itself."""
    shutil.copytree(EXAMPLE / "lab", tmp_path / "lab", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]
    sys.path_importer_cache.pop(str(tmp_path), None)
    registry._own_fields.cache_clear()
    config._with_fields.cache_clear()


def test_a_model_of_ones_own_is_trained_and_used_like_ours(
    lab: Path, training: Training, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fields are flags, its curriculum is used, and each verb that reads a checkpoint imports it again."""
    run_dir = lab / "runs" / "trial"
    assert training.here(run_dir, *SMALL, "--epochs", "1") == 0
    written = json.loads((run_dir / "config.json").read_text())
    assert (written["model"], written["units"], written["mask"], written["filters"]) == (WORD, 8, "relu", None)
    assert written["curriculum"] == WORD
    assert training.here(run_dir, *SMALL, "--epochs", "2") == 0
    assert "resumes epoch 2" in capsys.readouterr().out

    monkeypatch.syspath_prepend(lab)
    assert main(["evaluate", "--run-dir", str(run_dir), "--device", "cpu", "--wavs", "0"]) == 0
    soundfile.write(lab / "talk.wav", 0.1 * np.random.default_rng(0).standard_normal(4000), 8000)
    assert main(["separate", "talk.wav", "--checkpoint", str(run_dir), "--device", "cpu"]) == 0
    assert main(["export", "--checkpoint", str(run_dir), "--out", "model.pt"]) == 0
    assert load(run_dir)(torch.rand(1, 777)).shape == (1, 2, 777)


def test_a_checkpoint_says_what_is_missing_where_its_model_is_not(lab: Path, training: Training) -> None:
    """It is not looked for in the current folder, which may have come with the checkpoint."""
    assert training.here(lab / "trial", *SMALL, "--epochs", "1") == 0
    for name in ("lab", "lab.gru_mask"):
        del sys.modules[name]
    with pytest.raises(ConfigError, match=r"best\.pt: model lab\.gru_mask:MODEL: no module lab here; put the folder"):
        load(lab / "trial")
    assert "lab" not in sys.modules


def test_a_checkpoint_runs_no_module_without_a_model(lab: Path) -> None:
    """It names its model, so it could name any module; this one would end the tests."""
    (lab / "lab" / "harm.py").write_text("import os\nos._exit(1)\nMODEL = 3\n")
    with pytest.raises(ConfigError, match=r"harm\.py has no entry MODEL = Model\(…\)"):
        registry.find("lab.harm:MODEL")


@pytest.mark.parametrize("words", [["--model", WORD, "--units", "8"], ["--model", "dprnn", "--hidden-size", "8"]])
def test_a_training_can_be_sent_to_another_process(words: list[str], lab: Path) -> None:
    """As the processes of a training on several GPUs get theirs."""
    run = parse([*words, "--data-dir", "d", "--run-dir", "r"])
    assert isinstance(run, Run)
    sent = pickle.dumps(run)
    config._with_fields.cache_clear()
    received = pickle.loads(sent)
    assert repr(received) == repr(run)
    assert received.training.architecture == run.training.architecture


def test_the_help_lists_the_fields(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--model", WORD, "--help"])
    printed = capsys.readouterr().out
    assert "--units" in printed
    assert "GRU units in each direction." in printed
    assert "sigmoid" in printed


DEFECTS = {
    "no module": ({}, "labb.gru_mask:MODEL", "no module labb here; start in the folder that holds labb, or put that"),
    "no submodule": ({}, "lab.gru:MODEL", "no module lab.gru here"),
    "no entry": ({}, "lab.gru_mask:MODLE", "has no entry MODLE = Model(…); did you mean 'MODEL'?"),
    "no word": ({}, "lab/gru_mask.py:MODEL", "name a module and its entry, such as my_package.my_model:MODEL"),
    "no attribute": ({}, "lab.gru_mask:", "name a module and its entry"),
    "no Python": ({"class GruMask(": "class GruMask("[:-1] + "??("}, WORD, "cannot be read as Python (invalid syntax"),
    "import": ({"import torch\n": "import torchh\n"}, WORD, "cannot be imported (ModuleNotFoundError: No module named"),
    "no dataclass": (
        {'{"paper": GruMaskConfig(), "debug": GruMaskConfig(filters=32, units=16)}': '{"paper": 3}'},
        WORD,
        "cannot be imported (ValueError: the presets of a Model are one or more instances of one dataclass)",
    ),
    "shape": (
        {"[..., self.hop : self.hop + samples]": ""},
        WORD,
        "forward maps mixtures [2, 4001] to [2, 2, 4048], expected estimates [2, 2, 4001]",
    ),
    "forward": ({"frames.transpose(1, 2)": "frames"}, WORD, "forward fails on mixtures [2, 4001] (RuntimeError: "),
    "lazy": (
        {"nn.Linear(2 * config.units, ": "nn.LazyLinear("},
        WORD,
        "masks.weight has no size before the first forward, and a checkpoint needs it; write the sizes",
    ),
    "complex": (
        {"[..., self.hop : self.hop + samples]": "[..., self.hop : self.hop + samples] * 1j"},
        WORD,
        "forward returns torch.complex64, and estimates are real numbers",
    ),
    "no gradient": (
        {"[..., self.hop : self.hop + samples]": "[..., self.hop : self.hop + samples].detach()"},
        WORD,
        "no gradient reaches a parameter from what forward returns; look for detach(), no_grad() or",
    ),
    "network": ({"config.taps // 2": "config.tabs // 2"}, WORD, "its network cannot be built (AttributeError: "),
    "setting": (
        {"units: int": "seed: int"},
        WORD,
        "the field 'seed' of its config is a setting of the trainer; rename",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_what_is_wrong_with_a_model_is_one_line_before_anything_starts(
    defect: str, lab: Path, training: Training, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same for a training, which makes no run directory, and for `describe`."""
    replaced, word, expected = DEFECTS[defect]
    file = lab / "lab" / "gru_mask.py"
    for old, new in replaced.items():
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    for answer in (
        lambda: training.here(lab / "trial", "--model", word),
        lambda: main(["describe", "--model", word, "--preset", "debug"]),
    ):
        assert answer() == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: model {word}: ")
        assert expected in line
    assert not (lab / "trial").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--taps", "15"], "taps must be even, not 15"),
        (["--units", "many"], "--units"),
        (["--mask", "softmax"], "--mask"),
        (["--unit", "8"], "unknown argument '--unit', did you mean '--units'?"),
        (
            ["--hidden-size", "8"],
            "has no such field (dprnn, tfgridnet have it); its fields: --filters, --taps, --units, --mask",
        ),
        (["--preset", "huge"], "has no preset 'huge', valid: paper, debug"),
    ],
)
def test_a_value_that_its_config_does_not_take_is_one_line(
    words: list[str], expected: str, lab: Path, training: Training, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training.here(lab / "trial", "--model", WORD, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert not (lab / "trial").exists()
