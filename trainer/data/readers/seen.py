"""Remembers the facts about a corpus's files, so that a file is read again only where it may have changed.

A mixture is known by its stamp: the names, sizes, times of change and inodes of its files. Its facts (length, kind of
samples, digest) are kept as JSON beside the run directory or in the user's cache, because a corpus is often mounted
read-only. The file is replaced as a whole, so that several trainings can share it; a damaged or foreign one does no
harm, since none of its stamps fits.
"""

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

FORMAT = "sepsweep corpus memory 1"
FIRST_REPORT_SECONDS, REPORT_SECONDS = 3, 15
"""When a long reading is first reported, and how often after that."""


class Facts(NamedTuple):
    """The facts about a mixture's files."""

    frames: int
    sixteen_bits: bool
    digest: str
    """Hash of the samples of all stems."""


@dataclass(frozen=True)
class Memory:
    """The remembered facts about corpora."""

    folders: tuple[Path, ...]
    """All of these are read; the first that can be written is written."""
    say: Callable[[str], None]
    """Prints a line about a long reading."""

    def recall(self, source: Path) -> dict[str, Facts]:
        """Returns the remembered facts about the listing `source`, by stamp."""
        known: dict[str, Facts] = {}
        for folder in self.folders:
            known |= _read(folder / _name(source))
        return known

    def remember(self, source: Path, facts: Mapping[str, Facts]) -> None:
        """Replaces the facts about `source`, in the first folder that can be written."""
        if not facts:
            return
        content = json.dumps({"format": FORMAT, "sha256": _checksum(facts), "mixtures": facts}).encode()
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                _replace(folder / _name(source), content)
                return
        if self.folders:
            self.say("note: the corpus will be read again next time, because no cache folder can be written")

    def progress(self, what: str, total: int) -> Callable[[int], None]:
        """Returns a function that takes the number of mixtures read, of `total`, and reports it from time to time."""
        started = time.monotonic()
        due = started + FIRST_REPORT_SECONDS

        def report(done: int) -> None:
            nonlocal due
            if (now := time.monotonic()) >= due:
                left = (now - started) / max(1, done) * (total - done)
                self.say(f"{what}: read once for its fingerprint, {done} of {total} mixtures, {left:.0f} s left")
                due = now + REPORT_SECONDS

        return report


def _silent(line: str) -> None:
    pass


FORGETFUL = Memory((), _silent)


def memory(say: Callable[[str], None], near: Path | None = None) -> Memory:
    """Returns the memory of this user, in TRAINER_CACHE or the usual folder for caches.

    On a cluster, where a pod keeps nothing, it is in the folder `near`, which contains the run directory.
    """
    folders = [near] if near is not None else []
    if chosen := os.environ.get("TRAINER_CACHE"):
        return Memory((*folders, Path(chosen)), say)
    # The user may have no home.
    with contextlib.suppress(RuntimeError):
        folders.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sepsweep")
    # There may be no folder for temporary files.
    with contextlib.suppress(OSError):
        own = Path(tempfile.gettempdir()) / f"sepsweep-{os.getuid()}"
        if not own.is_symlink() and (not own.exists() or own.stat().st_uid == os.getuid()):
            folders.append(own)
    return Memory(tuple(folders), say)


def stamp(files: Iterable[tuple[str, str]]) -> tuple[str, int]:
    """Returns a mixture's stamp, and the latest time of change of its files in ns. Raises OSError.

    `files` has the name by which each file is listed, and its path.
    """
    newest, seen = 0, []
    for name, path in files:
        status = os.stat(path)  # noqa: PTH116 - half the time of a Path's
        newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
        seen.append((name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:32], newest


def _name(source: Path) -> str:
    return f".corpus-seen-{hashlib.sha256(str(source.absolute()).encode()).hexdigest()[:16]}.json"


def _read(file: Path) -> dict[str, Facts]:
    """Returns the facts in a file; none where it was not written by this version, or is damaged."""
    try:
        content = json.loads(file.read_bytes())
        mixtures = content["mixtures"]
        if content["format"] == FORMAT and content["sha256"] == _checksum(mixtures):
            return {mark: Facts(*facts) for mark, facts in mixtures.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    return {}


def _checksum(mixtures: object) -> str:
    return hashlib.sha256(json.dumps(mixtures).encode()).hexdigest()


def _replace(target: Path, content: bytes) -> None:
    """Replaces a file by renaming one with a random name: on a shared volume, pods may have the same process id."""
    descriptor, name = tempfile.mkstemp(prefix=target.name, dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
