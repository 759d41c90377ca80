"""Says in one plain line what is wrong with the words of a call."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import typer

from katib.errors import SepsweepError, nearest

Parameter: TypeAlias = Any
"""An option or an argument of a verb, in typer's form."""
ParserError: TypeAlias = Any
"""An error of typer's parser, whose classes are private."""


def require_filled(verb: str, words: Sequence[str], takes: Sequence[Parameter]) -> None:
    """Raises SepsweepError where one of the `words` after the verb is empty, or an option where a value is expected.

    A word is empty where a script has not set its variable. `takes` holds typer's parameters of the verb.
    """
    options = [item for item in takes if item.opts[0].startswith("-") and not getattr(item, "is_flag", False)]
    valued = [name for item in options for name in item.opts]
    once = [name for item in options if not getattr(item, "multiple", False) for name in item.opts]
    argument = next((item for item in takes if not item.opts[0].startswith("-")), None)
    typed: set[str] = set()
    for before, word in zip(["", *words], words, strict=False):
        option, sign, value = word.partition("=")
        if option.startswith("--") and sign and not value.strip():
            raise SepsweepError(f"{verb}: {option} is empty; give it a value or leave it out")
        if option in once:
            if option in typed:
                raise SepsweepError(f"{verb}: {option} is given twice; give it once")
            typed.add(option)
        if before in valued:
            if not word.strip():
                raise SepsweepError(f"{verb}: {before} is empty; give it a value or leave it out")
            if word.startswith("--"):
                raise SepsweepError(f"{verb}: {before} has no value; give it one or leave it out")
        elif not word.strip():
            raise SepsweepError(f"{verb}: {_none(argument)} (see python -m katib {verb} --help)")


def _none(argument: Parameter) -> str:
    """Returns that `argument` is missing, and what it is."""
    option = next((name for name in getattr(argument, "opts", ()) if name.startswith("--")), None)
    name = option or (getattr(argument, "metavar", None) or "argument").strip("[]{}")
    described = getattr(argument, "help", None)
    return f"no {name} given" + (f": {described}" if described else "")


def complaint(error: typer.TyperException, words: Sequence[str] = ()) -> str:
    """Returns what is wrong with the `words` after a verb, in other terms than the parser's."""
    describe = _COMPLAINTS.get(type(error).__name__)
    return describe(error, words) if describe else error.format_message().rstrip(".")


def _missing(error: ParserError, _: Sequence[str]) -> str:
    return _none(error.param)


def _bad_value(error: ParserError, _: Sequence[str]) -> str:
    from pydantic import ValidationError

    from katib.defects import worded

    if error.param is None or not isinstance(error.__cause__, ValidationError):
        return str(error.format_message()).rstrip(".")
    option = error.param.opts[0]
    name = option if option.startswith("-") else error.param.name
    item = error.__cause__.errors()[0]
    return f"{name} '{item['input']}': {worded(item)}"


def _no_such_option(error: ParserError, words: Sequence[str]) -> str:
    """Returns the nearest option, or all options; or that an argument is given without a name."""
    dashed = [word for word in words if word.startswith("-")]
    typed = next((word for word in dashed if word.startswith(error.option_name)), dashed[-1])
    typed = typed.partition("=")[0]
    options = [name for item in error.ctx.command.params for name in item.opts if name.startswith("--")]
    if any(typed in item.opts for item in error.ctx.command.params):
        return f"{typed} is a switch and takes no value"
    names = (_arguments(error) or [""])[0]
    if typed.lstrip("-").upper() in names.split("|"):
        return f"unknown option '{typed}': give {names} without an option name"
    if not options:
        return f"unknown option '{typed}': it takes none"
    return f"unknown option '{typed}': {nearest('--' + typed.lstrip('-'), options)}"


def _bad_use(error: ParserError, words: Sequence[str]) -> str:
    """Returns that an option lacks its value, or that a switch has one."""
    given = next((word for word in words if word.startswith(f"{error.option_name}=")), "")
    if given:
        return (
            f"{error.option_name} is a switch and takes no value; write it without '{given[len(error.option_name) :]}'"
        )
    return f"{error.option_name} has no value; give it one or leave it out"


def _usage(error: ParserError, _: Sequence[str]) -> str:
    """Returns which word is one too many."""
    extra = re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", error.message)
    if not extra or error.ctx is None:
        return str(error.format_message()).rstrip(".")
    takes = ", ".join(_arguments(error))
    return f"unexpected '{extra[1]}': it takes {f'one {takes}' if takes else 'options only'}"


def _arguments(error: ParserError) -> list[str]:
    """Returns the names of the verb's arguments."""
    params = error.ctx.command.params
    return [(item.metavar or item.name).strip("[]{}") for item in params if not item.opts[0].startswith("-")]


_COMPLAINTS: Mapping[str, Callable[[ParserError, Sequence[str]], str]] = {
    "MissingParameter": _missing,
    "BadParameter": _bad_value,
    "NoSuchOption": _no_such_option,
    "BadOptionUsage": _bad_use,
    "UsageError": _usage,
}
"""What describes each of typer's errors, by the name of its class."""
