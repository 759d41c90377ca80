"""Writes a file as a whole or not at all: under another name first, which is then renamed."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from katib.errors import FolderError


def write_whole(path: Path, pieces: Iterable[str], advice: str = "") -> None:
    """Creates or replaces the file `path`, and creates its folder.

    Raises FolderError, whose message ends with `advice`; nothing half-written remains then.
    """
    building = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It may be what an interrupted write left, or a link that leads elsewhere.
        building.unlink(missing_ok=True)
        with building.open("x", encoding="utf-8", newline="") as file:
            file.writelines(pieces)
            file.flush()
            # Without this, a power failure may leave the new name with nothing in it.
            os.fsync(file.fileno())
        building.replace(path)
    except OSError as error:
        with suppress(OSError):
            building.unlink()
        room = "; make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise FolderError(f"{path}: cannot be written ({error.strerror}){advice or room}") from None
