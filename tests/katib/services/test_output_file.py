"""The trainer's output as the collector reads it: lines at the limit, line ends, and a file that is late or truncated.

The limit is set to eight bytes, so that each border can be tried; test_any_output.py has the real one.
"""

import io
from pathlib import Path

import pytest

from katib import untrusted
from katib.services.collector import output
from katib.services.collector.output import Output


class Followed:
    """A file and who follows it."""

    def __init__(self, path: Path) -> None:
        self.path, self.copy = path, io.BytesIO()
        self.output = Output(path, self.copy)

    def add(self, data: bytes) -> list[str]:
        """Returns what is found once the file has got `data`, read to its end."""
        with self.path.open("ab") as file:
            file.write(data)
        lines = []
        while self.output.behind:
            lines += list(self.output.lines())
        return lines


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Followed:
    monkeypatch.setattr(untrusted, "LINE_LIMIT", 8)
    monkeypatch.setattr(output, "CHUNK", 4)
    return Followed(tmp_path / "metrics.log")


def test_a_file_that_is_not_there_yet_has_no_lines(followed: Followed) -> None:
    assert list(followed.output.lines()) == []
    assert not followed.output.behind
    assert followed.output.last() == ""


def test_one_line_end_is_taken_from_each_line(followed: Followed) -> None:
    """A carriage return before it belongs to it, one elsewhere to the line; bytes that are no UTF-8 become U+FFFD."""
    assert followed.add(b"a\r\nb\n\nc\rd\ne\r\r\n\xff\n") == ["a", "b", "", "c\rd", "e\r", "\ufffd"]
    assert followed.copy.getvalue() == followed.path.read_bytes()


def test_the_last_line_is_read_once_and_without_its_carriage_return(followed: Followed) -> None:
    assert followed.add(b"a\nb\xff\r") == ["a"]
    assert followed.output.last() == "b\ufffd"
    assert followed.output.last() == ""


@pytest.mark.parametrize(("length", "kept"), [(7, True), (8, True), (9, False), (30, False)])
def test_a_line_of_the_limit_is_kept_and_a_longer_one_is_counted(length: int, kept: bool, followed: Followed) -> None:
    """In the middle of others, in pieces of four bytes and in one."""
    line = b"x" * length
    expected = ["a", *([line.decode()] if kept else []), "b"]
    assert followed.add(b"a\n" + line + b"\nb\n") == expected
    assert followed.output.skipped == (not kept)
    whole = followed.output._whole(b"a\n" + line + b"\nb\n")
    assert [part.decode() for part in whole] == expected
    assert followed.output.skipped == 2 * (not kept)


@pytest.mark.parametrize(("length", "kept"), [(8, True), (9, False), (30, False)])
def test_an_end_that_is_too_long_is_no_line(length: int, kept: bool, followed: Followed) -> None:
    """Of an output that is complete; a long line that ends with its file is never looked at."""
    assert followed.add(b"a\n" + b"x" * length) == ["a"]
    assert followed.output.last() == ("x" * length if kept else "")


def test_after_a_line_that_was_too_long_the_next_is_read(followed: Followed) -> None:
    """Twice in a row; the second is counted as well."""
    assert followed.add(b"x" * 40) == []
    assert followed.add(b"x" * 40 + b"\n" + b"y" * 20) == []
    assert followed.add(b"\nb\n") == ["b"]
    assert followed.output.skipped == 2


@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_a_long_line_of_a_progress_bar_hides_no_metric(pieces: int, followed: Followed) -> None:
    """A bar that is drawn over and over writes no line end; what a trainer prints then stands in its line."""
    data = b"\r" + b"bar 1\rbar 2\r" * 3 + b"\r x=0.25\nb\n" + b"bar 1\r" * 3 + b"x=0.5\n"
    size = -(-len(data) // pieces)
    found = [line for at in range(0, len(data), size) for line in followed.add(data[at : at + size])]
    assert [line.strip() for line in found if line.strip() and "bar" not in line] == ["x=0.25", "b", "x=0.5"]
    assert followed.output.skipped == 0
    assert followed.copy.getvalue() == data


@pytest.mark.parametrize("before", [b"a\nhal", b"a\n" + b"x" * 30], ids=["half a line", "a long line"])
def test_a_file_that_begins_anew_is_read_from_its_beginning(before: bytes, followed: Followed) -> None:
    """What was left of the old one is no part of it."""
    assert followed.add(before) == ["a"]
    followed.path.write_bytes(b"")
    assert followed.add(b"b\nc") == ["b"]
    assert followed.output.last() == "c"


def test_no_more_than_a_chunk_is_read_at_once(followed: Followed) -> None:
    """So that rows are sent while a long output is read; the copy is complete at each step."""
    followed.path.write_bytes(b"a\nb\nc\n")
    assert list(followed.output.lines()) == ["a", "b"]
    assert followed.copy.getvalue() == b"a\nb\n"
    assert followed.output.behind
    assert list(followed.output.lines()) == ["c"]
    assert not followed.output.behind
    assert list(followed.output.lines()) == []
    assert followed.copy.getvalue() == b"a\nb\nc\n"


def test_the_copy_is_there_at_once(tmp_path: Path) -> None:
    """`kubectl logs -f` shows a line when it is printed, not when a buffer is full."""
    file, copy = tmp_path / "metrics.log", tmp_path / "stdout"
    file.write_bytes(b"a\n")
    with copy.open("wb") as target:
        assert list(Output(file, target).lines()) == ["a"]
        assert copy.read_bytes() == b"a\n"
