"""The debug preset of each model on the corpus of `make demo`: synthetic voices, noise and rooms, unseen voices in
validation.
"""

import json
from pathlib import Path

import pytest

from tests.trainer.training import Training
from trainer.data.corpus.__main__ import main as build

MIXTURES, SECONDS = 300, "2"
"""As `make corpus` and katib/specs/demo.yaml have them."""
TRAINED, BATCH, SEGMENT = 150, 2, "1"
"""75 steps on excerpts of a second, which SPMamba's scan goes through in seconds on a CPU."""

RISE = {"convtasnet": 0.4, "dprnn": 0.2, "sepformer": 0.25, "spmamba": 0.1, "dpmamba": 0.2, "tfgridnet": 0.25}
"""dB over the unprocessed mixtures. Untrained, each lies more than 10 dB below them."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "demo"
    assert build(["--out", str(out), "--mixtures", str(MIXTURES), "--seconds", SECONDS]) == 0
    return out


@pytest.mark.long
@pytest.mark.parametrize("model", RISE)
def test_75_steps_raise_si_snr(model: str, demo: Path, training: Training, tmp_path: Path) -> None:
    """Of voices that the training never heard, in both validation variants, from one seed."""
    flags = ["--model", model, "--epochs", "1", "--batch-size", str(BATCH), "--lr", "4e-3"]
    flags += ["--curriculum", "all", "--segment-seconds", SEGMENT, "--train-limit", str(TRAINED)]
    assert training.here(tmp_path / "trial", *flags, data=demo) == 0
    summary = json.loads((tmp_path / "trial" / "summary.json").read_text())
    assert summary["history"][0]["mixtures"] == TRAINED
    assert summary["improvement_db"] > RISE[model]
