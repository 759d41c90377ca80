"""What is wrong with the words of a call, in one plain line."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import typer
from typer.models import ArgumentInfo

from katib.errors import SepsweepError


def require_filled(verb: str, words: Sequence[str], takes: Callable[..., object]) -> None:
    """Raises SepsweepError where one of the `words` behind the verb is empty, as where a script never set its variable. `takes`
    is the verb's function."""
    for before, word in zip(["", *words], words, strict=False):
        option, sign, value = word.partition("=")
        if option.startswith("--") and sign and not value.strip():
            raise SepsweepError(f"{verb}: {option} is empty; give it a value or leave it out")
        if not word.strip():
            if before.startswith("--") and "=" not in before:
                raise SepsweepError(f"{verb}: {before} is empty; give it a value or leave it out")
            raise SepsweepError(f"{verb}: {_none(_argument(takes))} (see python -m katib {verb} --help)")


def _argument(takes: Callable[..., object]) -> ArgumentInfo | None:
    """The verb's first argument."""
    parameters = signature(takes).parameters.values()
    marks = [mark for one in parameters for mark in getattr(one.annotation, "__metadata__", ())]
    return next((mark for mark in marks if isinstance(mark, ArgumentInfo)), None)


def _none(argument: Any) -> str:
    """That `argument` is missing, and what it is."""
    name = (getattr(argument, "metavar", None) or "argument").strip("[]{}")
    described = getattr(argument, "help", None)
    return f"no {name} given" + (f": {described}" if described else "")


def complaint(error: typer.TyperException) -> str:
    """What the parser of the call says, without its validator's own words."""
    from pydantic import ValidationError

    from katib.document import worded

    option = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter":
        return _none(option)
    if option is None or not isinstance(error.__cause__, ValidationError):
        return error.format_message().rstrip(".")
    item = error.__cause__.errors()[0]
    name = option.opts[0] if option.opts[0].startswith("-") else option.name
    return f"{name} '{item['input']}': {worded(item)}"
