"""What the kubelet and Katib's pod webhook make of a trial's command, and whether it is our trainer. Pure."""

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
"""What of a script only a shell can read."""
_PLACEHOLDER = re.compile(r"\$\{trialParameters\.[^{}]+\}")


def expand(text: str, known: Mapping[str, str]) -> str:
    """Returns `text` as the kubelet passes it on (k8s.io/kubernetes, third_party/forked/golang/expansion): `$(NAME)` is
    the value of a variable, `$$` is `$`, and a reference to nothing known stays as it is.
    """

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def as_run(argv: Sequence[str]) -> tuple[str, ...]:
    """Returns a container's words as Katib's pod webhook has them run (pod/utils.go, wrapWorkerContainer): it joins
    them with blanks for a shell, which takes quotes away, and so the words behind a script belong to the script.

    A shell whose script is no more than the words of our trainer is left out: they are run themselves.
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
    """Returns whether a command is our trainer's training or one of its own verbs, so that it exits with the trainer's
    exit code.

    That is `python -m trainer`, with `env`, settings of variables or `exec` before it, or behind `sh -c` where the
    script holds no other command: of several nobody knows whose exit code it is.
    """
    script = " ".join(argv[2:]) if tuple(argv[:2]) in _SHELLS else ""
    read = read_script(script)
    if script and (len(read.commands) != 1 or read.end == "ends with '&'"):
        return False
    return _TRAINER.match(_joined(script or " ".join(argv))) is not None


def flags_in(words: Iterable[str]) -> dict[str, list[str]]:
    """Returns each flag of a command with the words after it; of a flag that is given twice, the last one."""
    flags: dict[str, list[str]] = {}
    for word in words:
        flag, sign, value = word.partition("=")
        if word.startswith("--"):
            flags.pop(flag, None)  # the last one takes the words that follow it
            flags[flag] = [value] if sign else []
        elif flags:
            flags[next(reversed(flags))].append(word)
    return flags


def _joined(script: str) -> str:
    """Returns a script with the lines in one that a backslash continues."""
    return script.replace("\\\n", " ").strip()


def _unquoted(word: str) -> str:
    """Returns the word without the quotes that a shell takes away; where they are no pairs it stays as it is."""
    if not _QUOTE.search(word):
        return word
    try:
        return "".join(shlex.split(word))
    except ValueError:
        return word
