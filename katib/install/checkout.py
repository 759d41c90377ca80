"""Names the checkout's commit, and writes the digests of pushed images into the files that name them."""

import re
from pathlib import Path

from katib.errors import ClusterError
from katib.files import write_whole
from katib.install.command import run


def commit(root: Path) -> str:
    """Returns the short hash of the checkout, with `-dirty` where something that goes into images is changed or new.

    .dockerignore says what goes into them; k8s/, which a push changes, does not. Raises ClusterError without git.
    """
    try:
        ignored = (root / ".dockerignore").read_text().splitlines()
        name = run(["git", "-C", str(root), "rev-parse", "--short=12", "--verify", "HEAD"]).strip()
        content = [line[1:] for line in ignored if line.startswith("!")]
        status = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=normal", "--", *content]
        changed = run(status).strip()
    except FileNotFoundError as error:
        missing = "git is not installed" if error.filename == "git" else f"{error.filename} is missing"
        raise ClusterError(f"{missing}; image tags come from the commit of a checkout") from None
    except ClusterError as error:
        raise ClusterError(f"{error}; image tags come from the commit that 'git -C {root} log -1' must show") from None
    return f"{name}-dirty" if changed else name


def pinned(file: Path, line: re.Pattern[str], reference: str) -> str:
    """Returns the text of a file with `reference` in every place where `line` matches an image.

    Raises ClusterError where the file cannot be read or `line` matches nothing.
    """
    try:
        text, count = line.subn(lambda match: match[1] + reference, file.read_bytes().decode())
    except OSError as error:
        raise ClusterError(f"{file}: cannot be read ({error.strerror})") from None
    if not count:
        raise ClusterError(f"{file}: names none of our images; write image: {reference} there")
    return text


def pin(file: Path, line: re.Pattern[str], reference: str) -> None:
    """Writes the text of `pinned` to the file, whole or not at all.

    Raises ClusterError, or FolderError with the line to write.
    """
    write_whole(file.resolve(), [pinned(file, line, reference)], f"; write image: {reference} there")
