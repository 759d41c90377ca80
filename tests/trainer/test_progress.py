"""A training's progress: when it is finished, what is its best epoch, and what summary.json and the lines say of it."""

import itertools
import json

import pytest

from trainer.config import Training
from trainer.training.progress import EpochRecord, Partial, Progress, epoch_line, summary

TRAINING = Training(model="convtasnet", preset="debug", seed=123)


def record(epoch: int, value: float, **others: float) -> EpochRecord:
    fields: dict[str, float] = {"train_loss": -9.876, "lr": 0.000123, "grad_norm": 4.56, "seconds": 80.0}
    fields |= {"mixtures": 8, "waited": 2.0, **others}
    time = f"2026-11-24T09:3{epoch}:00.000000Z"
    variants = {"SER": value}
    return EpochRecord(epoch=epoch, time=time, val_si_snr=value, variants=variants, **fields)  # type: ignore[arg-type]


def progress(*values: float) -> Progress:
    return Progress(-0.5, [record(epoch, value) for epoch, value in enumerate(values, 1)])


def test_an_epoch_begins_with_nothing_counted() -> None:
    """No batch was taken, so sums over batches are sums over none: 0."""
    partial = Partial()
    assert (partial.batches, partial.mixtures, partial.steps, partial.nonfinite_batches) == (0, 0, 0, 0)
    assert (partial.loss_sum, partial.norm_sum, partial.seconds, partial.waited) == (0, 0, 0, 0)
    assert record(1, 2.0).nonfinite_batches == 0


def test_patience_counts_epochs_in_a_row_without_a_strictly_better_one() -> None:
    """As docs/trainer.md defines it, in a plain loop over every course of five epochs between three values."""
    for values in itertools.product((1.0, 2.0, 3.0), repeat=5):
        best, waited, best_epoch = values[0], 0, 1
        for epoch, value in enumerate(values[1:], 2):
            waited += 1
            if value > best:
                best, waited, best_epoch = value, 0, epoch
        found = progress(*values)
        assert found.best == found.history[best_epoch - 1]
        for patience in (1, 2, 3, 4):
            assert found.finished(9, patience) == (waited >= patience)
        assert not found.finished(6, None)


@pytest.mark.parametrize(("epochs", "expected"), [(2, True), (3, True), (4, False)])
def test_a_training_is_finished_after_its_epochs(epochs: int, expected: bool) -> None:
    """Three are done, each better than the one before; fewer may be asked for than there are."""
    assert progress(1, 2, 3).finished(epochs, None) == expected
    assert progress(1, 2, 3).finished(epochs, 2) == expected


def test_a_training_that_has_not_begun_has_no_best_epoch_and_no_end() -> None:
    assert progress().best is None
    assert progress().epoch == 1
    assert not progress().finished(1, 1)
    assert progress().early_reason(1, 1) is None


def test_the_epoch_under_way_follows_the_finished_ones() -> None:
    assert progress(1, 2, 3).epoch == 4


def test_patience_is_the_reason_only_where_epochs_were_left() -> None:
    """The line of docs/trainer.md; none where all epochs are done, or patience has not run out."""
    assert progress(1, 5, 3, 4).early_reason(9, 2) == "patience: no better epoch than 2 in 2 epochs"
    assert progress(5, 4).early_reason(9, 1) == "patience: no better epoch than 1 in 1 epoch"
    assert progress(1, 5, 3, 4).early_reason(4, 2) is None
    assert progress(1, 5, 3, 4).early_reason(3, 2) is None
    assert progress(1, 5, 3, 4).early_reason(5, 3) is None
    assert progress(1, 5, 3, 4).early_reason(9, None) is None


@pytest.mark.parametrize(("patience", "hopeless"), [(None, 2), (None, 3), (1, 2), (1, 3), (2, 1)])
def test_a_run_is_hopeless_where_its_best_is_below_the_mixtures(patience: int | None, hopeless: int) -> None:
    """Not at their value, nor before its epochs; where patience ends it as well, that is the reason."""
    below, at = progress(1, 2.9), progress(1, 3)
    below.mixture_val_si_snr = at.mixture_val_si_snr = 3.0
    why = "hopeless: still below the unprocessed mixtures after 2 epochs" if hopeless < 3 else None
    assert below.early_reason(9, patience, hopeless) == why
    assert below.finished(9, patience, hopeless) == (why is not None)
    assert not at.finished(9, patience, hopeless)
    assert below.early_reason(2, patience, hopeless) is None
    below.history.append(progress(0, 0, 2).history[-1])
    both = below.early_reason(9, 1, hopeless)
    assert both == "patience: no better epoch than 2 in 1 epoch"


def test_progress_survives_as_plain_values() -> None:
    """Through JSON, which holds nothing but plain values; every field differs from its default."""
    before = progress(1, 2)
    before.partial = Partial(
        batches=1,
        mixtures=2,
        loss_sum=3.0,
        steps=4,
        norm_sum=5.0,
        seconds=6.0,
        waited=7.0,
        nonfinite_batches=8,
    )
    assert Progress.from_dict(json.loads(json.dumps(before.to_dict()))) == before


def test_the_line_of_an_epoch_for_people() -> None:
    """Training is a loss, so its SI-SNR has the other sign; of 80 s two were spent waiting, 2.5 %."""
    line = epoch_line(record(3, 5.4321), 50)
    assert line == (
        "epoch 3/50: validation 5.43 dB, training 9.88 dB, lr 0.00012, gradient norm 4.6, 80.0 s, "
        "2.5% of it waiting for data"
    )
    assert "0.5 s, 50.0% of it" in epoch_line(record(3, 5, seconds=0.5, waited=0.25), 50)
    nothing = {"train_loss": None, "seconds": 0, "waited": 0}
    left_out = epoch_line(record(3, 5.4321, nonfinite_batches=2, **nothing), 50)  # type: ignore[arg-type]
    assert "dB, training none, lr" in left_out
    assert left_out.endswith("0.0 s, 0.0% of it waiting for data, 2 batches skipped (not finite)")
    assert epoch_line(record(3, 5, nonfinite_batches=1), 50).endswith(", 1 batch skipped (not finite)")


def test_the_summary_of_a_run() -> None:
    """Its fields as docs/trainer.md and katib/results/ read them, with sums made by hand: 80 + 80 + 80 s, and left-out
    batches of two finished epochs and of the one under way.
    """
    run = progress(1.0, 4.0, 3.0)
    run.history[0] = record(1, 1.0, nonfinite_batches=1, steps=12)
    run.history[2] = record(3, 3.0, nonfinite_batches=2)
    run.partial = Partial(nonfinite_batches=4)
    found = json.loads(json.dumps(summary(TRAINING, 50, run, 12_345, "stopped", "because")))
    history = found.pop("history")
    assert found == {
        "model": "convtasnet",
        "preset": "debug",
        "seed": 123,
        "epochs": 50,
        "best_epoch": 2,
        "best_val_si_snr": 4.0,
        "mixture_val_si_snr": -0.5,
        "improvement_db": 4.5,
        "state": "stopped",
        "reason": "because",
        "seconds": 240.0,
        "nonfinite_batches": 7,
        "parameters": 12_345,
    }
    assert [epoch["val_si_snr"] for epoch in history] == [1.0, 4.0, 3.0]
    assert history[0] == {
        "epoch": 1,
        "time": "2026-11-24T09:31:00.000000Z",
        "val_si_snr": 1.0,
        "train_loss": -9.876,
        "lr": 0.000123,
        "grad_norm": 4.56,
        "seconds": 80.0,
        "variants": {"SER": 1.0},
        "mixtures": 8,
        "waited": 2.0,
        "nonfinite_batches": 1,
        "steps": 12,
        "own_val_si_snr": None,
    }


def test_the_summary_before_the_first_epoch_has_no_best() -> None:
    found = summary(TRAINING, 50, progress(), 12_345, "running", None)
    assert (found["best_epoch"], found["best_val_si_snr"], found["improvement_db"]) == (None, None, None)
    assert (found["seconds"], found["nonfinite_batches"], found["history"]) == (0, 0, [])
