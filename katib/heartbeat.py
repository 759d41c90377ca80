"""Reads how far a training is within an epoch, from the trainer's file or from its last line that says so.

The file lies in the run directory and is renewed every 10 s; the line is printed every minute, and reaches whoever
reads a pod's log. Both may come from somebody else: what is damaged, out of range or older than the process that should
have written it counts as missing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from katib.text import duration, number
from katib.trainer_contract import HEARTBEAT
from katib.untrusted import checked, finite, is_epoch, read_json

MOST_BYTES = 1 << 14
SILENCE = 180.0
"""Seconds without a step that are always taken for slowness: three lines of the output."""
STEPS = 10
"""And so many times as long as a step has taken so far, whatever that is."""
_LINE = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]{8,15}Z) epoch (?P<epoch>\d{1,7})/(?P<epochs>\d{1,7}): "
    r"(?P<stage>training|validation) step (?P<step>\d{1,12})/(?P<steps>\d{1,12})"
    r"(?:, (?P<speed>[\d.e+-]{1,12}) mixtures/s)?(?:, .*?)??(?:, the epoch takes (?P<seconds>\d{1,12}) s)?"
)


@dataclass(frozen=True)
class _Content:
    """What is needed of the file."""

    time: float
    stage: str
    epoch: int
    epochs: int
    step: int
    steps: int
    last_step: float
    step_seconds: float | None
    mixtures_per_second: float | None
    epoch_seconds: float | None


@dataclass(frozen=True)
class Heartbeat:
    """Where a training is within an epoch. Times are Unix times in s."""

    epoch: int
    """From 1; the epoch that is being trained."""
    epochs: int
    step: int
    steps: int
    """The steps of its training, or those of its validation."""
    validating: bool
    stepped: float
    """When it was last seen to take a step."""
    step_seconds: float | None
    """How long a step takes; None where that is not known."""
    mixtures_per_second: float | None
    epoch_seconds: float | None
    """How long the epoch is expected to take, validation included."""

    @property
    def share(self) -> float:
        """The part of the epoch's training that is done, from 0 to 1; validation counts as its end."""
        return 1.0 if self.validating else min(1.0, self.step / self.steps)

    def epochs_after(self, finished: int) -> str:
        """Returns the epochs done, as `3.4`, where `finished` of them have ended; they alone without a newer one."""
        if self.epoch != finished + 1:
            return str(finished or "")
        return f"{finished}.{min(9, int(10 * self.share))}"

    def silence(self, now: float) -> str:
        """Returns `no step for 12 min, after step 120 of 4000 of epoch 3`; empty where a step may just be slow."""
        seconds = now - self.stepped
        if seconds <= max(SILENCE, STEPS * (self.step_seconds or 0.0)):
            return ""
        what = "validation step" if self.validating else "step"
        return f"no step for {duration(seconds)}, after {what} {self.step} of {self.steps} of epoch {self.epoch}"


def read_heartbeat(run: Path, since: float) -> Heartbeat | None:
    """Returns the heartbeat in a run directory; None where there is none from `since` on, or where it is damaged."""
    try:
        found = read_json(run / HEARTBEAT, MOST_BYTES)
    except (OSError, ValueError, RecursionError):
        return None
    try:
        content = checked(_Content, found)
    except ValueError:
        return None
    if content.time < since or not is_epoch(content.epoch) or not is_epoch(content.epochs):
        return None
    return _consistent(
        Heartbeat(
            content.epoch,
            content.epochs,
            content.step,
            content.steps,
            validating=content.stage == "validation",
            stepped=content.last_step,
            step_seconds=_positive(content.step_seconds),
            mixtures_per_second=_positive(content.mixtures_per_second),
            epoch_seconds=_positive(content.epoch_seconds),
        )
    )


def last_line(lines: Sequence[str]) -> Heartbeat | None:
    """Returns the heartbeat of the last of `lines` that has one; None where none has, or where it is damaged."""
    match = next(filter(None, map(_LINE.fullmatch, reversed(lines))), None)
    if match is None:
        return None
    try:
        stepped = datetime.fromisoformat(match["time"]).timestamp()
    except (ValueError, OverflowError):
        return None
    seconds, steps = number(match["seconds"] or ""), int(match["steps"])
    return _consistent(
        Heartbeat(
            int(match["epoch"]),
            int(match["epochs"]),
            int(match["step"]),
            steps,
            validating=match["stage"] == "validation",
            stepped=stepped,
            step_seconds=seconds / steps if seconds and steps else None,
            mixtures_per_second=_positive(number(match["speed"] or "")),
            epoch_seconds=_positive(seconds),
        )
    )


def _consistent(found: Heartbeat) -> Heartbeat | None:
    """Returns the heartbeat; None where its numbers contradict each other."""
    possible = 0 < found.epoch <= found.epochs and 0 <= found.step <= found.steps and found.steps > 0
    return found if possible and finite(found.stepped) is not None else None


def _positive(value: object) -> float | None:
    found = finite(value)
    return found if found is not None and found > 0 else None
