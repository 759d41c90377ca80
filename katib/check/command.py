"""Checks the trial's command, which Katib rewrites to one unquoted shell line (pod/utils.go, wrapWorkerContainer).

<words joined by blanks> 1>/var/log/katib/metrics.log 2>&1 [|| if test … early-stopped …; fi] && echo completed > …

A leading `sh -c` or `bash -c` is kept; any other command is put behind `sh -c`.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from katib.check.finding import Defect, error, warning
from katib.check.node import Node
from katib.check.template import PLACEHOLDER
from katib.manifest.shell import Command, read_script

WRAPPED = ("StdOut", "File", "TensorFlowEvent")
"""The kinds of collector for which Katib rewrites the command (pod/const.go)."""
SHELLS = ("sh", "bash")
OTHER_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "ksh")
UNSAFE = re.compile(r"""[\s'"`$\\;&|<>()*?\[\]]|^[#~]|^$""")
KUBERNETES_VARIABLE = re.compile(r"\$\([A-Za-z_]\w*\)")
"""A reference that the kubelet replaces before a shell sees it."""
LONGEST_IMAGE = 1000
FULL_IMAGE = re.compile(r"[^/]+[.:][^/]*/.+(:[\w.-]+|@sha256:[0-9a-f]{64})")

WORD = error(
    "command-word",
    finds="a word of the command with a blank, quote or another character that a shell reads, or an empty one",
    effect="Katib joins the words to one shell line without quoting: the trainer gets other words, or none",
    fix="leave such characters out: letters, digits and _ . / : = , + @ % - pass whole",
)
VALUE = error(
    "list-value-word",
    finds="a value of a list that reaches the command and holds a blank or another character that a shell reads",
    effect="the shell line that Katib makes of the command takes it apart",
    fix="use a plain word, and translate it in the trainer",
)
SHELL = error(
    "command-shell",
    finds="a shell with a script that is not exactly sh -c or bash -c: /bin/sh -c, bash -lc",
    effect="Katib puts sh -c before it without quoting, and the script loses all but its first word",
    fix='begin with "sh", "-c", or give the trainer\'s words themselves',
)
NO_SCRIPT = error(
    "command-no-script",
    finds="sh or bash alone, or sh -c without a script",
    effect="Katib's pod webhook crashes, or the shell runs nothing: no trial can run",
    fix='begin with "python", or write the script behind "sh", "-c"',
)
SCRIPT = error(
    "command-script",
    finds="a script with an exec, an exit or an open quote, or that ends in a comment, a here-document, a line end,"
    " ;, & or |",
    effect="Katib appends its redirection and its mark of completion to the script, and they are lost: the trial fails"
    " or is MetricsUnavailable",
    fix="give the trainer's words themselves, without a shell; a block keeps no line end behind |- or >-",
)
QUOTES = warning(
    "command-quotes",
    finds="a word of the command with quotes inside",
    effect="Katib's shell line takes them away; where the command runs without a shell the trainer sees them",
    fix="remove the quotes, if the word passes a shell line whole without them",
)
COMPOUND = warning(
    "command-compound",
    finds="a script of several commands",
    effect="only what the last one prints reaches the collector, only its exit code counts, and an early stop may"
    " miss it",
    fix="give the trainer's words themselves; prepare in the image or an init container",
)
NONE = error(
    "command-missing",
    finds="a primary container without command, with an image name that is not complete",
    effect="Katib must ask the registry for the image's command, and takes only registry/name:tag: no pod is created",
    fix="write command",
)
OF_IMAGE = warning(
    "command-of-image",
    finds="a primary container without command",
    effect="Katib's controller asks the registry for the image's command; where it may not read it, no pod is created",
    fix="write command",
)


def command(container: Node, kind: str | None) -> Iterator[Defect]:
    """Yields the defects of the primary container's command, which Katib rewrites for some `kind`s of collector."""
    words = [*container["command"].items, *container["args"].items]
    texts = [word.text or "" for word in words]
    if kind not in WRAPPED or any(word.text is None for word in words):
        return
    if not container["command"].items:
        image = container["image"].text or ""
        if image and not container["command"].value:
            rule = OF_IMAGE if len(image) < LONGEST_IMAGE and FULL_IMAGE.fullmatch(image) else NONE
            yield rule.at(container["command"], f"is missing; the image is {image}")
    elif texts[0] in SHELLS and (len(texts) == 1 or texts[1:] == ["-c"]):
        yield NO_SCRIPT.at(words[0], f"'{' '.join(texts)}' has no script")
    elif texts[0] in SHELLS and texts[1] == "-c":
        yield from _script(words[2], " ".join(texts[2:]))
    elif PurePosixPath(texts[0]).name in OTHER_SHELLS and _takes_script(texts):
        yield SHELL.at(words[0], f"'{' '.join(texts[:2])}' is not what Katib looks for")
    else:
        for word in words:
            yield from _word(word)


def values(container: Node, spec: Node) -> Iterator[Defect]:
    """Yields the defects of list values that reach the command through a placeholder."""
    held = {
        name for key in ("command", "args") for _, text in container[key].texts() for name in PLACEHOLDER.findall(text)
    }
    listed = spec["trialTemplate"]["trialParameters"].items
    reaching = {item["reference"].text for item in listed if item["name"].text in held}
    for parameter in spec["parameters"].items:
        if parameter["name"].text in reaching:
            for value in parameter["feasibleSpace"]["list"].items:
                if value.text is not None and UNSAFE.search(value.text):
                    yield VALUE.at(value, f"'{value.text}' does not pass a shell line whole")


def _takes_script(texts: list[str]) -> bool:
    return len(texts) > 2 and bool(re.fullmatch(r"-\w*c\w*", texts[1])) and " " in " ".join(texts[2:])


def _word(word: Node) -> Iterator[Defect]:
    text = KUBERNETES_VARIABLE.sub("x", PLACEHOLDER.sub("x", word.text or ""))
    if text == "exec":
        yield SCRIPT.at(word, "'exec' replaces the shell that Katib's mark of completion needs")
    elif UNSAFE.search(text) and _quoted_whole(text):
        yield QUOTES.at(word, f"'{word.text}' holds quotes")
    elif unsafe := UNSAFE.search(text):
        character = repr(unsafe[0]) if unsafe[0] else "nothing"
        yield WORD.at(word, f"'{word.text}' holds {character}")


def _quoted_whole(text: str) -> bool:
    """Returns whether a shell reads the word as a single one and changes nothing but its quotes."""
    try:
        words = shlex.split(text)
    except ValueError:
        return False
    outside = re.sub(r"'[^']*'|\"[^\"]*\"", "x", text)
    return (
        outside != text
        and len(words) == 1
        and not re.search(r"[$`\\]", text)
        and not UNSAFE.search(outside)
        and words[0] == re.sub(r"[\"']", "", text)
    )


def _script(node: Node, text: str) -> Iterator[Defect]:
    script = read_script(KUBERNETES_VARIABLE.sub("x", PLACEHOLDER.sub("x", text)))
    commands = script.commands
    if not script.complete:
        yield SCRIPT.at(node, "is no complete shell script: a quote or a here-document is open at its end")
    elif not commands and not text.strip():
        yield NO_SCRIPT.at(node, "is empty")
    elif script.end:
        fix = "write the block with |- or >-, which drop the last line end" if "line end" in script.end else None
        yield SCRIPT.at(node, script.end, fix=fix)
    elif _ends_shell(commands):
        yield SCRIPT.at(node, "ends the shell itself, with exec or exit")
    elif len(commands) > 1:
        yield COMPOUND.at(node, f"has {len(commands)} commands")


def _ends_shell(commands: list[Command]) -> bool:
    """Returns whether the shell never runs what Katib appends.

    That is so if an exec replaces the shell, or an exit that is unconditional or last ends it.
    """
    words = [command.word for command in commands]
    last = words[-1] if words else ""
    always = (command.word == "exit" and command.after not in ("&&", "||") for command in commands)
    return "exec" in words or last == "exit" or any(always)
