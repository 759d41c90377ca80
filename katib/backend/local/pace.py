"""Estimates what a search costs on a machine without a usable GPU; the trainer measures it before the search starts."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

from katib.backend.local.launch import Launcher
from katib.errors import ManifestError
from katib.manifest.command import trainer_in
from katib.text import count, duration
from katib.trainer_contract import NO_USABLE_GPU, NOTE, SMALLEST_PRESET, Flags, run_trainer

CPU = "cpu"
DAY, YEAR = 24 * 3600.0, 365 * 24 * 3600.0


class _Epoch(TypedDict):
    """The trainer's measurement of an epoch, on the device that it chose."""

    device: str
    mixtures: int
    seconds: float


@dataclass(frozen=True)
class Pace:
    """The mixtures and seconds of an epoch on the processor, and the number of epochs of a search."""

    model: str
    mixtures: int
    seconds: float
    epochs: int
    trials: int | None
    parallel: int
    reason: str
    """Why no GPU is used."""

    def __str__(self) -> str:
        mixtures, seconds = count(self.mixtures, "mixture"), _long(self.seconds)
        epoch = f"an epoch of {self.model} on {mixtures} takes about {seconds} on the processor"
        if not self.trials:
            return f"{self.reason}: {epoch}"
        total = self.seconds * self.epochs * self.trials / min(self.parallel, self.trials)
        at_once = f", {self.parallel} at a time," if self.parallel > 1 else ""
        return (
            f"{self.reason}: {epoch}, and {count(self.trials, 'trial')} of {count(self.epochs, 'epoch')}{at_once}"
            f" up to {_long(total)}"
        )


def pace(launcher: Launcher) -> Pace | None:
    """Returns the pace of a search by our trainer that has to train a model of full size on the processor; else None.

    Raises ManifestError with the trainer's own message where it could not train.
    """
    experiment, gpu = launcher.experiment, launcher.slots[0]
    launch = launcher.launch("pace", launcher.largest, gpu)
    words = [part for word in launch.argv for part in (word.split("=", 1) if word.startswith("--") else [word])]
    program = trainer_in(words)
    if launcher.data is None or not program or _flag(words, Flags.PRESET) == SMALLEST_PRESET:
        return None
    words = [*program, "pace", *words[len(program) :]]
    # With the device `auto`, the trainer says why it cannot use a GPU.
    epoch, warning = _ask(words if gpu else _on(words, "auto"), launcher, launch.env)
    reason = warning or "there is no GPU here"
    if epoch["device"] != CPU:
        if gpu:
            return None
        reason = "nvidia-smi lists no GPU, though PyTorch can use one (CUDA_VISIBLE_DEVICES=0 gives it to the trials)"
        epoch, _ = _ask(_on(words, CPU), launcher, launch.env)
    return Pace(
        model=_flag(words, Flags.MODEL),
        mixtures=epoch["mixtures"],
        seconds=epoch["seconds"],
        epochs=int(_flag(words, Flags.EPOCHS) or 1),
        trials=experiment.search.configurations,
        parallel=len(launcher.slots),
        reason=reason,
    )


def _flag(words: Sequence[str], flag: str) -> str:
    """Returns the value of `flag`; empty where it is not given."""
    return next((value for word, value in pairwise(words) if word == flag), "")


def _on(words: Sequence[str], device: str) -> list[str]:
    """Returns the words with another `--device`."""
    kept = [word for before, word in pairwise(("", *words)) if Flags.DEVICE not in (before, word)]
    return [*kept, Flags.DEVICE, device]


def _ask(words: Sequence[str], launcher: Launcher, env: Mapping[str, str]) -> tuple[_Epoch, str]:
    """Returns the trainer's measurement of an epoch, and its warning about a GPU that cannot be used."""
    answer = run_trainer(words, env, relayed=(str(launcher.data or launcher.runs), NOTE))
    if answer.code:
        raise ManifestError(f"{launcher.experiment.name}: {answer.problem}")
    epoch: _Epoch = json.loads(answer.output)
    warning = NO_USABLE_GPU.search("\n".join(answer.errors))
    return epoch, warning[1] if warning else ""


def _long(seconds: float) -> str:
    """Returns a duration that may be years."""
    if seconds < 2 * DAY:
        return duration(seconds)
    return f"{seconds / DAY:.0f} days" if seconds < 2 * YEAR else f"{seconds / YEAR:.1f} years"
