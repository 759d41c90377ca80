"""When the learning rate falls, when patience ends a run and which batches are left out: each as a plain loop says that is
written here, from PyTorch's documentation of ReduceLROnPlateau and the published training's rules."""

import json
import math
import os
import random
import re
import signal
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Training as Trainer
from hypothesis import given, settings
from hypothesis import strategies as st
from test_resume import assert_same, flat
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torchmetrics.functional.audio import permutation_invariant_training, scale_invariant_signal_noise_ratio

from trainer import checkpoint, fit
from trainer.checkpoint import new_session
from trainer.config import Training
from trainer.data.sampling import Batch
from trainer.gradients import Gradients
from trainer.models import build
from trainer.progress import EpochRecord, Progress


def summary(run_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    return content


@st.composite
def curves(draw: st.DrawFn) -> list[float]:
    """Validations in dB: a walk around any level, below zero too, with ties and with steps about as large as the
    threshold of 1e-4 of the level."""
    value = draw(st.sampled_from([-12.0, -1.0, 0.0, 1e-3, 5.0, 14.0]))
    near = st.sampled_from([0.0, 1e-4, -1e-4, 0.999e-4, 1.001e-4, -1.001e-4, 1e-12, -1e-12])
    steps = st.one_of(near.map(lambda step: step * abs(value)), near, st.floats(-1, 1))
    curve = [value]
    for step in draw(st.lists(steps, min_size=0, max_size=40)):
        curve.append(curve[-1] + step)
    if draw(st.booleans()):
        curve += [max(curve)] * 3
    return curve


@given(curve=curves(), patience=st.integers(0, 4), factor=st.floats(0.3, 0.8))
@settings(deadline=None)
def test_the_learning_rate_falls_by_the_relative_threshold(
    curve: list[float], patience: int, factor: float
) -> None:
    """PyTorch's default for mode max: better is what exceeds best * 1.0001, also below zero, where that is lower than
    the best; after more than `patience` epochs that are not, the rate falls and the count begins anew."""
    rate, best, bad, expected = 3e-3, -math.inf, 0, []
    for value in curve:
        if value > best * (1.0 + 1e-4):
            best, bad = value, 0
        else:
            bad += 1
        if bad > patience:
            bad = 0
            if rate - rate * factor > 1e-8:
                rate *= factor
        expected.append(rate)
    training = Training(model="convtasnet", preset="debug", lr=3e-3, lr_factor=factor, lr_patience=patience)
    session = new_session(training, torch.device("cpu"))
    rates = []
    for value in curve:
        session.scheduler.step(value)
        rates.append(session.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx(expected, rel=1e-12)


def test_a_run_begun_with_the_absolute_threshold_keeps_it_and_says_so(tmp_path: Path) -> None:
    """A checkpoint of the version before: one training follows one rule to its end."""
    training = Training(model="convtasnet", preset="debug")
    session = new_session(training, torch.device("cpu"))
    (tmp_path / "last.pt").write_bytes(checkpoint.dump(session, {}))
    assert checkpoint.resume(session, tmp_path, {}) == []
    session.scheduler.threshold_mode = "abs"
    (tmp_path / "last.pt").write_bytes(checkpoint.dump(session, {}))
    again = new_session(training, torch.device("cpu"))
    (note,) = checkpoint.resume(again, tmp_path, {})
    assert "absolute" in note
    assert again.scheduler.threshold_mode == "abs"


def record(epoch: int, value: float) -> EpochRecord:
    return EpochRecord(epoch, "", value, 0.0, 1e-3, 1.0, 1.0, {}, 1, 0.0)


@given(curve=curves(), patience=st.one_of(st.none(), st.integers(1, 12)), epochs=st.integers(1, 45))
def test_patience_counts_epochs_that_are_not_strictly_better(
    curve: list[float], patience: int | None, epochs: int
) -> None:
    """The published loop: a counter that a strictly better validation sets back ends the run when it reaches patience. A
    tie is not better. The last epoch of all is no early end."""
    best, best_epoch, waited, done = -math.inf, 0, 0, 0
    for value in curve[:epochs]:
        done += 1
        if value > best:
            best, best_epoch, waited = value, done, 0
        else:
            waited += 1
        if patience is not None and waited >= patience:
            break
    progress = Progress(0.0)
    while len(progress.history) < len(curve) and not progress.finished(epochs, patience):
        progress.history.append(record(progress.epoch, curve[progress.epoch - 1]))
    assert len(progress.history) == done
    reason = progress.patience_reason(epochs, patience)
    if patience is not None and waited >= patience and done < epochs:
        assert reason is not None
        assert re.match(rf"patience: no better epoch than {best_epoch} in {patience} epochs?$", reason)
    else:
        assert reason is None


def test_a_run_that_patience_ended_says_so_and_a_larger_one_continues_it(
    trainer: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last line and summary.json name the reason; started again it replays its epochs and ends with 0; with more
    patience, or more epochs after a run that had them all, it is the run that had been asked for more at once."""
    flags = ["--lr", "1e-12", "--epochs", "7"]
    assert trainer.here(tmp_path / "trial", *flags, "--patience", "2") == 0
    first, told = capsys.readouterr().out, summary(tmp_path / "trial")
    reason = f"patience: no better epoch than {told['best_epoch']} in 2 epochs"
    assert (told["state"], told["reason"]) == ("finished", reason)
    assert reason in first.splitlines()[-1]
    assert trainer.here(tmp_path / "trial", *flags, "--patience", "2") == 0
    replayed = capsys.readouterr().out
    assert reason in replayed.splitlines()[-1]
    epochs = [[line for line in text.splitlines() if "val_si_snr=" in line] for text in (first, replayed)]
    assert epochs[0] == epochs[1]
    assert summary(tmp_path / "trial") == told
    assert trainer.here(tmp_path / "trial", *flags, "--patience", "3") == 0
    assert trainer.here(tmp_path / "trial", *flags) == 0
    assert summary(tmp_path / "trial")["reason"] is None
    (tmp_path / "at once").mkdir()
    assert trainer.here(tmp_path / "at once" / "trial", *flags) == 0
    assert_same(tmp_path / "trial", tmp_path / "at once" / "trial")


# --- batches that are not finite ------------------------------------------------------------------------------------


@pytest.fixture(name="trainer")
def _trainer(training: Trainer) -> Trainer:
    return training


def is_poisoned(mixtures: Tensor) -> bool:
    """Of about a third of all batches, whatever their order."""
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
    how: str, parts: tuple[str, ...], trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain loop of torch's Adam and torchmetrics' SI-SNR, which passes over those batches, ends with the same weights,
    loss and gradient norm; the count is that of the batches passed over. In float64, where Adam's first steps do not
    depend on rounding."""
    taken: list[Batch] = []
    monkeypatch.setattr(
        Batch, "to", lambda batch, device: Batch(batch.mixtures.double(), batch.targets.double())
    )
    monkeypatch.setattr(Gradients, "__call__", poisoned(how))
    step = fit.Fit._step
    monkeypatch.setattr(
        fit.Fit, "_step", lambda self, batch, *rest: (taken.append(batch), step(self, batch, *rest))[1]
    )
    flags = ["--epochs", "1", "--batch-size", "2", "--nonfinite-batches", "9", "--curriculum", "all", *parts]
    torch.set_default_dtype(torch.float64)
    try:
        assert trainer.here(tmp_path / "trial", *flags) == 0
        expected = plain_loop(taken, 1 if parts else 2)
    finally:
        torch.set_default_dtype(torch.float32)
    (told,) = summary(tmp_path / "trial")["history"]
    assert 0 < expected["nonfinite_batches"] < len(taken)
    for name in ("nonfinite_batches", "mixtures", "train_loss", "grad_norm"):
        assert told[name] == pytest.approx(expected[name], rel=1e-3), name
    weights = torch.load(tmp_path / "trial" / "last.pt", weights_only=True)["model"]
    torch.testing.assert_close(flat(weights), flat(expected["weights"]), rtol=1e-3, atol=1e-4)


def plain_loop(batches: list[Batch], rows: int) -> dict[str, Any]:
    """One epoch over `batches`, without those of which a part of `rows` mixtures is poisoned."""
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
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM comes after every second batch, some of them just left out: bitwise the run that nobody disturbed, with the
    same counts."""
    monkeypatch.setattr(Gradients, "__call__", poisoned("loss"))
    flags = ["--epochs", "2", "--batch-size", "2", "--nonfinite-batches", "9"]
    (tmp_path / "stopped").mkdir()
    assert trainer.here(tmp_path / "trial", *flags) == 0
    step, calls = fit.Fit._step, iter(range(1, 1000))

    def stepping(self: fit.Fit, *arguments: Any) -> None:
        step(self, *arguments)
        if next(calls) % 2 == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(fit.Fit, "_step", stepping)
    codes = [143]
    while codes[-1] == 143:
        codes.append(trainer.here(tmp_path / "stopped" / "trial", *flags))
    assert (codes[-1], len(codes) > 3) == (0, True)
    assert_same(tmp_path / "stopped" / "trial", tmp_path / "trial")
    assert summary(tmp_path / "trial")["nonfinite_batches"] > 0


def test_an_epoch_whose_batches_are_all_left_out_is_an_epoch(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three of three: it has no training loss, its validation is that of the weights as they were, and its line says how
    many batches it lacks. No line but the metric's holds the metric's name."""
    monkeypatch.setattr("test_series3_rules.is_poisoned", lambda mixtures: True)
    monkeypatch.setattr(Gradients, "__call__", poisoned("loss"))
    assert (
        trainer.here(tmp_path / "trial", "--epochs", "2", "--curriculum", "all", "--nonfinite-batches", "3")
        == 0
    )
    told = summary(tmp_path / "trial")
    assert [epoch["train_loss"] for epoch in told["history"]] == [None, None]
    assert told["history"][0]["val_si_snr"] == told["history"][1]["val_si_snr"]
    assert told["nonfinite_batches"] == 6
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if "validation" in line and "3 batches left out" in line]) == 2
    assert len([line for line in lines if "val_si_snr" in line]) == 2


def test_one_batch_more_ends_the_run_as_diverged(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, with the flag and the count; the summary has the line too. The limit is an epoch's."""
    monkeypatch.setattr("test_series3_rules.is_poisoned", lambda mixtures: True)
    monkeypatch.setattr(Gradients, "__call__", poisoned("loss"))
    assert (
        trainer.here(tmp_path / "trial", "--epochs", "2", "--curriculum", "all", "--nonfinite-batches", "2")
        == 3
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert "the loss is nan in 3 batches of the epoch, and --nonfinite-batches allows 2" in line
    told = summary(tmp_path / "trial")
    assert (told["state"], f"error: {told['reason']}") == ("diverged", line)


def test_the_scaler_of_fp16_hears_nothing_of_a_loss_that_is_not_finite() -> None:
    """Its scale and its count of good steps stay; a gradient that its own scale made infinite is no batch left out, and
    halves it."""
    training = Training(model="convtasnet", preset="debug", batch_size=2)
    session = new_session(training, torch.device("cpu"))
    session.scaler = GradScaler("cpu", init_scale=4.0)
    gradients = Gradients(session.model, "fp32", session.scaler, 2, record=False)
    run: Any = type("Run", (), {"training": training, "rows": 2, "nonfinite_batches": 5})
    loop = fit.Fit(run, *[None] * 7)  # type: ignore[arg-type]
    for name, value in (("session", session), ("gradients", gradients)):
        object.__setattr__(loop, name, value)
    good = Batch(torch.randn(2, 2000), torch.randn(2, 2, 2000))
    bad = Batch(good.mixtures * math.nan, good.targets)

    def state() -> dict[str, Any]:
        return deepcopy(
            {"scaler": session.scaler.state_dict(), "model": session.model.state_dict()}
            | {"optimizer": session.optimizer.state_dict()}
        )

    partial = session.progress.partial
    loop._step(good, 1, partial)
    before = state()
    loop._step(bad, 1, partial)
    torch.testing.assert_close(flat(state()), flat(before), rtol=0, atol=0)
    assert (partial.nonfinite_batches, partial.steps, partial.mixtures) == (1, 1, 2)
    session.scaler.update(1e38)
    random.seed(0)
    loop._step(Batch(good.mixtures * 1e-3, good.targets), 1, partial)
    assert partial.nonfinite_batches == 1
    assert session.scaler.get_scale() < 1e38
