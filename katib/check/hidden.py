"""Checks what Katib's volume hides: Katib mounts it, empty, over the image's folder for the metrics file."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from katib.check.finding import Defect, error
from katib.check.node import Node

SYSTEM = ("/", "/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")
PROGRAM = re.compile(r"[\w./-]+\.(?:py|sh|pl|jl|r|R|jar|js|lua)")

HIDDEN = error(
    "metrics-folder-hides",
    finds="a metrics file in the folder of the trainer's program, or in one of the system's (/, /usr, /etc)",
    effect="Katib mounts an empty volume at the folder, which hides the program: every trial fails",
    fix="write the metrics into a folder of their own, such as /metrics",
)


def hidden(container: Node, folder: str | None) -> Iterator[Defect]:
    """Yields a defect if the primary container's program is below `folder`, where Katib mounts its volume (if any)."""
    if not folder or not folder.startswith("/"):
        return
    mounted = PurePosixPath(folder)
    words = [*container["command"].items, *container["args"].items]
    if str(mounted) in SYSTEM or str(mounted).startswith("/usr/"):
        yield HIDDEN.at(words[0] if words else container, f"the mount at {mounted} hides what the image has there")
        return
    mounts = [PurePosixPath(mount["mountPath"].text or "/") for mount in container["volumeMounts"].items]
    base = PurePosixPath(container["workingDir"].text or "/?")
    for index, word in enumerate(words):
        text = word.text or ""
        pieces = text.split() if index == 2 and words[1].text == "-c" else [text]
        for number, piece in enumerate(pieces):
            if not (PROGRAM.fullmatch(piece) or (piece.startswith("/") and index + number == 0)):
                continue
            program = base / piece
            covered = any(mount in program.parents and mounted in mount.parents for mount in mounts)
            if mounted in program.parents and not covered:
                yield HIDDEN.at(word, f"'{piece}' is below {mounted}, where Katib mounts an empty volume")
                return
