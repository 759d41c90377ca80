"""Reads a trial's command as the kubelet and Katib's pod webhook do, and tells whether it runs our trainer."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from katib.manifest.shell import read_script

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_TRAINER = re.compile(
    r"(exec\s+)?((/\S*/)?env\s+)?([A-Za-z_]\w*=\S*\s+)*(\S*/)?python(3(\.\d+)?)?(\s+-[A-Za-z]+)*?\s+-m\s+trainer(\s|$)"
)
_SHELLS = (("sh", "-c"), ("bash", "-c"))
_QUOTE = re.compile(r"['\"]")
_FOR_A_SHELL = re.compile(r"[`$\\;&|<>()*?\[\]{}#~!\n]")
"""Characters of a script that only a shell can interpret."""
_PLACEHOLDER = re.compile(r"\$\{trialParameters\.[^{}]+\}")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Returns `text` with its variables filled in, as the kubelet does (third_party/forked/golang/expansion).

    `$(NAME)` becomes the value of a variable, `$$` becomes `$`, and a reference to an unknown variable stays as it is.
    """

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else variables.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def as_run(argv: Sequence[str]) -> tuple[str, ...]:
    """Returns the words that run in the end (pod/utils.go, wrapWorkerContainer).

    Katib's pod webhook joins a container's words with blanks for a shell, which removes quotes; so the words after a
    script belong to the script. A shell whose script is only our trainer's command is left out.
    """
    if tuple(argv[:2]) not in _SHELLS or len(argv) < 3:
        return tuple(_unquoted(word) for word in argv)
    script = " ".join(argv[2:])
    plain = _joined(script).removeprefix("exec ")
    if not is_trainer(argv) or _FOR_A_SHELL.search(_PLACEHOLDER.sub("x", plain)):
        return (*argv[:2], script)
    words = shlex.split(plain)
    return ("env", *words) if "=" in words[0] else tuple(words)


def is_trainer(argv: Sequence[str]) -> bool:
    """Returns whether a command runs our trainer, one of its verbs included, and so exits with the trainer's exit code.

    That is `python -m trainer`, perhaps after `env`, variable assignments or `exec`, or behind `sh -c` if the script
    holds no other command: with several commands the exit code may be another one's.
    """
    script = " ".join(argv[2:]) if tuple(argv[:2]) in _SHELLS else ""
    read = read_script(script)
    if script and (len(read.commands) != 1 or read.end == "ends with '&'"):
        return False
    return _TRAINER.match(_joined(script or " ".join(argv))) is not None


def trainer_in(argv: Sequence[str]) -> list[str]:
    """Returns the words of our trainer's command up to its module, which a verb may follow.

    There are none where only a shell can read them, or where it is another program's.
    """
    return list(argv[: argv.index("trainer") + 1]) if "trainer" in argv and is_trainer(argv) else []


def flags_in(words: Iterable[str]) -> dict[str, list[str]]:
    """Returns each flag of a command with the words after it; of a flag that is given twice, the last one."""
    flags: dict[str, list[str]] = {}
    for word in words:
        flag, sign, value = word.partition("=")
        if word.startswith("--"):
            # The last one takes the words that follow it.
            flags.pop(flag, None)
            flags[flag] = [value] if sign else []
        elif flags:
            flags[next(reversed(flags))].append(word)
    return flags


def _joined(script: str) -> str:
    """Returns a script with continued lines joined."""
    return script.replace("\\\n", " ").strip()


def _unquoted(word: str) -> str:
    """Returns the word without the quotes that a shell removes; unpaired quotes stay."""
    if not _QUOTE.search(word):
        return word
    try:
        return "".join(shlex.split(word))
    except ValueError:
        return word
