"""Settings of the recipe beyond that of Series 3, whose values are the defaults.

A run directory's identity names only those that depart from their default, so that directories and checkpoints from
before a setting existed still belong to the same training.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the published recipe left fixed."""

    optimizer: Literal["adam", "adamw"] = "adam"
    """adam adds the weight decay to the gradient, as Series 3 did; adamw lets the weights decay apart from it."""

    scheduler: Literal["plateau", "cosine", "none"] = "plateau"
    """What lowers the learning rate: plateau, by --lr-factor after more than --lr-patience epochs without a better
    validation (Series 3); cosine, along half a cosine to zero after --cosine-epochs; none."""

    cosine_epochs: int | None = None
    """Epochs over which the cosine scheduler lowers the learning rate to zero, at least --epochs. No effect with
    another scheduler."""

    warmup_steps: int = 0
    """Steps over which the learning rate rises in equal parts to that of the scheduler."""

    average_best: int = 1
    """Validate and keep the average of the weights of this many epochs, the best so far. 1: each epoch's own."""

    loss_threshold: float | None = None
    """Only mixtures count whose loss, minus their SI-SNR in dB, is above this; SpeechBrain's recipes have -30. Default:
    all count."""

    validate: tuple[str, ...] | None = None
    """Variants that decide: val_si_snr is over them, as if they were all of --validation-variants. The others of these,
    by default each that a mixture can show, are recorded each epoch, with each mixture once more in one of them.
    Default: all of --validation-variants decide."""

    dynamic_mixing: int = 0
    """Per cent of an epoch's mixtures in which a voice of another mixture, by another speaker, takes the place of one
    of the two, both with a random gain of at most 2.5 dB. The corpus has WAV files and names its speakers."""

    speed_perturbation: int = 0
    """Most per cent by which each voice of a training mixture is played faster or slower, drawn anew each epoch; 5 is
    usual. The corpus has WAV files."""


DEFAULTS: Mapping[str, object] = MappingProxyType({field.name: field.default for field in fields(Recipe)})


def departures(training: Mapping[str, object]) -> dict[str, object]:
    """Returns the settings of a training without those of the recipe that have their default."""
    return {name: value for name, value in training.items() if name not in DEFAULTS or value != DEFAULTS[name]}
