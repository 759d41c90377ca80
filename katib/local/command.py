"""What the kubelet, and the image's Python, make of a trial's command: `$(VAR)` in it, and whether it is our trainer. Pure."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_PYTHON = re.compile(r"python(3(\.\d+)?)?")


def expand(text: str, known: Mapping[str, str]) -> str:
    """Returns `text` as the kubelet passes it on (k8s.io/kubernetes, third_party/forked/golang/expansion): `$(NAME)` is the value
    of a variable, `$$` is `$`, and a reference to nothing known stays as it is."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def expanded(variables: Sequence[tuple[str, str | None]], given: Mapping[str, str]) -> dict[str, str]:
    """Returns a container's environment: each value may refer to the variables before it. One without a value, which the cluster
    fills in, is that of `given`, if it is there."""
    known: dict[str, str] = {}
    for name, text in variables:
        if text is not None:
            known[name] = expand(text, known)
        elif name in given:
            known[name] = given[name]
    return known


def is_trainer(argv: Sequence[str]) -> bool:
    """Whether a command is our trainer's training or one of its own verbs: `python -m trainer`, with no shell before it."""
    if not argv or not _PYTHON.fullmatch(PurePosixPath(argv[0]).name) or "-m" not in argv:
        return False
    module = argv.index("-m") + 1
    return all(word.startswith("-") for word in argv[1:module]) and list(argv[module : module + 1]) == [
        "trainer"
    ]
