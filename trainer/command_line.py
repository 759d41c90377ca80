"""Command line -> what it asks for, by tyro from the config's own types and docstrings; each error becomes one line.

A caller that can pass one word only, such as a Katib parameter whose values are whole configurations, writes
`--set lr=0.001,seed=123` for `--lr 0.001 --seed 123`. Called by trainer/__main__.py.
"""

import contextlib
import io

import tyro

from trainer.config import Describe, Evaluate, Fingerprint, Run, Separate, flags
from trainer.errors import ConfigError
from trainer.limits import nearest

Command = Run | Describe | Evaluate | Separate | Fingerprint
SET = "--set"
VERBS: dict[str, type[Command]] = {
    "describe": Describe,
    "evaluate": Evaluate,
    "separate": Separate,
    "fingerprint": Fingerprint,
}


def parse(argv: list[str]) -> Command:
    """What `argv` asks for: a training, or what its first word names. Raises ConfigError that names the flag; exits
    where `--help` was asked for."""
    command: type[Command] = Run
    words, program = argv, "python -m trainer"
    if argv and not argv[0].startswith("-"):
        if argv[0] not in VERBS:
            raise ConfigError(
                f"unknown verb '{argv[0]}', {nearest(argv[0], list(VERBS))}; see {program} --help"
            )
        command, words, program = VERBS[argv[0]], argv[1:], f"{program} {argv[0]}"
    words = spelled_out(words)
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
        raise ConfigError(f"{_one_line(printed.getvalue())}; see {program} --help") from None
    if unknown:
        raise ConfigError(f"unknown argument '{unknown[0]}', {nearest(unknown[0], flags(command))}")
    return run


def spelled_out(words: list[str]) -> list[str]:
    """`words` with each `--set name=value,name=value` as the flags that it stands for. Raises ConfigError for a part
    without a value, and for a flag that is given twice: which of them counts should not have to be guessed."""
    found: list[str] = []
    given: list[str] = []
    rest = iter(words)
    for word in rest:
        if word != SET:
            found.append(word)
            continue
        for part in next(rest, "").split(","):
            name, sign, value = part.partition("=")
            if not (name and sign and value):
                raise ConfigError(f"{SET}: '{part}' is not name=value; several have commas between them")
            given.append("--" + name.replace("_", "-"))
            found += [given[-1], value]
    for flag in given:
        if [word.partition("=")[0].replace("_", "-") for word in found].count(flag) > 1:
            raise ConfigError(f"{SET}: {flag} is given twice")
    return found


def _one_line(box: str) -> str:
    """What tyro printed as a box, up to its first rule: what is wrong, without the help text that follows."""
    sentences: list[str] = []
    for line in box.splitlines()[1:]:
        text = line.strip("│╰╯| ")
        if text and not text.strip("─-+"):  # a rule; drawn in ASCII where the terminal has nothing else
            if sentences:
                break
            continue
        sentences.append(text)
    return " ".join(sentences)
