"""Parses the command line with tyro, from the types and docstrings of the settings; every error becomes one line.

A caller that can pass one word only, such as a Katib parameter whose values are whole configurations, writes `--set
lr=0.001,seed=123` for `--lr 0.001 --seed 123`. A search, which gives each flag a value, writes `--compile False` for
`--no-compile`.
"""

import contextlib
import io
import os
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TypeVar

import tyro

from trainer.config import Architecture, Pace, Run, flags, with_fields
from trainer.errors import ConfigError
from trainer.limits import flag as flag_of
from trainer.models import MODELS, config_fields
from trainer.requests import Describe, Evaluate, Export, Fingerprint, Separate
from trainer.text import nearest

Command = Run | Describe | Evaluate | Export | Separate | Fingerprint
C = TypeVar("C")
SET = "--set"
_CHOICE = re.compile(r"invalid choice '(.*)' for argument '(--\S+)'\. Expected one of \((.*)\)\.")
_WANTED = re.compile(r"(--[a-z-]+|[A-Z]+) (?:[A-Z]{2,} )?(.+?)\.? \(required\)")
_WORDINGS = {
    r"Error parsing (--\S+): .*invalid literal for int\(\) with base 10: '(.*)'": "{}: '{}' is no whole number",
    r"Error parsing (--\S+): .*could not convert string to float: '(.*)'": "{}: '{}' is no number",
    r"Missing value for argument '(--\S+)'\..*": "{}: its value is missing",
}
"""What tyro says of a value, and how we say it."""
VERBS: dict[str, type[Command]] = {
    "describe": Describe,
    "evaluate": Evaluate,
    "export": Export,
    "separate": Separate,
    "fingerprint": Fingerprint,
    "pace": Pace,
}


def parse(argv: list[str]) -> Command:
    """Returns the request in `argv`: that of the verb that it begins with, or else a training.

    Raises ConfigError that names the flag; exits where `--help` was asked for.
    """
    command: type[Command] = Run
    words, program = argv, "python -m trainer"
    if argv and not argv[0].startswith("-"):
        if argv[0] not in VERBS:
            raise ConfigError(f"unknown verb '{argv[0]}', {nearest(argv[0], list(VERBS))}; see {program} --help")
        command, words, program = VERBS[argv[0]], argv[1:], f"{program} {argv[0]}"
    words = spelled_out(words)
    command = with_fields(command, _model(words))
    return read(command, _turned(words, flags(command)), program)


def read(command: type[C], words: list[str], program: str) -> C:
    """Returns the dataclass `command` with its fields set by the flags in `words`.

    Raises ConfigError that names the flag; exits where `--help` was asked for.
    """
    if not {"-h", "--help"} & set(words):
        _check_flags(words, command)
    # no-color.org; tyro only asks whether stdout is a terminal.
    if os.environ.get("NO_COLOR"):
        getattr(tyro, "_experimental_options", {})["ansi_codes"] = False
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            run, unknown = tyro.cli(
                command,
                prog=program,
                args=words,
                config=(tyro.conf.OmitArgPrefixes,),
                return_unknown_args=True,
            )
    except SystemExit as exit_:
        if not exit_.code:
            raise
        raise ConfigError(f"{_plainly(_one_line(printed.getvalue()))}; see {program} --help") from None
    if unknown:
        raise ConfigError(f"'{unknown[0]}' belongs to no flag; see {program} --help")
    return run


def spelled_out(words: list[str]) -> list[str]:
    """Returns `words` with each `--set name=value,name=value` replaced by the flags that it stands for.

    Raises ConfigError for a part without a value.
    """
    spelled: list[str] = []
    rest = iter(words)
    for word in rest:
        name, sign, given = word.partition("=")
        if name != SET:
            spelled.append(word)
            continue
        for part in (given if sign else next(rest, "")).split(","):
            name, sign, value = part.partition("=")
            if not (name and sign and value):
                raise ConfigError(f"{SET}: '{part}' is not name=value; separate several with commas")
            spelled += ["--" + name.replace("_", "-"), value]
    return spelled


def _model(words: list[str]) -> str:
    """Returns the model that `words` name; empty where they name none."""
    flag = "--model"
    given = [after for word, after in pairwise([*words, ""]) if word == flag]
    return next((word.partition("=")[2] for word in words if word.startswith(f"{flag}=")), "") or "".join(given[:1])


def _turned(words: list[str], known: Mapping[str, str]) -> list[str]:
    """Returns `words` with the switches of the `known` flags that have a value, True or False, as those without one."""
    off = {switch: negated for negated, switch in known.items() if negated != switch}
    turned: list[str] = []
    before = ""
    for word in words:
        name, sign, value = word.partition("=")
        switch = name.replace("_", "-")
        if before and word in ("True", "False"):
            turned[-1], before = (before if word == "True" else off[before]), ""
        elif switch in off and value in ("True", "False"):
            turned, before = [*turned, switch if value == "True" else off[switch]], ""
        else:
            turned, before = [*turned, word], "" if sign or switch not in off else switch
    return turned


def _check_flags(words: list[str], command: type) -> None:
    """Raises ConfigError for a flag that the command lacks, with the nearest one, or given twice, or empty.

    Nobody should have to guess which of two values counts, in whatever form they are given. Abbreviations and empty
    values are refused.
    """
    known = flags(command)
    seen = set()
    for word, after in pairwise([*words, "--"]):
        if not re.match("--?[A-Za-z]", word):
            continue
        name, sign, value = word.partition("=")
        name = name.replace("_", "-")
        if name not in known:
            _check_field(name, words, command)
            raise ConfigError(f"unknown argument '{name}', {nearest(name, known)}")
        if known[name] in seen:
            raise ConfigError(f"{known[name]} is given twice; remove one of the two")
        seen.add(known[name])
        # It looks like a flag, unlike -1.
        if re.fullmatch("-(inf|infinity|nan)", after.lower()):
            raise ConfigError(f"{known[name]}: {after} does not fit, expected a finite number")
        # An empty path would be the current folder.
        if not (value if sign else after).strip():
            raise ConfigError(f"{known[name]} is empty; give it a value or leave it out")


def _check_field(flag: str, words: list[str], command: type) -> None:
    """Raises ConfigError for a flag that is a field of another model's config, with those of the model in `words`."""
    model = _model(words)
    others = [name for name in MODELS if flag in map(flag_of, config_fields(name))]
    if model and others and issubclass(command, Architecture | Run):
        own = ", ".join(map(flag_of, config_fields(model))) or "none"
        have = f"{', '.join(others)} {'has' if len(others) == 1 else 'have'} it"
        raise ConfigError(f"{flag}: {model} has no such field ({have}); its fields: {own}")


def _one_line(box: str) -> str:
    """Returns the error in the box that tyro printed: the text above its first rule, without the help below."""
    sentences: list[str] = []
    for line in box.splitlines()[1:]:
        text = line.strip("│╰╯| ")
        # A rule, which is drawn in ASCII where the terminal has nothing else.
        if text and not text.strip("─-+"):
            if sentences:
                break
            continue
        sentences.append(text)
    return " ".join(sentences)


def _plainly(error: str) -> str:
    """Returns an error of tyro's about a value in our words: the flag, then what is wrong with it; others stay."""
    if found := _CHOICE.fullmatch(error):
        word, name, options = found.groups()
        known = re.findall("'([^']*)'", options)
        return f"{name}: unknown '{word}', {nearest(word, known)}"
    if error.startswith("Missing from"):
        wanted = _WANTED.findall(error.partition(": ")[2])
        return "; ".join(f"{flag} is missing ({what[0].lower()}{what[1:].partition('. ')[0]})" for flag, what in wanted)
    for pattern, wording in _WORDINGS.items():
        if found := re.fullmatch(pattern, error):
            return wording.format(*found.groups())
    return error.removesuffix(".")
