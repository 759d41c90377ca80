"""A folder that the user may not enter, such as somebody else's search in a common runs folder."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.verbs import katib


@pytest.mark.parametrize("verb", ["results", "best", "log", "report", "fetch"])
def test_a_search_that_may_not_be_entered_is_one_line(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in it can be looked at; root, as whom tests may run, would be let in, so the look itself is refused."""
    folder, look = tmp_path / "theirs", Path.stat
    folder.mkdir()

    def refused(path: Path, **given: Any) -> os.stat_result:
        if folder in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, **given)

    monkeypatch.setattr(Path, "stat", refused)
    done = katib(verb, "theirs", "--out", str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {folder}/study.db: Permission denied; the user")
