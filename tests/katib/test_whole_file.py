"""Files of results are there whole or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from katib.conclude.sizes import Size, sizes
from katib.errors import FolderError
from katib.files import write_whole
from katib.manifest.object import Manifest


def test_a_file_whose_writing_breaks_off_stays_as_it_was(tmp_path: Path) -> None:
    """The disk is full after the first piece: the old text is there, and nothing beside it."""
    path = tmp_path / "log.md"
    path.write_text("old")

    def pieces() -> Iterator[str]:
        yield "new"
        raise OSError(28, "No space left on device")

    with pytest.raises(FolderError, match=r"log\.md: cannot be written \(No space left on device\); try elsewhere"):
        write_whole(path, pieces(), "; try elsewhere")
    with pytest.raises(FolderError, match=r"log\.md: cannot be written \(No space left on device\); make room$"):
        write_whole(path, pieces())
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_sizes_that_cannot_be_kept_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands where the folder belongs."""
    (tmp_path / "runs").write_text("no folder")
    monkeypatch.setattr("katib.conclude.sizes.describe", lambda words: Size(1, 1, 4.0, {}))
    with pytest.raises(FolderError, match=r"sizes\.json: cannot be written"):
        sizes(Manifest({"trialTemplate": {"trialSpec": {}}}), [{}], tmp_path / "runs" / "sizes.json")
