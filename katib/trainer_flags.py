"""Knows the flags of the trainer without importing it: each flag's type, limits and words, by model.

`python -m trainer.flags` writes katib/trainer_flags.json, and a test compares that file with the trainer. The flags of
a model of somebody's own are read from its source, which is not run; the trainer does that, and needs no torch for it.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from katib.errors import LONGEST_WORD, nearest
from katib.program import ROOT
from katib.trainer_contract import Exit, Flags, is_own, program, run_trainer

FILE = Path(__file__).with_suffix(".json")
NONE = "None"
"""The word that gives an optional flag its default."""
OUR_MODELS = ROOT / "trainer" / "models"
SOURCE_SECONDS, MOST_MODELS = 60, 200
_WORDS = {"int": "a whole number", "float": "a number", "bool": "True or False", "str": "a word"}


class Flag(BaseModel):
    """A flag. Numbers are at least `least`, above `above` and below `below`; `expected` says so in words."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

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
    at_most_with: tuple[str, str] | None = None
    """The flag and its word with which alone that is so."""
    only_with: tuple[str, str, str] | None = None
    """The flag and its word with which alone this one has an effect, and the word of that flag by default."""
    asks: dict[str, str] = {}
    """The flag that must be given, too, for each word that needs one."""
    divides: str = ""
    """The flag whose value this one's must divide, which is `whole` where it is not given."""
    whole: int = 1

    def problem(self, text: str) -> str:
        """Returns what is wrong with `text` as its value; empty if nothing is."""
        choices = self.choices or (("True", "False") if self.type == "bool" else ())
        if choices:
            # The choices list cuda:1 and the like as cuda:N.
            known = re.sub(r":\d+$", ":N", text) in choices
            return "" if known else f"'{text}' is unknown, valid: {', '.join(choices)}"
        if self.type == "str":
            return "" if text.strip() else "is empty, expected a text"
        try:
            value = int(text) if self.type == "int" else float(text)
        except ValueError:
            return f"'{text}' is not {_WORDS[self.type]}"
        fits = value >= self.least and value > self.above and value < self.below
        return "" if fits else f"{text} does not fit, expected {self.expected or 'a finite number'}"


class Model(BaseModel):
    """A model: its presets, and the flags that are the fields of its config."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    presets: tuple[str, ...]
    flags: dict[str, Flag]


class Trainer(BaseModel):
    """All flags of a training, and the models."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    flags: dict[str, Flag]
    models: dict[str, Model]

    def flag(self, flag: str, model: str | None) -> Flag | None:
        """Returns the row of `flag`, also of its --no- form, in a training of `model` (None: of any); None without."""
        if row := self.flags.get(flag) or self.flags.get(self.switched(flag) or ""):
            return row
        known = self.model(model) if model else None
        of = [known] if known else self.models.values()
        return next((one.flags[flag] for one in of if flag in one.flags), None)

    def model(self, name: str) -> Model | None:
        """Returns a model by its flags; None where they cannot be told here.

        What the file of flags does not have, a model of one's own or one that was added to the trainer, is read from
        its source.
        """
        if name in self.models:
            return self.models[name]
        added = name.isidentifier() and (OUR_MODELS / f"{name}.py").is_file()
        return own_model(name).known if added or is_own(name) else None

    def unknown(self, flag: str, model: str | None) -> str:
        """Returns why a training of `model` (None: of any) does not have `flag`; empty if it does, or nobody knows."""
        if flag in self.flags or self.switched(flag) is not None:
            return ""
        known, own = self.model(model) if model else None, bool(model) and is_own(model or "")
        owners = [name for name, one in self.models.items() if flag in one.flags]
        if known is not None:
            having = f"its own flags: {', '.join(known.flags) or 'none'}"
            if flag in known.flags:
                return ""
            if owners:
                have = f"{', '.join(owners)} {'has' if len(owners) == 1 else 'have'} it"
                return f"{model} has no {flag} ({have}); {having}"
            return f"the trainer has no flag {flag}: {nearest(flag, [*self.flags, *known.flags])}"
        return "" if owners or own else f"the trainer has no flag {flag}: {nearest(flag, self.flags)}"

    def problem(self, flag: str, values: Sequence[str], model: str | None) -> str:
        """Returns what is wrong with `flag` and the words after it; empty if nothing is, or if it cannot be told."""
        if found := self.unknown(flag, model):
            return found
        known = self.flag(flag, model)
        if known is None or (list(values) == [NONE] and known.optional):
            return ""
        if known.switch and (not values or flag not in self.flags):
            return f"'{values[0]}' is one word too many: {flag} takes none" if values else ""
        if not values:
            return f"is without a value, expected {known.expected or _WORDS[known.type]}"
        if len(values) > 1 and not known.many:
            return f"'{values[1]}' is one word too many: {flag} takes one"
        if flag == Flags.MODEL and (is_own(values[0]) or self.model(values[0])):
            return own_model(values[0]).problem if is_own(values[0]) else ""
        if flag == Flags.CURRICULUM and values[0] == model:
            return ""
        if flag == Flags.CURRICULUM and is_own(values[0]):
            return f"'{values[0]}' is unknown, valid: auto, all, {model or 'a model'}"
        if flag == Flags.PRESET:
            one = self.model(model) if model else None
            if one is None and model and is_own(model):
                return ""
            of = [one] if one else self.models.values()
            presets = dict.fromkeys(preset for one in of for preset in one.presets)
            known = Flag(type="str", choices=tuple(presets))
        twice = next((f"'{text}' is there twice" for text in values if values.count(text) > 1), "")
        return next(filter(None, map(known.problem, values)), twice)

    def idle(self, flag: str, given: Mapping[str, Sequence[str]]) -> str:
        """Returns with which word of another flag alone `flag` does anything, if that has another; `given` as below."""
        if (known := self.flags.get(flag)) is None or known.only_with is None:
            return ""
        other, word, usual = known.only_with
        words = given.get(other, (usual,))
        return "" if word in words else f"has no effect with {other} {' or '.join(words)}, only with {word}"

    def excess(self, flag: str, given: Mapping[str, Sequence[str]]) -> str:
        """Returns how the value of `flag` does not fit that of the flag that limits it; empty if it does.

        `given` are the flags of a command with their values, all possible ones where they are searched; what is no
        whole number there is not compared.
        """
        known = self.flags.get(flag, Flag(type=""))
        for word, needed in known.asks.items():
            if word in given.get(flag, ()) and needed not in given:
                return f"{word} needs {needed}, which is not given"
        if known.at_most_with and known.at_most_with[1] not in given.get(known.at_most_with[0], ()):
            return ""
        other = known.at_most or known.divides
        values = [given.get(flag, ()), given.get(other, (str(known.whole),) if known.divides else ())]
        if not all(len(words) == 1 and words[0].isdecimal() and len(words[0]) < 20 for words in values):
            return ""
        value, most = (int(words[0]) for words in values)
        if known.divides:
            fits = [str(number) for number in range(1, min(most, 64) + 1) if most % number == 0]
            problem = f"{value} does not divide the {most} of {other}, choose among {', '.join(fits)}"
            return problem if value and most % value else ""
        return f"{value} does not fit, expected at most the {most} of {other}" if value > most else ""

    def switched(self, flag: str) -> str | None:
        """Returns the switch that `flag` (--no-compile) turns off, or None."""
        positive = "--" + flag.removeprefix("--no-")
        return positive if flag.startswith("--no-") and positive in self.flags and self.flags[positive].switch else None

    def missing(self, given: Sequence[str]) -> list[str]:
        """Returns the required flags that are not `given`."""
        return [name for name, flag in self.flags.items() if flag.required and name not in given]


@dataclass(frozen=True)
class OwnModel:
    """A model of one's own, as its source has it: its flags, or why they are unknown here, or what is wrong with it."""

    known: Model | None = None
    unknown: str = ""
    problem: str = ""
    absent: bool = False
    """Whether its module is not found."""


@cache
def own_model(word: str) -> OwnModel:
    """Returns what the source of the model `word` (my_package.my_model:MODEL) says; no module is run for it.

    A word without a colon is a file of the trainer's own models.
    """
    # A manifest of others may list any number of models.
    if own_model.cache_info().misses > MOST_MODELS or len(word) > LONGEST_WORD:
        return OwnModel(unknown=f"{word[:LONGEST_WORD]}: so many models, or so long a name, are not read")
    try:
        answer = run_trainer([*program("trainer.models"), word], timeout=SOURCE_SECONDS)
    except OSError as error:
        return OwnModel(unknown=f"{word} cannot be read here ({error})")
    if answer.code == Exit.BAD_INPUT:
        return OwnModel(problem=answer.problem.removeprefix("model "))
    if answer.code:
        return OwnModel(unknown=f"{word} cannot be read here ({answer.problem})")
    said = json.loads(answer.output)
    if "absent" in said:
        return OwnModel(unknown=said["absent"].removeprefix("model "), absent=True)
    if said["presets"] is None or said["fields"] is None:
        return OwnModel(
            unknown=f"{word}: its presets are not written out as {{name: Config(…)}} beside their dataclass"
        )
    flags = {flag_of(name): row for name, row in said["fields"].items()}
    return OwnModel(known=Model.model_validate({"presets": said["presets"], "flags": flags}))


@cache
def trainer() -> Trainer:
    """Returns the trainer of this project."""
    return Trainer.model_validate_json(FILE.read_text(encoding="utf-8"))


def flag_of(name: str) -> str:
    """Returns the flag of a setting, whose name specs and manifests write with underscores."""
    return "--" + name.replace("_", "-")


def setting_of(flag: str) -> str:
    """Returns the name of the setting of a flag."""
    return flag.removeprefix("--").replace("-", "_")


def fields_in(given: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Returns the fields of a model's config among the flags of a command, with values that are no placeholders."""
    known = {*trainer().flags, Flags.SET}
    values = {flag: words[0] for flag, words in given.items() if len(words) == 1 and flag not in known}
    return {setting_of(flag): text for flag, text in values.items() if text and "${" not in text}
