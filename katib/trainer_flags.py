"""Knows the flags of the trainer without importing it: each flag's type, limits and words, by model.

`python -m trainer.flags` writes katib/trainer_flags.json, and a test compares that file with the trainer.
"""

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from katib.errors import nearest
from katib.trainer_contract import Flags

FILE = Path(__file__).with_suffix(".json")
NONE = "None"
"""The word that gives an optional flag its default."""
_WORDS = {"int": "a whole number", "float": "a number", "bool": "True or False", "str": "a word"}


class Flag(BaseModel):
    """A flag. Numbers are at least `least`, above `above` and below `below`; `expected` says so in words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    choices: tuple[str, ...] = ()
    many: bool = False
    """Whether it takes one or more words."""
    switch: bool = False
    """Whether it takes no word, or True or False; then its --no- form exists too, which takes none."""
    optional: bool = False
    required: bool = False
    least: float = -math.inf
    above: float = -math.inf
    below: float = math.inf
    expected: str = ""
    at_most: str = ""
    """The flag whose value this one's may not exceed."""

    def problem(self, text: str) -> str:
        """Returns what is wrong with `text` as its value; empty if nothing is."""
        choices = self.choices or (("True", "False") if self.type == "bool" else ())
        if choices:
            # The choices list cuda:1 and the like as cuda:N.
            known = re.sub(r":\d+$", ":N", text) in choices
            return "" if known else f"'{text}' is unknown, valid: {', '.join(choices)}"
        if self.type == "str":
            return ""
        try:
            value = int(text) if self.type == "int" else float(text)
        except ValueError:
            return f"'{text}' is not {_WORDS[self.type]}"
        fits = value >= self.least and value > self.above and value < self.below
        return "" if fits else f"{text} does not fit, expected {self.expected or 'a finite number'}"


class Model(BaseModel):
    """A model: its presets, and the flags that other models lack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    presets: tuple[str, ...]
    flags: tuple[str, ...]


class Trainer(BaseModel):
    """All flags of a training, and the models."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flags: dict[str, Flag]
    models: dict[str, Model]

    def unknown(self, flag: str, model: str | None) -> str:
        """Returns why a training of `model` (None: of any) does not have `flag`; empty if it does."""
        if flag not in self.flags and self.switched(flag) is None:
            return f"the trainer has no flag {flag}: {nearest(flag, self.flags)}"
        owners = [name for name, known in self.models.items() if flag in known.flags]
        if owners and model in self.models and model not in owners:
            having = ", ".join(self.models[model].flags) or "none"
            return f"{model} has no {flag} ({', '.join(owners)} has it); its own flags: {having}"
        return ""

    def problem(self, flag: str, values: Sequence[str], model: str | None) -> str:
        """Returns what is wrong with `flag` and the words after it; empty if nothing is."""
        if list(values) == [NONE] and flag in self.flags and self.flags[flag].optional:
            return ""
        if found := self.unknown(flag, model):
            return found
        known = self.flags.get(flag) or self.flags[self.switched(flag) or ""]
        if known.switch and (not values or flag not in self.flags):
            return f"'{values[0]}' is one word too many: {flag} takes none" if values else ""
        if not values:
            return f"is without a value, expected {known.expected or _WORDS[known.type]}"
        if len(values) > 1 and not known.many:
            return f"'{values[1]}' is one word too many: {flag} takes one"
        if flag == Flags.PRESET:
            of = [self.models[model]] if model in self.models else self.models.values()
            presets = dict.fromkeys(preset for one in of for preset in one.presets)
            known = Flag(type="str", choices=tuple(presets))
        return next(filter(None, map(known.problem, values)), "")

    def excess(self, flag: str, given: Mapping[str, Sequence[str]]) -> str:
        """Returns how the value of `flag` exceeds that of the flag that limits it; empty if it does not.

        `given` are the flags of a command with their values; what is no whole number there is not compared.
        """
        other = self.flags[flag].at_most if flag in self.flags else ""
        values = [given.get(name, ()) for name in (flag, other)]
        if not all(len(words) == 1 and words[0].isdecimal() for words in values):
            return ""
        value, most = (int(words[0]) for words in values)
        return f"{value} does not fit, expected at most the {most} of {other}" if value > most else ""

    def switched(self, flag: str) -> str | None:
        """Returns the switch that `flag` (--no-compile) turns off, or None."""
        positive = "--" + flag.removeprefix("--no-")
        return positive if flag.startswith("--no-") and positive in self.flags and self.flags[positive].switch else None

    def missing(self, given: Sequence[str]) -> list[str]:
        """Returns the required flags that are not `given`."""
        return [name for name, flag in self.flags.items() if flag.required and name not in given]


@cache
def trainer() -> Trainer:
    """Returns the trainer of this project."""
    return Trainer.model_validate_json(FILE.read_text(encoding="utf-8"))


def flag_of(name: str) -> str:
    """Returns the flag of a setting, whose name specs and manifests write with underscores."""
    return "--" + name.replace("_", "-")
