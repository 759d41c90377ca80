"""A folder that the user may not enter, such as somebody else's search in a common runs folder."""

from pathlib import Path

import pytest

from tests.not_allowed import refuse
from tests.verbs import katib


@pytest.mark.parametrize("verb", ["results", "best", "log", "report", "fetch"])
def test_a_search_that_may_not_be_entered_is_one_line(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "theirs"
    refuse(folder, monkeypatch)
    done = katib(verb, "theirs", "--out", str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {folder}/study.db: Permission denied; the user")
