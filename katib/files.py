"""Writes a file that is there whole or not at all: beside its place, then renamed into it.

Called by whoever keeps results.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from katib.errors import FolderError


def write_whole(path: Path, pieces: Iterable[str], advice: str = "") -> None:
    """Make or replace `path`, its folder too.

    Raises FolderError, which ends with `advice`; nothing half-written stays.
    """
    building = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building.unlink(missing_ok=True)  # one that was cut off, or a link that would lead elsewhere
        with building.open("x", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
        building.replace(path)
    except OSError as error:
        with suppress(OSError):
            building.unlink()
        raise FolderError(f"{path}: cannot be written ({error.strerror}){advice}") from None
