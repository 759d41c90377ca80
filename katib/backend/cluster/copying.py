"""Copies a folder of this machine onto a claim, through a pod beside it.

The folder appears on the claim when every file has arrived with its checksum; until then it has a hidden name, so that
an interrupted copy is never taken for a whole one. A copy goes on where an earlier one ended: a file that has arrived
counts if its checksum is that of the file here.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import IO, Protocol

from katib.backend.cluster.pod_side import CHUNK, LOCK, PART, SUMS
from katib.backend.cluster.transfer import Channel, Connect, LostError, opened
from katib.errors import ClusterError, FolderError
from katib.text import count
from katib.untrusted import clean

TRIES = 5
"""How often in a row a connection may be lost without that anything has got through it."""
PAUSE_SECONDS = 2.0
"""The pause before the second try; each further one is twice as long."""


class Progress(Protocol):
    """Shows how far a copy is."""

    def begin(self) -> None:
        """Notes that a connection begins, which first compares what is there."""

    def advance(self, size: int, *, sent: bool) -> None:
        """Notes that so many more bytes were `sent`, or else compared with what is there already."""

    def note(self, text: str) -> None:
        """Shows a sentence."""


@dataclass(frozen=True)
class Source:
    """A folder of this machine, as it is copied."""

    root: Path
    files: Mapping[str, int]
    """The size of each file, by its path in the folder."""
    sums: dict[str, str] = field(default_factory=dict)
    """The checksums that are known by now."""

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(self.files.values())


def source(root: Path) -> Source:
    """Returns the folder with all its files; links are followed. Raises FolderError where it cannot be copied."""
    if not root.is_dir():
        raise FolderError(f"{root}: is no folder; name that of the corpus with DATA=")
    files: dict[str, int] = {}
    seen: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True, onerror=_unreadable):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in names:
            file = Path(place, name)
            path = str(file.relative_to(root))
            if not file.is_file():
                raise FolderError(f"{clean(str(file))}: is no file and leads to none; remove it from the folder")
            if any(ord(letter) < 32 or "\ud800" <= letter <= "\udfff" for letter in path):
                raise FolderError(f"{clean(str(file))}: has a name with a control character or in no UTF-8; rename it")
            if path != SUMS and not path.endswith((PART, LOCK)):
                files[path] = file.stat().st_size
    if not files:
        raise FolderError(f"{root}: holds no files")
    return Source(root, dict(sorted(files.items())))


def copy(connect: Connect, files: Source, root: str, folder: str, progress: Progress) -> bool:
    """Copies a folder to `root`/`folder` of the claim; returns whether it was there already, whole.

    A connection that is lost is opened again. Raises ClusterError where that does not help, where there is another
    folder of this name, and where the claim has no room.
    """
    failures = 0
    while True:
        watched = _Counted(progress)
        progress.begin()
        try:
            with opened(connect, "receive", root, folder) as channel:
                return _speak(channel, files, folder, watched)
        except LostError as error:
            failures = 0 if watched.sent else failures + 1
            if failures >= TRIES:
                raise
            progress.note(f"{error}; goes on where it was")
            time.sleep(PAUSE_SECONDS * 2 ** max(0, failures - 1))


@dataclass
class _Counted:
    """Passes progress on and counts what was sent."""

    progress: Progress
    sent: int = 0

    def advance(self, size: int, *, sent: bool) -> None:
        self.sent += size if sent else 0
        self.progress.advance(size, sent=sent)


def _speak(channel: Channel, files: Source, folder: str, progress: _Counted) -> bool:
    state = channel.hear()
    theirs = {path: (size, digest) for path, (size, digest) in state["files"].items()}
    if state["there"]:
        _compare(files, theirs, folder, progress)
        return True
    needed = files.size - sum(size for path, (size, _) in theirs.items() if path in files.files)
    if 0 <= state["free"] < needed - (state["part"] or ("", 0))[1]:
        raise ClusterError(
            f"{_gb(needed)} are still to be copied and the claim has {_gb(state['free'])} left; give it more space"
        )
    if stale := sorted(theirs.keys() - files.files.keys()):
        channel.say(remove=stale)
    for path in files.files:
        if not theirs.get(path, (0, ""))[1] or not _same(files, path, theirs[path], progress):
            _send(channel, files, path, _offset(files, path, state["part"]), progress)
    channel.say(end=len(files.files))
    channel.to_pod.flush()
    if not channel.hear().get("whole"):
        raise LostError("the pod does not say that the copy is whole")
    return False


def _send(channel: Channel, files: Source, path: str, offset: int, progress: _Counted) -> None:
    """Sends a file from its byte `offset` on. Raises FolderError where it has changed since it was listed."""
    size, digest = files.files[path], hashlib.sha256()
    channel.say(path=path, size=size, offset=offset)
    left = size
    with _reading(files, path) as file:
        for piece in _pieces(file):
            left -= len(piece)
            if left < 0:
                break
            digest.update(piece)
            skipped = min(len(piece), max(0, offset - (size - left - len(piece))))
            channel.to_pod.write(memoryview(piece)[skipped:])
            progress.advance(len(piece) - skipped, sent=True)
            if skipped:
                progress.advance(skipped, sent=False)
    if left:
        raise FolderError(f"{files.root / path}: has changed while it was copied; run the same command again")
    channel.to_pod.write(digest.hexdigest().encode() + b"\n")
    channel.to_pod.flush()
    files.sums[path] = digest.hexdigest()


def _offset(files: Source, path: str, part: tuple[str, int, str] | None) -> int:
    """Returns how many bytes of a file have arrived already, and are those at its beginning here."""
    if part is None or part[0] != path or not 0 < part[1] <= files.files[path]:
        return 0
    digest, left = hashlib.sha256(), part[1]
    with _reading(files, path) as file:
        while left and (piece := file.read(min(CHUNK, left))):
            digest.update(piece)
            left -= len(piece)
    return part[1] if digest.hexdigest() == part[2] else 0


def _compare(files: Source, theirs: Mapping[str, tuple[int, str]], folder: str, progress: _Counted) -> None:
    """Raises ClusterError where the folder that is there is another one."""
    missing, more = sorted(files.files.keys() - theirs.keys()), sorted(theirs.keys() - files.files.keys())
    other = [path for path in files.files.keys() & theirs.keys() if not _same(files, path, theirs[path], progress)]
    differences = ((missing, "missing there"), (other, "different"), (more, "there alone"))
    if told := [
        f"{count(len(paths), 'file')} {what}, such as {clean(min(paths))}" for paths, what in differences if paths
    ]:
        raise ClusterError(
            f"the claim has another folder '{folder}' already: {'; '.join(told)}; running trials may read it, so it is"
            " left as it is: give this one another data_folder in the site file"
        )


def _same(files: Source, path: str, theirs: tuple[int, str], progress: _Counted) -> bool:
    """Returns whether a file there has the size and, where it is known, the checksum of the one here."""
    size, digest = theirs
    if size != files.files[path]:
        return False
    if digest and path not in files.sums:
        with _reading(files, path) as file:
            files.sums[path] = hashlib.file_digest(file, "sha256").hexdigest()
    if same := digest in ("", files.sums.get(path)):
        progress.advance(size, sent=False)
    return same


def _reading(files: Source, path: str) -> BufferedReader:
    try:
        return (files.root / path).open("rb")
    except OSError as error:
        raise FolderError(f"{files.root / path}: cannot be read ({error.strerror})") from None


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _unreadable(error: OSError) -> None:
    raise FolderError(f"{error.filename}: cannot be read ({error.strerror})")


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
