"""When the learning rate falls and when patience ends a run: each as a plain loop says that is written here, from
PyTorch's documentation of ReduceLROnPlateau and the published training's rules.
"""

import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.test_resume import assert_same
from tests.trainer.training import Training as Trainer
from tests.trainer.training import summary
from trainer.config import Training
from trainer.training.checkpoint import new_session
from trainer.training.progress import EpochRecord, Progress


@st.composite
def curves(draw: st.DrawFn) -> list[float]:
    """Returns validations in dB: a walk around any level, also below zero, with ties.

    Its steps are about as large as the threshold of 1e-4 of the level.
    """
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
def test_the_learning_rate_falls_by_the_relative_threshold(curve: list[float], patience: int, factor: float) -> None:
    """PyTorch's default for mode max: better is what exceeds best * 1.0001, also below zero, where that is lower than
    the best; after more than `patience` epochs that are not, the rate falls and the count begins again.
    """
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


def record(epoch: int, value: float) -> EpochRecord:
    return EpochRecord(epoch, "", value, 0.0, 1e-3, 1.0, 1.0, {}, 1, 0.0)


@given(curve=curves(), patience=st.one_of(st.none(), st.integers(1, 12)), epochs=st.integers(1, 45))
def test_patience_counts_epochs_that_are_not_strictly_better(
    curve: list[float], patience: int | None, epochs: int
) -> None:
    """The published loop: a counter that a strictly better validation sets back ends the run when it reaches patience.

    A tie is not better. The last epoch of all is no early end.
    """
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
    reason = progress.early_reason(epochs, patience)
    if patience is not None and waited >= patience and done < epochs:
        assert reason is not None
        assert re.match(rf"patience: no better epoch than {best_epoch} in {patience} epochs?$", reason)
    else:
        assert reason is None


def test_a_run_that_patience_ended_says_so_and_a_larger_one_continues_it(
    training: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last line and summary.json name the reason; started again it replays its epochs and ends with 0.

    With more patience, or more epochs after a run that had them all, it is the run that had been asked for more at
    once.
    """
    flags = ["--lr", "1e-12", "--epochs", "7"]
    assert training.here(tmp_path / "trial", *flags, "--patience", "2") == 0
    first, reported = capsys.readouterr().out, summary(tmp_path / "trial")
    reason = f"patience: no better epoch than {reported['best_epoch']} in 2 epochs"
    assert (reported["state"], reported["reason"]) == ("finished", reason)
    assert reason in first.splitlines()[-1]
    assert training.here(tmp_path / "trial", *flags, "--patience", "2") == 0
    replayed = capsys.readouterr().out
    assert reason in replayed.splitlines()[-1]
    epochs = [[line for line in text.splitlines() if "val_si_snr=" in line] for text in (first, replayed)]
    assert epochs[0] == epochs[1]
    assert summary(tmp_path / "trial") == reported
    assert training.here(tmp_path / "trial", *flags, "--patience", "3") == 0
    assert training.here(tmp_path / "trial", *flags) == 0
    assert summary(tmp_path / "trial")["reason"] is None
    (tmp_path / "at once").mkdir()
    assert training.here(tmp_path / "at once" / "trial", *flags) == 0
    assert_same(tmp_path / "trial", tmp_path / "at once" / "trial")
