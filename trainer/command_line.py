"""Command line -> what it asks for, by tyro from the config's own types and docstrings; each error becomes one line.

Called by trainer/__main__.py.
"""

import contextlib
import io

import tyro

from trainer.config import Describe, Evaluate, Run, Separate, flags, nearest
from trainer.errors import ConfigError

Command = Run | Describe | Evaluate | Separate
VERBS: dict[str, type[Command]] = {"describe": Describe, "evaluate": Evaluate, "separate": Separate}


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
