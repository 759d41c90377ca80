"""Copies onto a claim and from one, with the pod's program as a process of this machine; without a cluster."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from katib.backend.cluster import copying
from katib.backend.cluster.copying import Source, copy, source
from katib.backend.cluster.pod_side import SUMS
from katib.backend.cluster.transfer import Connect, bring
from katib.errors import ClusterError, FolderError

MIB = 1 << 20

CUT = """
import os, subprocess, sys
left = int(sys.argv[1])
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE)
while left and (piece := os.read(0, min(left, 65536))):
    child.stdin.write(piece)
    child.stdin.flush()
    left -= len(piece)
child.stdin.close()
child.wait()
sys.exit("error: lost connection to pod")
"""
"""Passes so many bytes on to a program, and ends."""


class Silent:
    """Progress that is counted and not shown."""

    def __init__(self) -> None:
        self.sent = self.compared = 0
        self.notes: list[str] = []

    def begin(self) -> None:
        """Begins."""

    def advance(self, size: int, *, sent: bool) -> None:
        """Counts."""
        self.sent += size if sent else 0
        self.compared += 0 if sent else size

    def note(self, text: str) -> None:
        """Keeps the sentence."""
        self.notes.append(text)


def here(words: Sequence[str]) -> list[str]:
    """Returns the command that runs the pod's Python words on this machine."""
    return [sys.executable, *words[1:]]


def cut_after(size: int, times: int) -> Connect:
    """Returns a connection that breaks after so many bytes, so many times."""
    left = [times]

    def connect(words: Sequence[str]) -> list[str]:
        left[0] -= 1
        if left[0] < 0:
            return here(words)
        return [sys.executable, "-c", CUT, str(size), *here(words)]

    return connect


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Returns a folder with files of all kinds of sizes, one in a folder that is a link, and odd names."""
    root = tmp_path / "corpus"
    (root / "train" / "mix").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (root / "val").symlink_to(tmp_path / "elsewhere")
    for name, size in (("a.wav", 3 * MIB + 7), ("b.wav", 0), ("ż \\'.wav", 5), ("c.wav", 2 * MIB)):
        (root / "train" / "mix" / name).write_bytes(bytes(range(251)) * (size // 251) + b"x" * (size % 251))
    (root / "val" / "d.wav").write_bytes(b"d" * 100)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    """Returns all files of a folder but that of checksums."""
    names = [path for path in source(folder).files if path != SUMS]
    return {name: (folder / name).read_bytes() for name in names}


def test_a_copy_is_whole_and_a_second_one_finds_it_so(corpus: Path, tmp_path: Path) -> None:
    """Its checksums are what sha256sum checks, and a link has become what it leads to."""
    claim, seen = tmp_path / "claim", Silent()
    claim.mkdir()
    assert copy(here, source(corpus), str(claim), "PolSESS", seen) is False
    assert [path.name for path in claim.iterdir()] == ["PolSESS"]
    assert contents(claim / "PolSESS") == contents(corpus)
    assert subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=claim / "PolSESS", check=False).returncode == 0
    again = Silent()
    assert copy(here, source(corpus), str(claim), "PolSESS", again) is True
    assert (again.sent, again.compared) == (0, seen.sent)


def test_a_lost_connection_goes_on_where_it_was(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even within a file; until the end nothing has the folder's name."""
    monkeypatch.setattr(copying, "PAUSE_SECONDS", 0.0)
    claim, files, seen = tmp_path / "claim", source(corpus), Silent()
    claim.mkdir()
    with pytest.raises(ClusterError, match="connection to the pod was lost"):
        copy(cut_after(20_000, 99), files, str(claim), "PolSESS", seen)
    assert seen.sent == 0 or [path.name for path in claim.iterdir()] == [".PolSESS.partial"]
    seen = Silent()
    assert copy(cut_after(2 * MIB, 1), files, str(claim), "PolSESS", seen) is False
    assert len(seen.notes) == 1
    assert seen.compared > MIB
    assert contents(claim / "PolSESS") == contents(corpus)


def change(path: str, content: bytes | None) -> Callable[[Path], None]:
    """Returns a change of one file of a folder."""

    def changed(folder: Path) -> None:
        if content is None:
            (folder / path).unlink()
        else:
            (folder / path).write_bytes(content)

    return changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (change("train/mix/c.wav", b"short"), "1 file different, such as train/mix/c.wav"),
        (change("val/d.wav", b"D" * 100), "1 file different, such as val/d.wav"),
        (change("val/e.wav", b""), "1 file missing there, such as val/e.wav"),
        (change("val/d.wav", None), "1 file there alone, such as val/d.wav"),
    ],
)
def test_another_folder_of_that_name_is_left_as_it_is(
    changed: Callable[[Path], None], message: str, corpus: Path, tmp_path: Path
) -> None:
    claim = tmp_path / "claim"
    claim.mkdir()
    copy(here, source(corpus), str(claim), "PolSESS", Silent())
    before = contents(claim / "PolSESS")
    changed(corpus)
    with pytest.raises(ClusterError, match=message) as error:
        copy(here, source(corpus), str(claim), "PolSESS", Silent())
    assert "data_folder in the site file" in str(error.value)
    assert contents(claim / "PolSESS") == before


def interrupt(_: float) -> None:
    """Stands for Ctrl-C."""
    raise KeyboardInterrupt


def test_what_has_changed_between_two_tries_is_sent_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the same size, the beginning of another, and one that is gone here."""
    monkeypatch.setattr("time.sleep", interrupt)
    claim = tmp_path / "claim"
    claim.mkdir()
    for at_byte in (4 * MIB, 2 * MIB):
        with pytest.raises(KeyboardInterrupt):
            copy(cut_after(at_byte, 1), source(corpus), str(claim), "x", Silent())
        for name in ("a.wav", "c.wav"):
            path = corpus / "train" / "mix" / name
            path.write_bytes(b"!" + path.read_bytes()[1:])
    (corpus / "train" / "mix" / "b.wav").unlink()
    copy(here, source(corpus), str(claim), "x", Silent())
    assert contents(claim / "x") == contents(corpus)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda root: (root / "gone").symlink_to("/nowhere"), "gone: is no file and leads to none"),
        (lambda root: (root / "a\nb").write_text(""), "a name with a control character"),
        (lambda root: (root / "train").rename(root.parent / "else"), "holds no files"),
    ],
)
def test_a_folder_that_cannot_be_copied_is_one_line(made: Callable[[Path], object], message: str, corpus: Path) -> None:
    (corpus / "val").unlink()
    made(corpus)
    with pytest.raises(FolderError, match=message):
        source(corpus)
    with pytest.raises(FolderError, match="is no folder"):
        source(corpus / "none")


def test_a_claim_without_room_or_rights_says_so(corpus: Path, tmp_path: Path) -> None:
    files = source(corpus)
    huge = Source(corpus, dict.fromkeys(files.files, 10**15))
    with pytest.raises(ClusterError, match=r"5000000.0 GB are still to be copied and the claim has .* left"):
        copy(here, huge, str(tmp_path), "x", Silent())
    with pytest.raises(ClusterError, match=r"/proc/.x.partial: "):
        copy(here, files, "/proc", "x", Silent())


def test_a_second_copy_into_the_same_folder_waits_for_the_first(corpus: Path, tmp_path: Path) -> None:
    inner: list[str] = []

    class Meets(Silent):
        def advance(self, size: int, *, sent: bool) -> None:
            if not inner:
                inner.append("")
                with pytest.raises(ClusterError) as error:
                    copy(here, source(corpus), str(tmp_path), "x", Silent())
                inner[0] = str(error.value)

    copy(here, source(corpus), str(tmp_path), "x", Meets())
    assert inner == ["another copy into this folder runs; wait for it"]


def test_files_come_from_a_claim_and_nothing_else_does(tmp_path: Path) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    run.mkdir()
    (run / "best.pt").write_bytes(b"w" * (MIB + 1))
    (run / "link").symlink_to("/etc/passwd")
    bring(here, str(run), ["best.pt", "evaluation-val/evaluation.json"], home, 2 * MIB)
    assert contents(home) == {"best.pt": b"w" * (MIB + 1)}
    with pytest.raises(ClusterError, match="has more than 1 MiB"):
        bring(here, str(run), ["best.pt"], home, MIB)
    with pytest.raises(ClusterError, match="link: Too many levels of symbolic links"):
        bring(here, str(run), ["link"], home, MIB)


def test_an_image_that_lies_is_not_believed(tmp_path: Path) -> None:
    """The pod's image may answer anything."""
    digest = "0" * 64
    answers = {
        "another checksum": json.dumps({"path": "best.pt", "size": 2}) + "\nab" + digest + "\n",
        "answers another question": json.dumps({"path": "../best.pt", "size": 0}) + "\n",
        "connection to the pod was lost": "[]\n",
    }
    for message, answer in answers.items():
        (tmp_path / "answer").write_text(answer)
        with pytest.raises(ClusterError, match=message):
            bring(
                lambda _: ["sh", "-c", f"cat {tmp_path}/answer; head -c 100 > /dev/null"],
                "/runs",
                ["best.pt"],
                tmp_path / "home",
                MIB,
            )
