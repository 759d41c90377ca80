"""The progress of a training: its finished epochs, the current epoch, and the summary for those who read results.

It holds plain data only, which every checkpoint contains.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from trainer.config import Training
from trainer.metric_line import timestamp
from trainer.text import count


@dataclass(frozen=True)
class EpochRecord:
    """A finished epoch."""

    epoch: int
    """From 1."""
    time: str
    """When it ended, RFC 3339 in UTC; printed again after a resume."""
    val_si_snr: float
    """dB, mean over the validation set."""
    train_loss: float | None
    """Negative SI-SNR in dB, mean over the mixtures trained on; None where every batch was skipped."""
    lr: float
    """Learning rate of the epoch."""
    grad_norm: float
    """L2 norm before clipping, mean over the steps."""
    seconds: float
    """Training and validation, without the time that was lost where the run was killed."""
    variants: dict[str, float]
    """Validation SI-SNR in dB of the mixtures shown in each variant."""
    mixtures: int
    """Mixtures trained on."""
    waited: float
    """Seconds of training spent waiting for a batch."""
    nonfinite_batches: int = 0
    """Batches skipped because their loss or gradient was not finite."""
    steps: int = 0
    """Steps of the optimiser; 0 where an earlier version did not count them."""
    own_val_si_snr: float | None = None
    """dB, of the epoch's own weights; given where `val_si_snr` is that of an average of epochs."""


@dataclass
class Partial:
    """The current epoch, so that a stopped training resumes in the middle of it."""

    batches: int = 0
    """Batches so far, including skipped ones."""
    mixtures: int = 0
    """Mixtures trained on so far."""
    loss_sum: float = 0.0
    """Sum of the loss over the mixtures."""
    steps: int = 0
    """Steps of the optimiser; fewer than batches where fp16 overflowed or a batch was not finite."""
    norm_sum: float = 0.0
    """Sum of the gradient norm over the steps."""
    seconds: float = 0.0
    """Seconds spent on this epoch before this process."""
    waited: float = 0.0
    """Seconds spent waiting for a batch."""
    nonfinite_batches: int = 0
    """Batches skipped so far because their loss or gradient was not finite."""


@dataclass
class Progress:
    """Everything about a training that is not a tensor."""

    mixture_val_si_snr: float
    """Score of the unprocessed mixtures on the validation set, in dB."""
    history: list[EpochRecord] = field(default_factory=list)
    partial: Partial = field(default_factory=Partial)

    @property
    def epoch(self) -> int:
        """The current or next epoch, from 1."""
        return len(self.history) + 1

    @property
    def best(self) -> EpochRecord | None:
        """The epoch with the best validation, the first of equals; None before the first epoch has ended."""
        return max(self.history, key=lambda record: record.val_si_snr, default=None)

    def ended(
        self, val_si_snr: float, variants: dict[str, float], own: float | None, lr: float, seconds: float
    ) -> EpochRecord:
        """Returns the record of the current epoch, which ends now; the arguments are its fields."""
        partial = self.partial
        return EpochRecord(
            epoch=self.epoch,
            time=timestamp(),
            val_si_snr=val_si_snr,
            train_loss=partial.loss_sum / partial.mixtures if partial.mixtures else None,
            lr=lr,
            grad_norm=partial.norm_sum / max(1, partial.steps),
            seconds=seconds,
            variants=variants,
            mixtures=partial.mixtures,
            waited=partial.waited,
            nonfinite_batches=partial.nonfinite_batches,
            steps=partial.steps,
            own_val_si_snr=own,
        )

    def finished(self, epochs: int, patience: int | None, hopeless: int | None = None) -> bool:
        """Returns whether `epochs` are done, or there is a reason to end before them."""
        return len(self.history) >= epochs or self.early_reason(epochs, patience, hopeless) is not None

    def early_reason(self, epochs: int, patience: int | None, hopeless: int | None = None) -> str | None:
        """Returns why the run ends before `epochs`; None where it does not.

        That is so where the last `patience` epochs brought no better validation, and where, `hopeless` epochs or more
        being done, the best validation is below that of the unprocessed mixtures.
        """
        done, best = len(self.history), self.best
        if best is None or done >= epochs:
            return None
        if patience is not None and (waited := done - best.epoch) >= patience:
            return f"patience: no better epoch than {best.epoch} in {count(waited, 'epoch')}"
        if hopeless is not None and done >= hopeless and best.val_si_snr < self.mixture_val_si_snr:
            return f"hopeless: still below the unprocessed mixtures after {count(done, 'epoch')}"
        return None

    def to_dict(self) -> dict[str, object]:
        """Returns plain values, so that loading a checkpoint need not run code from it."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Progress":
        """Returns the progress that `to_dict` has turned into values."""
        history = [EpochRecord(**record) for record in values["history"]]
        return Progress(values["mixture_val_si_snr"], history, Partial(**values["partial"]))


def epoch_line(record: EpochRecord, epochs: int) -> str:
    """Returns the line of a finished epoch for people, without the metric's name."""
    training = "none" if record.train_loss is None else f"{-record.train_loss:.2f} dB"
    skipped = count(record.nonfinite_batches, "batch", "batches")
    end = f", {skipped} skipped (not finite)" if record.nonfinite_batches else ""
    return (
        f"epoch {record.epoch}/{epochs}: validation {record.val_si_snr:.2f} dB, training {training}, "
        f"lr {record.lr:.2g}, gradient norm {record.grad_norm:.2g}, {record.seconds:.1f} s, "
        f"{record.waited / max(record.seconds, 1e-9):.1%} of it waiting for data{end}"
    )


def summary(
    training: Training, epochs: int, progress: Progress, parameters: int, state: str, reason: str | None
) -> dict[str, object]:
    """Returns the content of summary.json, with SI-SNR in dB and times in seconds.

    `state` and `reason` are those of Fit.summarize.
    """
    best = progress.best
    return {
        "model": training.model,
        "preset": training.preset,
        "seed": training.seed,
        "epochs": epochs,
        "best_epoch": best and best.epoch,
        "best_val_si_snr": best and best.val_si_snr,
        "mixture_val_si_snr": progress.mixture_val_si_snr,
        "improvement_db": best and best.val_si_snr - progress.mixture_val_si_snr,
        "state": state,
        "reason": reason,
        "seconds": sum(record.seconds for record in progress.history),
        "nonfinite_batches": progress.partial.nonfinite_batches
        + sum(record.nonfinite_batches for record in progress.history),
        "parameters": parameters,
        "history": [asdict(record) for record in progress.history],
    }
