"""The debug preset of each model on the corpus of `make demo`: synthetic voices, noise and rooms, unseen voices in validation."""

import json
from pathlib import Path

import pytest
from conftest import Training

from trainer.data.corpus.__main__ import main as build

MIXTURES, SECONDS, BATCH = 300, "2", 4
"""As katib/specs/demo.yaml and `make corpus` have them: 75 steps an epoch."""

RISE = {"convtasnet": 0.4, "dprnn": 0.2, "sepformer": 0.25, "spmamba": 0.1}
"""dB over the unprocessed mixtures. Untrained, each lies more than 10 dB below them."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "demo"
    assert build(["--out", str(out), "--mixtures", str(MIXTURES), "--seconds", SECONDS]) == 0
    return out


@pytest.mark.parametrize("model", RISE)
def test_75_steps_raise_si_snr(model: str, demo: Path, training: Training, tmp_path: Path) -> None:
    """Of voices that the training never heard, in both validation variants, from one seed."""
    flags = ["--model", model, "--epochs", "1", "--batch-size", str(BATCH), "--lr", "4e-3"]
    flags += ["--curriculum", "all", "--segment-seconds", SECONDS]
    assert training.here(tmp_path / "trial", *flags, data=demo) == 0
    summary = json.loads((tmp_path / "trial" / "summary.json").read_text())
    assert summary["history"][0]["mixtures"] == MIXTURES
    assert summary["improvement_db"] > RISE[model]
