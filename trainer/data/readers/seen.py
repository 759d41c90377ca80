"""Remembers what was found in a corpus's files, so that a content is read again only where it may have changed.

A mixture is known by its stamp: the names, sizes, times of change and inodes of its files. What was found in it
(length, kind of samples, digest) is kept as JSON in a file of its own beside the run directory or in the user's cache,
because a corpus is often mounted read-only. The file is written whole, so that several trainings may share it; one that
is damaged, or of somebody else, is passed over, since no stamp of it fits.
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
FIRST_WORD_SECONDS, WORD_SECONDS = 3, 15
"""When a reading that takes long is spoken of: first, and then each time that this has passed."""


class Facts(NamedTuple):
    """What a mixture's files hold."""

    frames: int
    sixteen_bits: bool
    digest: str
    """Of the samples of all stems."""


@dataclass(frozen=True)
class Memory:
    """What was found in corpora before."""

    places: tuple[Path, ...]
    """Folders, of which all are read and the first that can be is written."""
    say: Callable[[str], None]
    """Takes the lines for people of a reading that takes long."""

    def recall(self, source: Path) -> dict[str, Facts]:
        """Returns the facts by stamp that are remembered of the listing `source`."""
        known: dict[str, Facts] = {}
        for place in self.places:
            known |= _read(place / _name(source))
        return known

    def remember(self, source: Path, facts: Mapping[str, Facts]) -> None:
        """Replaces what is remembered of `source`, in the first place that can be written."""
        if not facts:
            return
        content = json.dumps({"format": FORMAT, "sha256": _checksum(facts), "mixtures": facts}).encode()
        for place in self.places:
            with contextlib.suppress(OSError):
                place.mkdir(parents=True, exist_ok=True)
                _replace(place / _name(source), content)
                return
        if self.places:
            self.say("note: what was read of the corpus cannot be remembered, no cache folder can be written")

    def progress(self, what: str, total: int) -> Callable[[int], None]:
        """Returns a function that is told how many of `total` mixtures have been read, and speaks of it at times."""
        started = time.monotonic()
        due = started + FIRST_WORD_SECONDS

        def tell(done: int) -> None:
            nonlocal due
            if (now := time.monotonic()) >= due:
                left = (now - started) / max(1, done) * (total - done)
                self.say(f"{what}: read once for its fingerprint, {done} of {total} mixtures, {left:.0f} s left")
                due = now + WORD_SECONDS

        return tell


def _silent(line: str) -> None:
    pass


FORGETFUL = Memory((), _silent)


def memory(say: Callable[[str], None], near: Path | None = None) -> Memory:
    """Returns the memory of this user, in TRAINER_CACHE or the usual folder for caches.

    On a cluster, where a pod keeps nothing, it lies in the folder `near`, in which the run directory is.
    """
    places = [near] if near is not None else []
    if chosen := os.environ.get("TRAINER_CACHE"):
        return Memory((*places, Path(chosen)), say)
    with contextlib.suppress(RuntimeError):  # a user without a home
        places.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sepsweep")
    with contextlib.suppress(OSError):  # no folder for temporary files
        own = Path(tempfile.gettempdir()) / f"sepsweep-{os.getuid()}"
        if not own.is_symlink() and (not own.exists() or own.stat().st_uid == os.getuid()):
            places.append(own)
    return Memory(tuple(places), say)


def stamp(files: Iterable[tuple[str, str]]) -> tuple[str, int]:
    """Returns what a mixture is known by, and the latest time of change of its files in ns. Raises OSError.

    `files` has the name by which each is listed, and its path.
    """
    newest, seen = 0, []
    for name, path in files:
        found = os.stat(path)  # noqa: PTH116 - half the time of a Path's
        newest = max(newest, found.st_mtime_ns, found.st_ctime_ns)
        seen.append((name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino))
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:32], newest


def _name(source: Path) -> str:
    return f".corpus-seen-{hashlib.sha256(str(source.absolute()).encode()).hexdigest()[:16]}.json"


def _read(file: Path) -> dict[str, Facts]:
    """Nothing where the file is not one that was written here, whole."""
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
    """The temporary name is drawn: on a volume that pods share, all of them may have the same process id."""
    descriptor, name = tempfile.mkstemp(prefix=target.name, dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
