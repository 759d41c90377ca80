"""Writes the digests of pushed images into the files that name them."""

import re
from pathlib import Path

from katib.errors import ClusterError
from katib.files import write_whole


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
