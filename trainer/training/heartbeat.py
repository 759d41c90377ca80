"""Tells how far a training is within an epoch: a small file every 10 s, and a line of output every minute.

A thread of its own writes the file, so that neither a slow volume nor a full one delays a step. It reads what the loop
has on the host anyway (the sums of the epoch so far), asks the GPU for nothing that would wait for it, and costs a step
nothing. A file that is renewed without a further step tells a slow step from a process that is gone. The line is for
readers of the output alone, as on a cluster; the loop prints it between two steps.
"""

import contextlib
import json
import math
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

import torch

from trainer.metric_line import say, timestamp
from trainer.run_files import HEARTBEAT
from trainer.training.gpu_use import GpuUse
from trainer.training.progress import Partial

SECONDS, FIRST = 10.0, 1.0
"""Seconds between two files, and before the first: the pause doubles until it is the longest."""
LINE_SECONDS = 60.0
WINDOW = 7
"""The looks over which the current speed, loss and gradient norm are averaged: a minute."""
LEAST_STEPS = 2
"""The steps after which an epoch's end is told; the first compiles kernels and chooses algorithms."""
FORWARD_SHARE = 1 / 3
"""A mixture's time in validation over that in training, until a validation has been seen: the backward pass takes about
twice the time of the forward pass."""
TRAINING, VALIDATION = "training", "validation"


@dataclass(frozen=True)
class _Stage:
    """A pass over the training or the validation set."""

    name: str
    epoch: int
    steps: int
    began: float
    """The start of the epoch on the monotonic clock, without the time that was lost where it was cut off."""
    partial: Partial
    done: Sized
    """What validation has done so far, a part for each batch."""
    mixtures: int = 0
    """Mixtures of the pass."""
    validating: int = 0
    """Mixtures of the validation that follows."""
    lr: float = 0.0
    looks: deque["_Look"] = field(default_factory=lambda: deque(maxlen=WINDOW))

    @property
    def step(self) -> int:
        """The batches so far."""
        return self.partial.batches if self.name == TRAINING else len(self.done)


@dataclass(frozen=True)
class _Look:
    """The sums of an epoch at a moment."""

    time: float
    step: int
    mixtures: int
    loss: float
    steps: int
    norm: float

    @staticmethod
    def at(now: float, stage: _Stage) -> "_Look":
        """Returns the sums as they are now; the loop may be changing one of them, and the others follow at once."""
        partial = stage.partial
        return _Look(now, stage.step, partial.mixtures, partial.loss_sum, partial.steps, partial.norm_sum)


class Heartbeat:
    """What a training does now. Without `beating`, as in all processes but the first, it is written nowhere."""

    def __init__(self, epochs: int = 0) -> None:
        self._epochs = epochs
        self._current: tuple[_Stage, _Look] | None = None
        """The stage, and the sums at its start."""
        self._validation = math.nan
        """Seconds of the last validation."""
        self._epoch = math.nan
        """Seconds of the last epoch."""
        self._stepped = time.time()
        self._line = ""
        self._said = time.monotonic()

    def train(
        self, epoch: int, began: float, batches: Sequence[Sized], partial: Partial, *, validating: int, lr: float
    ) -> None:
        """Notes the start of an epoch's training; from now on, `partial` tells how far it is.

        Args:
            epoch: from 1.
            began: when the epoch began, on the monotonic clock.
            batches: all batches of the epoch.
            partial: what the loop counts.
            validating: the mixtures of the validation that follows.
            lr: the learning rate.
        """
        if self._current is not None:
            self._epoch = time.monotonic() - self._current[0].began
        mixtures = sum(map(len, batches))
        self._set(_Stage(TRAINING, epoch, len(batches), began, partial, (), mixtures, validating, lr))

    def validate(self, epoch: int, batches: int, done: Sized) -> None:
        """Notes the start of a validation of `batches`; from now on, the length of `done` tells how far it is."""
        # The score of the unprocessed mixtures, before the first epoch, takes no time worth telling.
        if self._current is not None:
            before = self._current[0]
            self._set(_Stage(VALIDATION, epoch, batches, before.began, before.partial, done))

    def validated(self) -> None:
        """Notes the end of a validation, whose time is that of the next one."""
        if self._current is not None:
            self._validation = time.monotonic() - self._current[1].time

    def say(self) -> None:
        """Prints the line that is due, if one is."""
        if line := self._line:
            self._line = ""
            say(line)

    @contextlib.contextmanager
    def beating(self, folder: Path, device: torch.device) -> Iterator[None]:
        """Writes the file in `folder` until the end, and removes it; where that fails, the training goes on without."""
        end, use = threading.Event(), GpuUse(device)

        def beat() -> None:
            pause = FIRST
            while not end.wait(pause):
                pause = min(SECONDS, 2 * pause)
                if content := self.content(use):
                    with contextlib.suppress(OSError):
                        _write(folder / HEARTBEAT, content)
            with contextlib.suppress(OSError):
                (folder / HEARTBEAT).unlink()

        thread = threading.Thread(target=beat, daemon=True, name="heartbeat")
        thread.start()
        try:
            yield
        finally:
            end.set()
            # A volume that does not answer must not keep the process.
            thread.join(1.0)

    def content(self, use: GpuUse) -> dict[str, object]:
        """Returns what the file says now; nothing before the first epoch. Times are Unix times in s."""
        if self._current is None:
            return {}
        stage, _ = self._current
        now = time.monotonic()
        look = _Look.at(now, stage)
        moved = look.step > stage.looks[-1].step
        if moved:
            self._stepped = time.time()
            stage.looks.append(look)
        first, last = stage.looks[0], stage.looks[-1]
        seconds, mixtures, steps = last.time - first.time, last.mixtures - first.mixtures, last.steps - first.steps
        left = self._seconds_left(stage, now)
        content = {
            "time": time.time(),
            "stage": stage.name,
            "epoch": stage.epoch,
            "epochs": self._epochs,
            "step": look.step,
            "steps": stage.steps,
            "last_step": self._stepped,
            "step_seconds": _share(seconds, last.step - first.step),
            "mixtures_per_second": _share(mixtures, seconds) or None,
            "loss": _share(last.loss - first.loss, mixtures),
            "grad_norm": _share(last.norm - first.norm, steps),
            "lr": stage.lr or None,
            "epoch_seconds": None if left is None else now - stage.began + left,
            "epoch_ends": None if left is None else time.time() + left,
            **use.now(),
        }
        if moved and now - self._said >= LINE_SECONDS:
            self._said, self._line = now, line(content)
        return content

    def _seconds_left(self, stage: _Stage, now: float) -> float | None:
        """Returns the seconds until the epoch ends at the pace of the last minute.

        Before its second step, it is expected to take as long as the epoch before; None where there was none.
        """
        first, last = stage.looks[0], stage.looks[-1]
        done = last.step - first.step
        if done < LEAST_STEPS:
            return None if math.isnan(self._epoch) else max(0.0, self._epoch - (now - stage.began))
        each = (last.time - first.time) / done
        left = max(0.0, (stage.steps - last.step) * each - (now - last.time))
        if stage.name == VALIDATION:
            return left
        if not math.isnan(self._validation):
            return left + self._validation
        return left + FORWARD_SHARE * each * stage.steps * stage.validating / max(1, stage.mixtures)

    def _set(self, stage: _Stage) -> None:
        start = _Look.at(time.monotonic(), stage)
        stage.looks.append(start)
        self._current = stage, start


def line(content: dict[str, object]) -> str:
    """Returns the file's content as a line of output: `2026-11-24T09:30:00.123456Z epoch 3/50: step 120/4000, …`."""
    parts = [f"{timestamp()} epoch {content['epoch']}/{content['epochs']}: {content['stage']} step"]
    parts[0] += f" {content['step']}/{content['steps']}"
    for name, form in (
        ("mixtures_per_second", "{:.3g} mixtures/s"),
        ("loss", "loss {:.2f} dB"),
        ("grad_norm", "gradient norm {:.2g}"),
        ("lr", "lr {:.2g}"),
        ("gpu_use", "GPU {:.0%} busy"),
        ("epoch_seconds", "the epoch takes {:.0f} s"),
    ):
        if isinstance(value := content.get(name), int | float):
            parts.append(form.format(value))
    used, whole = content.get("gpu_memory"), content.get("gpu_memory_total")
    if isinstance(used, int) and isinstance(whole, int):
        parts.insert(-1, f"{used / 1e9:.1f} of {whole / 1e9:.1f} GB")
    return ", ".join(parts)


def _share(part: float, whole: float) -> float | None:
    """Returns part / whole; None where there is none, or where a number is not finite."""
    return part / whole if whole and math.isfinite(part / whole) else None


def _write(path: Path, content: dict[str, object]) -> None:
    """Replaces the file as a whole; it is not forced to the disk, since it is worth nothing after a power failure."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(content, allow_nan=False) + "\n")
    temporary.replace(path)
