"""`--validate`: the variants that decide, and those that are recorded beside them in each epoch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny_corpus import write_subset
from tests.trainer.training import Training
from trainer.__main__ import main
from trainer.data.mixing import VARIANTS


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of three trainings: as Series 3 validates, with all variants beside that, and with C alone beside it."""
    root = tmp_path_factory.mktemp("validate")
    for seed, (name, count) in enumerate({"train": 4, "val": 20}.items(), start=1):
        write_subset(root / "PolSESS_voices", name, count, 0.5, seed)
    training = Training(root / "PolSESS_voices")
    base = ["--epochs", "2", "--curriculum", "all", "--lr", "1e-2"]
    assert training.here(root / "series3", *base, "--validation-variants", "SER", "SE") == 0
    assert training.here(root / "all", *base, "--validate", "SER", "SE") == 0
    more = ["--validation-variants", "C", "SER", "--validate", "SER", "SE"]
    assert training.here(root / "one", *base, *more) == 0
    return root


def summary(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return content


def test_what_is_recorded_beside_decides_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every bit of the weights and scores is that of a training that was validated on SER and SE alone."""
    expected, found = summary(runs / "series3"), summary(runs / "all")
    for name in ("best_epoch", "best_val_si_snr", "mixture_val_si_snr", "improvement_db"):
        assert found[name] == expected[name]
    for before, after in zip(expected["history"], found["history"], strict=True):
        assert (after["val_si_snr"], after["lr"]) == (before["val_si_snr"], before["lr"])
        assert set(after["variants"]) == set(VARIANTS)
        assert {name: after["variants"][name] for name in ("SE", "SER")} == before["variants"]
    weights = [torch.load(runs / name / "best.pt", weights_only=True)["model"] for name in ("series3", "all")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_only_the_variants_that_are_listed_are_recorded(runs: Path) -> None:
    """Those that decide are always among them, whether they are listed or not."""
    expected, found = summary(runs / "series3"), summary(runs / "one")
    for before, after in zip(expected["history"], found["history"], strict=True):
        assert set(after["variants"]) == {"SER", "SE", "C"}
        assert after["val_si_snr"] == before["val_si_snr"]


def test_a_variant_beside_is_scored_as_evaluate_scores_it(runs: Path, tmp_path: Path) -> None:
    """Each mixture once, in a variant that is drawn from its number."""
    words = ["--run-dir", str(runs / "all"), "--out", str(tmp_path / "val"), "--wavs", "0", "--checkpoint", "last"]
    assert main(["evaluate", *words]) == 0
    scores = json.loads((tmp_path / "val" / "evaluation.json").read_text())["scores"]
    drawn: dict[str, list[float]] = {}
    for row in range(20):
        options = [one for one in scores if one["row"] == row and one["variant"] not in ("SER", "SE")]
        options.sort(key=lambda one: VARIANTS.index(one["variant"]))
        score = options[int(np.random.default_rng(row).integers(len(options)))]
        drawn.setdefault(score["variant"], []).append(score["si_snr"])
    recorded = summary(runs / "all")["history"][-1]["variants"]
    means = {name: float(np.mean(values)) for name, values in drawn.items()}
    assert {name: recorded[name] for name in means} == pytest.approx(means, abs=1e-3)


def test_the_config_says_what_decides_and_what_is_recorded(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --validate it is that of an earlier version, which knew nothing of it."""
    config = json.loads((runs / "all" / "config.json").read_text())
    assert (config["validate"], set(config["validation_variants"])) == (["SER", "SE"], set(VARIANTS))
    assert "validate" not in json.loads((runs / "series3" / "config.json").read_text())
    training, flags = Training(runs / "PolSESS_voices"), ["--epochs", "3", "--curriculum", "all", "--lr", "1e-2"]
    for name, variants in {"series3": "--validation-variants", "all": "--validate"}.items():
        assert training.here(runs / name, *flags, variants, "SER", "SE") == 0
        assert len(summary(runs / name)["history"]) == 3
    assert training.here(runs / "all", *flags, "--validate", "SER") == 2
    assert "validate ['SER', 'SE'] (requested: ['SER'])" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--validate", "SER", "SRE"], "--validate: unknown 'SRE', did you mean"),
        (["--validate", "SE", "SE"], "--validate: SE is given twice"),
        (["--validate"], "--validate"),
        (["--validate", "S", "--validation-limit", "0"], "--validation-limit: 0"),
        (["--validate", "SE"], "SER SR ER R C: choose among these for --validate"),
        (["--validate", "C", "--validation-variants", "C", "SE"], "choose among these for --validation-variants"),
    ],
)
def test_variants_that_do_not_fit_are_refused(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, before the run directory exists; the corpus has indoor mixtures alone."""
    root = tmp_path / "PolSESS_voices"
    for name in ("train", "val"):
        write_subset(root, name, 1, 0.1, 1)
    assert Training(root).here(tmp_path / "run", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line
    assert not (tmp_path / "run").exists()
