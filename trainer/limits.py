"""The values that a setting may have: the limits of numbers and the valid words, by the field's name, for all commands.

trainer/config.py checks settings against them; trainer/flags.py writes them down for the control side.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING

from trainer.data.mixing import VARIANTS
from trainer.errors import ConfigError
from trainer.models import CURRICULA, MODELS, config_fields, is_own
from trainer.text import nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The numbers from `least`, or above `above`, to below `below`; `expected` describes them in words."""

    expected: str
    least: float | None = None
    above: float | None = None
    below: float = math.inf

    def hold(self, value: float) -> bool:
        """Returns whether `value` is within the limits. NaN never is."""
        above = self.above is None or value > self.above
        return above and (self.least is None or value >= self.least) and value < self.below


def _from(least: int, unit: str = "", most: int = 1_000_000_000) -> Limits:
    return Limits(expected=f"{least} or more{' ' * bool(unit)}{unit}, at most {most}", least=least, below=most + 1)


LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "lr": Limits(expected="a number between 0 and 1", above=0, below=1),
        "weight_decay": Limits(expected="a number from 0 to below 1", least=0, below=1),
        "grad_clip_norm": Limits(expected="a finite number above 0", above=0),
        "lr_factor": Limits(expected="a number between 0 and 1", above=0, below=1),
        "lr_patience": _from(0, "epochs"),
        "cosine_epochs": _from(1, "epochs", most=1_000_000),
        # A field of some models' configs.
        "dropout": Limits(expected="a number from 0 to below 1", least=0, below=1),
        "loss_threshold": Limits(expected="a loss between -200 and 0 dB, such as -30", above=-200, below=0),
        "average_best": Limits(expected="1 to 100 epochs", least=1, below=101),
        "warmup_steps": _from(0, "steps"),
        "dynamic_mixing": Limits(expected="0 to 100 per cent of the mixtures", least=0, below=101),
        "speed_perturbation": Limits(expected="0 to 25 per cent", least=0, below=26),
        "batch_size": _from(1, "mixtures"),
        "segment_seconds": Limits(expected="0.01 to below 3600 seconds", least=0.01, below=3600),
        "train_limit": _from(1, "mixtures"),
        "validation_limit": _from(1, "mixtures"),
        "seed": Limits(expected="0 or more, below 2**63", least=0, below=2**63),
        "epochs": _from(1, most=1_000_000),
        "patience": _from(1, "epochs", most=1_000_000),
        "hopeless": _from(1, "epochs", most=1_000_000),
        "nonfinite_batches": _from(0, "batches per epoch"),
        "micro_batch": _from(1, "mixtures"),
        "workers": Limits(expected="0 to 256 processes", least=0, below=257),
        "gpus": Limits(expected="1 to 64 GPUs", least=1, below=65),
        "checkpoint_minutes": _from(0),
        "room_minutes": Limits(expected="0 to below 100000 minutes", least=0, below=100_000),
        "linger": _from(0),
        "stop_delay": _from(0),
        "limit": _from(1, "mixtures"),
        "wavs": _from(0, "mixtures"),
        "chunk_seconds": Limits(expected="0.5 to below 3600 seconds", least=0.5, below=3600),
    }
)

AT_MOST: Mapping[str, str] = MappingProxyType({"hopeless": "epochs"})
"""Fields that may not exceed another field."""

ASKS: Mapping[str, tuple[str, str]] = MappingProxyType({"scheduler": ("cosine", "cosine_epochs")})
"""Fields of which a word needs another field, which `epochs` may not exceed then."""

ONLY_WITH: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "lr_factor": ("scheduler", "plateau"),
        "lr_patience": ("scheduler", "plateau"),
        "cosine_epochs": ("scheduler", "cosine"),
    }
)
"""Fields that have an effect with one word of another field alone."""

DIVIDES: Mapping[str, str] = MappingProxyType({"gpus": "batch_size"})
"""Fields that must divide another field."""

CHOICES: Mapping[str, Collection[str]] = MappingProxyType(
    {
        "model": MODELS,
        "curriculum": ("auto", *CURRICULA),
        "validation_variants": VARIANTS,
        "validate": VARIANTS,
        "variants": VARIANTS,
        "metrics": ("sdr", "sd_sdr", "pesq", "stoi", "estoi"),
        "device": ("auto", "cpu", "cuda", "cuda:N"),
    }
)
"""The valid words of flags whose type does not list them; N stands for a number. `preset` depends on the model."""


def check(config: "DataclassInstance") -> None:
    """Raises ConfigError that names the first flag of `config` with an invalid value. None, the default, is valid."""
    own = own_limits(getattr(config, "model", ""))
    for field in fields(config):
        value = getattr(config, field.name)
        limits = LIMITS.get(field.name) or own.get(field.name)
        if limits is not None and value is not None and not limits.hold(value):
            raise ConfigError(f"{flag(field.name)}: {value} does not fit, expected {limits.expected}")
        most = AT_MOST.get(field.name)
        if most is not None and value is not None and value > getattr(config, most):
            limit = f"the {getattr(config, most)} of {flag(most)}"
            raise ConfigError(f"{flag(field.name)}: {value} does not fit, expected at most {limit}")
        if value == ():
            raise ConfigError(f"{flag(field.name)}: is empty, expected one or more of {', '.join(CHOICES[field.name])}")
        for word in value if isinstance(value, tuple) else (value,):
            if field.name in CHOICES and word is not None and not _is_among(word, CHOICES[field.name]):
                own_model = field.name in ("model", "curriculum") and is_own(word)
                if not own_model:
                    raise ConfigError(f"{flag(field.name)}: unknown '{word}', {nearest(word, CHOICES[field.name])}")
        if isinstance(value, tuple) and len(set(value)) < len(value):
            twice = next(word for word in value if value.count(word) > 1)
            raise ConfigError(f"{flag(field.name)}: {twice} is given twice; remove one of the two")


def own_limits(model: str) -> dict[str, Limits]:
    """Returns the limits of the fields of the config of `model`."""
    return {
        name: Limits(expected=f"{field.least} to {field.most}", least=field.least, below=field.most + 1)
        for name, field in config_fields(model).items()
        if field.least is not None and field.most is not None
    }


def _is_among(word: str, choices: Iterable[str]) -> bool:
    return re.sub(r":\d+$", ":N", word) in choices


def flag(name: str) -> str:
    """Returns the flag of a field."""
    return "--" + name.replace("_", "-")
