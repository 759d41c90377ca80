"""Files of a run directory: what is on the disk when, and every way in which one cannot be written.

The order of writing is POSIX's: the content must be on the disk before rename(2) makes it the file, and the folder's
entry only is once the folder itself is synced (fsync(2), "Calling fsync() does not necessarily ensure that the entry in
the directory containing the file has also reached disk").
"""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from trainer.errors import StorageError
from trainer.training.room import Room
from trainer.training.run_directory import RunDirectory
from trainer.training.stop import Stopped, StopRequest

ROOM = Room(0, StopRequest())


@pytest.fixture
def folder(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path, ROOM)


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def descriptors() -> int:
    """Returns the number of open descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_the_folder_after(
    folder: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fsync and rename as it is called; the file is whole when it is synced."""
    seen: list[tuple[str, object]] = []
    fsync, replace = os.fsync, Path.replace

    def syncing(descriptor: int) -> None:
        state = os.fstat(descriptor)
        seen.append(("folder", "") if stat.S_ISDIR(state.st_mode) else ("file", state.st_size))
        fsync(descriptor)

    def renaming(old: Path, new: Path) -> Path:
        seen.append(("rename", f"{old.name} {Path(new).name}"))
        return replace(old, new)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", renaming)
    folder.write("last.pt", b"12345")
    assert seen == [("file", 5), ("rename", "last.pt.tmp last.pt"), ("folder", "")]
    assert names(folder.path) == {"last.pt"}


def test_no_descriptor_is_left_open(folder: RunDirectory) -> None:
    """A training writes for weeks."""
    before = descriptors()
    for _ in range(3):
        folder.write("last.pt", b"12345", keep="previous.pt")
    assert descriptors() == before


def test_the_file_before_is_kept_and_only_that(folder: RunDirectory) -> None:
    """Without one there is nothing to keep, and without a name it is not kept."""
    folder.write("last.pt", b"one", keep="previous.pt")
    assert names(folder.path) == {"last.pt"}
    folder.write("last.pt", b"two", keep="previous.pt")
    folder.write("last.pt", b"three", keep="previous.pt")
    folder.write("last.pt", b"four")
    content = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    assert content == {"last.pt": b"four", "previous.pt": b"two"}


@pytest.mark.parametrize("leftover", [False, True])
def test_the_file_is_never_missing_while_it_is_kept(
    leftover: bool, folder: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at at each rename: whole, old or new. A name that a killed process left is no obstacle."""
    folder.write("last.pt", b"one")
    if leftover:
        (folder.path / "previous.pt.tmp").write_bytes(b"left over")
    replace, seen = Path.replace, []

    def renaming(old: Path, new: Path) -> Path:
        seen.append((folder.path / "last.pt").read_bytes())
        return replace(old, new)

    monkeypatch.setattr(Path, "replace", renaming)
    folder.write("last.pt", b"two", keep="previous.pt")
    assert seen == [b"one", b"one"]
    assert (folder.path / "previous.pt").read_bytes() == b"one"
    assert names(folder.path) == {"last.pt", "previous.pt"}


def test_a_volume_without_second_names_keeps_the_file_before_too(
    folder: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """link(2) fails with EPERM on FAT and on some network volumes."""
    monkeypatch.setattr(Path, "hardlink_to", lambda *_: _fail(errno.EPERM))
    folder.write("last.pt", b"one", keep="previous.pt")
    folder.write("last.pt", b"two", keep="previous.pt")
    content = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    assert content == {"last.pt": b"two", "previous.pt": b"one"}


def _fail(number: int) -> Any:
    raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("call", ["open", "fsync", "rename", "folder"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    call: str, folder: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An input/output error wherever the kernel may report one; the line names the file and what to do."""
    folder.write("last.pt", b"old")
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (call == "folder"):
            _fail(errno.EIO)
        fsync(descriptor)

    if call == "open":
        (folder.path / "last.pt.tmp").mkdir()
    elif call == "rename":
        monkeypatch.setattr(Path, "replace", lambda *_: _fail(errno.EIO))
    else:
        monkeypatch.setattr(os, "fsync", failing)
    problem = "Is a directory" if call == "open" else "Input/output error"
    with pytest.raises(StorageError, match=rf"/last\.pt: cannot be written \({problem}\); finished epochs are kept"):
        folder.write("last.pt", b"new")
    assert (folder.path / "last.pt").read_bytes() == (b"new" if call == "folder" else b"old")
    assert names(folder.path) - {"last.pt"} == ({"last.pt.tmp"} if call == "open" else set())


class _Full(Room):
    """A full volume on which a signal comes; `room` files can be written after `previous.pt` is gone."""

    def until(self, file: Path, attempt: Any) -> Any:
        if (file.parent / "previous.pt").exists() or file.name == "config.json":
            raise Stopped
        return attempt()


@pytest.mark.parametrize(("name", "saved"), [("last.pt", True), ("best.pt", True), ("summary.json", False)])
def test_a_checkpoint_takes_the_room_of_the_one_before_the_last(name: str, saved: bool, tmp_path: Path) -> None:
    """Where a signal would lose it; a summary is not worth a checkpoint."""
    (tmp_path / "previous.pt").write_bytes(b"one before")
    folder = RunDirectory(tmp_path, _Full(1, StopRequest()))
    if saved:
        folder.write(name, b"new")
        assert names(tmp_path) == {name}
    else:
        with pytest.raises(Stopped):
            folder.write(name, b"new")
        assert names(tmp_path) == {"previous.pt"}


def test_without_a_checkpoint_before_the_signal_ends_the_wait(tmp_path: Path) -> None:
    class Waiting(Room):
        def until(self, file: Path, attempt: Any) -> Any:
            raise Stopped

    with pytest.raises(Stopped):
        RunDirectory(tmp_path, Waiting(1, StopRequest())).write("last.pt", b"new")


def test_json_is_written_for_people_and_never_with_nan(folder: RunDirectory) -> None:
    """RFC 8259 knows neither NaN nor Infinity; one line a key, and a last line end."""
    folder.write_json("summary.json", {"a": 1, "b": [2]})
    text = (folder.path / "summary.json").read_text()
    assert json.loads(text) == {"a": 1, "b": [2]}
    assert text.splitlines()[1].strip() == '"a": 1,'
    assert text.endswith("}\n")
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            folder.write_json("summary.json", {"a": value})
    assert (folder.path / "summary.json").read_text() == text
