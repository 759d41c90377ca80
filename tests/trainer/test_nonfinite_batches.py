"""Batches whose loss or gradient is not finite are skipped, as in a plain loop that skips them."""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torchmetrics.functional.audio import permutation_invariant_training, scale_invariant_signal_noise_ratio

from tests.trainer.test_resume import assert_same, flat
from tests.trainer.training import Training as Trainer
from tests.trainer.training import stop_after_every_second_step, summary
from trainer.config import Training
from trainer.data.sampling import Batch
from trainer.models import build
from trainer.training import fit
from trainer.training.checkpoint import new_session
from trainer.training.gradients import Gradients
from trainer.training.group import ALONE


def is_poisoned(mixtures: Tensor) -> bool:
    """Returns True for about a third of all batches, whatever their order."""
    return int(mixtures[0].abs().sum().item() * 1000) % 3 == 0


def poisoned(how: str) -> Callable[..., Tensor]:
    """Gradients.__call__ for batches of which some have a loss, or a gradient alone, that is not finite."""
    plain = Gradients.__call__

    def call(self: Gradients, mixtures: Tensor, targets: Tensor, weight: float) -> Tensor:
        if not is_poisoned(mixtures):
            return plain(self, mixtures, targets, weight)
        if how == "loss":
            return plain(self, mixtures * math.nan, targets, weight)
        loss = plain(self, mixtures, targets, weight)
        next(self._network.parameters()).grad.view(-1)[0] = -math.inf  # type: ignore[union-attr]
        return loss

    return call


@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize("parts", [(), ("--micro-batch", "1")], ids=["whole", "in parts"])
def test_a_batch_that_is_not_finite_leaves_the_training_as_if_it_had_not_come(
    how: str, parts: tuple[str, ...], training: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain loop of torch's Adam and torchmetrics' SI-SNR, which passes over those batches, ends with the same
    weights, loss and gradient norm; the count is that of the batches passed over. In float64, where Adam's first steps
    do not depend on rounding.
    """
    taken: list[Batch] = []
    monkeypatch.setattr(Batch, "to", lambda batch, device: Batch(batch.mixtures.double(), batch.targets.double()))
    monkeypatch.setattr(Gradients, "__call__", poisoned(how))
    step = fit.Fit._step
    monkeypatch.setattr(fit.Fit, "_step", lambda self, batch, *rest: (taken.append(batch), step(self, batch, *rest))[1])
    flags = ["--epochs", "1", "--batch-size", "2", "--nonfinite-batches", "9", "--curriculum", "all", *parts]
    torch.set_default_dtype(torch.float64)
    try:
        assert training.here(tmp_path / "trial", *flags) == 0
        expected = plain_loop(taken, 1 if parts else 2)
    finally:
        torch.set_default_dtype(torch.float32)
    (reported,) = summary(tmp_path / "trial")["history"]
    assert 0 < expected["nonfinite_batches"] < len(taken)
    for name in ("nonfinite_batches", "mixtures", "train_loss", "grad_norm"):
        assert reported[name] == pytest.approx(expected[name], rel=1e-3), name
    weights = torch.load(tmp_path / "trial" / "last.pt", weights_only=True)["model"]
    torch.testing.assert_close(flat(weights), flat(expected["weights"]), rtol=1e-3, atol=1e-4)


def plain_loop(batches: list[Batch], rows: int) -> dict[str, Any]:
    """Trains one epoch on `batches`, without those of which a part of `rows` mixtures is poisoned."""
    torch.manual_seed(42)
    network = build("convtasnet", "debug").train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-5)
    losses, norms, left_out = [], [], 0
    for batch in batches:
        if any(is_poisoned(part) for part in batch.mixtures.split(rows)):
            left_out += 1
            continue
        optimizer.zero_grad()
        score, _ = permutation_invariant_training(
            network(batch.mixtures), batch.targets, scale_invariant_signal_noise_ratio
        )
        (-score.mean()).backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)))
        optimizer.step()
        losses.append(-score.mean().item())
    return {
        "nonfinite_batches": left_out,
        "mixtures": 2 * len(losses),
        "train_loss": sum(losses) / len(losses),
        "grad_norm": sum(norms) / len(norms),
        "weights": network.state_dict(),
    }


def test_a_run_stopped_after_each_batch_leaves_out_the_same_ones(
    training: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM comes after every second batch, some of them just skipped: bitwise the undisturbed run, with
    the same counts.
    """
    monkeypatch.setattr(Gradients, "__call__", poisoned("loss"))
    flags = ["--epochs", "2", "--batch-size", "2", "--nonfinite-batches", "9"]
    (tmp_path / "stopped").mkdir()
    assert training.here(tmp_path / "trial", *flags) == 0
    stop_after_every_second_step(monkeypatch)
    codes = [143]
    while codes[-1] == 143:
        codes.append(training.here(tmp_path / "stopped" / "trial", *flags))
    assert (codes[-1], len(codes) > 3) == (0, True)
    assert_same(tmp_path / "stopped" / "trial", tmp_path / "trial")
    assert summary(tmp_path / "trial")["nonfinite_batches"] > 0


def test_an_epoch_whose_batches_are_all_left_out_is_an_epoch(
    training: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three of three: it has no training loss, its validation is that of the weights as they were, and its line says
    how many batches it lacks. No line but the metric's holds the metric's name.
    """
    monkeypatch.setattr("test_nonfinite_batches.is_poisoned", lambda mixtures: True)
    monkeypatch.setattr(Gradients, "__call__", poisoned("loss"))
    assert training.here(tmp_path / "trial", "--epochs", "2", "--curriculum", "all", "--nonfinite-batches", "3") == 0
    reported = summary(tmp_path / "trial")
    assert [epoch["train_loss"] for epoch in reported["history"]] == [None, None]
    assert reported["history"][0]["val_si_snr"] == reported["history"][1]["val_si_snr"]
    assert reported["nonfinite_batches"] == 6
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "validation" in line and "3 batches skipped" in line]) == 2
    assert len([line for line in lines if "val_si_snr" in line]) == 2


def test_one_batch_more_ends_the_run_as_diverged(
    training: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, with the flag and the count; the summary has the line too. The limit is an epoch's."""
    monkeypatch.setattr("test_nonfinite_batches.is_poisoned", lambda mixtures: True)
    monkeypatch.setattr(Gradients, "__call__", poisoned("loss"))
    assert training.here(tmp_path / "trial", "--epochs", "2", "--curriculum", "all", "--nonfinite-batches", "2") == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "the loss is nan in 3 batches of the epoch; --nonfinite-batches allows 2" in line
    reported = summary(tmp_path / "trial")
    assert (reported["state"], f"error: {reported['reason']}") == ("diverged", line)


def test_the_scaler_of_fp16_hears_nothing_of_a_loss_that_is_not_finite() -> None:
    """Its scale and its count of good steps stay.

    A gradient that its own scale made infinite is no skipped batch, and halves it.
    """
    training = Training(model="convtasnet", preset="debug", batch_size=2)
    session = new_session(training, torch.device("cpu"))
    session.scaler = GradScaler("cpu", init_scale=4.0)
    gradients = Gradients(session.model, "fp32", session.scaler, 2, record=False)
    run = SimpleNamespace(training=training, rows=2, nonfinite_batches=5)
    given: dict[str, Any] = {"run": run, "session": session, "gradients": gradients, "group": ALONE}
    parts: dict[str, Any] = {field.name: given.get(field.name) for field in fields(fit.Fit)}
    loop = fit.Fit(**parts)
    good = Batch(torch.randn(2, 2000), torch.randn(2, 2, 2000))
    bad = Batch(good.mixtures * math.nan, good.targets)

    def state() -> dict[str, Any]:
        return deepcopy(
            {"scaler": session.scaler.state_dict(), "model": session.model.state_dict()}
            | {"optimizer": session.optimizer.state_dict()}
        )

    partial = session.progress.partial
    loop._step(good, 2, 1, partial)
    before = state()
    loop._step(bad, 2, 1, partial)
    torch.testing.assert_close(flat(state()), flat(before), rtol=0, atol=0)
    assert (partial.nonfinite_batches, partial.steps, partial.mixtures) == (1, 1, 2)
    session.scaler.update(1e38)
    loop._step(Batch(good.mixtures * 1e-3, good.targets), 2, 1, partial)
    assert partial.nonfinite_batches == 1
    assert session.scaler.get_scale() < 1e38
