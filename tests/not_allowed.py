"""A folder that the user may not enter. Root, as whom tests may run, is let in, so the look itself is refused."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest


def refuse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creates a folder of which nothing inside can be looked at."""
    folder.mkdir()
    look = Path.stat

    def refused(path: Path, **given: Any) -> os.stat_result:
        if folder in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **given)

    monkeypatch.setattr(Path, "stat", refused)
