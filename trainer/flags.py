"""`python -m trainer.flags > katib/trainer_flags.json`: the flags of a training, for the side that must not import it.

The file has each flag's type, whether it is required and the values that it takes, and for each model its presets and
its own flags. They come from the settings' fields and types, trainer/limits.py and the registry of models.
"""

import json
import math
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trainer.config import Run, Training
from trainer.limits import ASKS, AT_MOST, CHOICES, DIVIDES, LIMITS, ONLY_WITH, flag
from trainer.models import MODELS, find


def written() -> str:
    """Returns the text of the file."""
    flags = {
        flag(field.name): _described(field, get_type_hints(kind)[field.name])
        for kind in (Training, Run)
        for field in fields(kind)
        if field.name != "training"
    }
    models = {
        name: {
            "presets": list(find(name).presets),
            "flags": {flag(field): described.row | _limits(field) for field, described in model.fields.items()},
        }
        for name, model in MODELS.items()
    }
    return json.dumps({"flags": flags, "models": models}, indent=1) + "\n"


def _described(field: "Field[Any]", hint: Any) -> dict[str, object]:
    """Returns the row of a field, without the keys that have nothing to say."""
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    optional = NoneType in get_args(hint)
    row: dict[str, object] = {}
    kind: Any = kinds[0]
    if get_origin(hint) is Literal:
        kind, row["choices"] = str, list(get_args(hint))
    if get_origin(kind) is tuple:
        kind, row["many"] = get_args(kind)[0], True
    if field.name in CHOICES:
        row["choices"] = list(CHOICES[field.name])
    # --compile and --no-compile take no value.
    if kind is bool and not optional:
        row["switch"] = True
    row |= _limits(field.name)
    if field.name in AT_MOST:
        row["at_most"] = flag(AT_MOST[field.name])
    for name, (word, needed) in ASKS.items():
        if field.name == name:
            row["asks"] = {word: flag(needed)}
        if field.name == "epochs":
            row |= {"at_most": flag(needed), "at_most_with": [flag(name), word]}
    if field.name in DIVIDES:
        other = _setting(DIVIDES[field.name])
        row |= {"divides": flag(other.name), "whole": other.default}
    if field.name in ONLY_WITH:
        name, word = ONLY_WITH[field.name]
        row["only_with"] = [flag(name), word, _setting(name).default]
    if optional:
        row["optional"] = True
    if field.default is MISSING:
        row["required"] = True
    return {"type": "str" if kind is Path else kind.__name__, **row}


def _setting(name: str) -> "Field[Any]":
    """Returns the field of Training of this name."""
    return next(field for field in fields(Training) if field.name == name)


def _limits(name: str) -> dict[str, object]:
    """Returns the part of a row that says which numbers the field takes."""
    if (limits := LIMITS.get(name)) is None:
        return {}
    numbers = {"least": limits.least, "above": limits.above, "below": limits.below}
    given = {name: value for name, value in numbers.items() if value is not None and value < math.inf}
    return {**given, "expected": limits.expected}


if __name__ == "__main__":
    print(written(), end="")
