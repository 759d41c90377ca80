"""A run directory that the user may not enter."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from trainer.__main__ import main


def test_a_run_directory_that_may_not_be_entered_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root, as whom tests may run, would be let in, so the look itself is refused."""
    folder, look = tmp_path / "theirs", Path.stat
    folder.mkdir()

    def refused(path: Path, **given: Any) -> os.stat_result:
        if folder in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **given)

    monkeypatch.setattr(Path, "stat", refused)
    assert main(["export", "--checkpoint", str(folder), "--out", str(tmp_path / "x.pt")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {folder}/best.pt: Permission denied; ask its owner")
