"""The epoch loop: what it writes and prints, when the learning rate falls, and how a training diverges."""

import math
from pathlib import Path

import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio

from tests.trainer.training import Training, summary
from trainer.data.readers.corpora import open_subset
from trainer.data.sampling import loader, validation_batches
from trainer.training.fit import Fit
from trainer.training.gradients import Gradients
from trainer.training.scores import Scores


def test_the_summary_tells_the_run(training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Best epoch, improvement and parameters follow from the history, the corpus and the model."""
    assert training.here(tmp_path / "trial", "--epochs", "2", "--lr", "5e-3") == 0
    reported = summary(tmp_path / "trial")
    values = [record["val_si_snr"] for record in reported["history"]]
    assert reported["best_val_si_snr"] == max(values)
    assert reported["best_epoch"] == values.index(max(values)) + 1
    assert reported["improvement_db"] == reported["best_val_si_snr"] - reported["mixture_val_si_snr"]
    assert (reported["state"], reported["epochs"], reported["seed"]) == ("finished", 2, 42)
    assert f"{reported['parameters']:,} parameters" in capsys.readouterr().out
    assert [record["epoch"] for record in reported["history"]] == [1, 2]
    assert all(math.isfinite(record["grad_norm"]) for record in reported["history"])


def test_the_mixture_is_scored_on_the_validation_set_itself(training: Training, corpus: Path, tmp_path: Path) -> None:
    """torchmetrics scores the unprocessed mixture against both references of each row."""
    assert training.here(tmp_path / "trial", "--epochs", "1") == 0
    batches = validation_batches(open_subset(corpus, "val").rows, ["SER", "SE"], frames=32_000, batch_size=9)
    (batch,) = loader(batches, frames=32_000, workers=0, pin=False)
    mixtures = batch.mixtures.unsqueeze(1).expand_as(batch.targets)
    expected = scale_invariant_signal_noise_ratio(mixtures, batch.targets).mean().item()
    assert summary(tmp_path / "trial")["mixture_val_si_snr"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("model", ["convtasnet", "dprnn", "sepformer"])
def test_training_separates(model: str, training: Training, tmp_path: Path) -> None:
    """Each debug preset, from one seed, lifts the validation of two simple voices above the unprocessed mixture within
    45 steps: a network that only has the right shape does not.
    """
    flags = ["--model", model, "--epochs", "15", "--lr", "1e-2", "--curriculum", "all"]
    assert training.here(tmp_path / "trial", *flags) == 0
    assert summary(tmp_path / "trial")["improvement_db"] > 6


@pytest.mark.parametrize(("curriculum", "first"), [("convtasnet", 5), ("all", 1)])
def test_the_learning_rate_falls_only_once_the_curriculum_lets_it(
    curriculum: str, first: int, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing ever improves: without patience the rate falls after each epoch from the second that the scheduler looks
    at, so that the epoch after that one trains with less.
    """
    monkeypatch.setattr(Fit, "_validate", lambda self, started: Scores(3.0, {}))
    flags = ["--lr-factor", "0.4", "--lr-patience", "0", "--curriculum", curriculum]
    assert training.here(tmp_path / "trial", *flags, "--epochs", str(first + 3)) == 0
    rates = [record["lr"] for record in summary(tmp_path / "trial")["history"]]
    assert rates == pytest.approx([1e-3] * (first + 1) + [4e-4, 1.6e-4])


def test_a_diverged_training_names_the_epoch_and_remedies(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loss is not a number: exit code 3, no metric line, and the state in the summary."""
    monkeypatch.setattr(Gradients, "__call__", lambda *_: torch.tensor(math.nan))
    assert training.here(tmp_path / "trial", "--epochs", "2") == 3
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert all(
        part in line for part in ("epoch 1, at a learning rate of 0.001", "nan", "--lr (now 0.001)", "--grad-clip-norm")
    )
    assert "val_si_snr" not in printed.out + line
    assert summary(tmp_path / "trial")["state"] == "diverged"


def test_workers_change_nothing_but_the_time(training: Training, tmp_path: Path) -> None:
    """Two reading processes give the very history that none gives."""
    histories = []
    for workers in ("0", "2"):
        assert training.here(tmp_path / workers, "--epochs", "2", "--workers", workers) == 0
        history = summary(tmp_path / workers)["history"]
        histories.append([(record["val_si_snr"], record["train_loss"]) for record in history])
    assert histories[0] == histories[1]


@pytest.mark.parametrize("model", ["convtasnet", "dprnn", "sepformer", "spmamba", "dpmamba", "tfgridnet"])
def test_bf16_trains_on_the_cpu_too(model: str, training: Training, tmp_path: Path) -> None:
    """The loss is taken in float32, so it stays finite; LSTM and scan work where oneDNN has no bf16 for them."""
    flags = ["--model", model, "--epochs", "1", "--precision", "bf16"]
    assert training.here(tmp_path / "trial", *flags) == 0
