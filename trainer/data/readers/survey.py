"""Checks every file of a listing: its header when a subset is opened, its samples for the fingerprint.

Files that were checked before and have not changed since are not read again.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar

import numpy as np
import soundfile

from trainer.data.readers.listing import Header, Listing, common_header
from trainer.data.readers.seen import Facts, Memory, stamp
from trainer.data.readers.sound import fault
from trainer.data.readers.subset import Indices
from trainer.errors import DataError

T = TypeVar("T")
FRESH_NS = 2_000_000_000
"""A file that has changed so recently may change again without a new time of change."""
SAMPLED = 32
"""Known mixtures that are read nevertheless; if one of them has changed, all known facts are dropped."""


class Survey:
    """The facts about the files of a listing."""

    def __init__(self, listing: Listing, memory: Memory) -> None:
        """Checks every file. Raises DataError that names the first at fault."""
        self._listing = listing
        self._memory = memory
        self._checked = time.time_ns()
        self._stamps = list(_each(range(len(listing)), self._stamp, 64))
        remembered = memory.recall(listing.source)
        self._known = {row: remembered[mark] for row, (mark, _) in enumerate(self._stamps) if mark in remembered}
        if not self._is_unchanged():
            self._known = {}
        unknown = [row for row in range(len(listing)) if row not in self._known]
        read = _each(unknown, lambda row: common_header(listing, row), 16)
        self._headers: dict[int, Header] = dict(zip(unknown, read, strict=True))
        headers = [self._header(row) for row in range(len(listing))]
        self.frames: Indices = np.array([header.frames for header in headers], np.int64)
        """Length of each mixture in samples, [N]."""
        self.sixteen_bits = all(header.sixteen_bits for header in headers)
        """Whether all files have 16-bit integers."""
        self.repeated = 0
        """Number of mixtures with the same sound as an earlier one, once the fingerprint is known."""

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the kind and all samples of each mixture, in order; paths and names do not count.

        Raises DataError that names a file which cannot be read or is no sound.
        """
        report = self._memory.progress(str(self._listing.source.parent), len(self._headers))
        unread = list(self._headers)
        try:
            for done, (row, digest) in enumerate(zip(unread, _each(unread, self._digest, 4), strict=True), 1):
                self._known[row] = Facts(*self._headers[row], digest)
                report(done)
        finally:
            if unread:
                self._remember()
        digests = [self._known[row].digest for row in range(len(self._listing))]
        self.repeated = len(digests) - len(set(digests))
        # Processes that read ahead would copy these facts.
        self._known, self._headers = {}, {}
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:32]

    def unchanged(self) -> bool:
        """Returns whether no file has changed since it was checked."""
        return list(_each(range(len(self._listing)), self._stamp, 64)) == self._stamps

    def _header(self, row: int) -> Header | Facts:
        return self._known.get(row) or self._headers[row]

    def _stamp(self, row: int) -> tuple[str, int]:
        stems = self._listing.stems(row)
        try:
            return stamp([(self._listing.names[stem][row], self._listing.path(row, stem)) for stem in stems])
        # The check of the headers says what is wrong.
        except (OSError, ValueError):
            return "", 0

    def _is_unchanged(self) -> bool:
        """Returns whether some known mixtures still have their digest.

        On a read-only image of a file system all times and inodes may be those of another corpus.
        """
        rows = list(self._known)
        indices = np.unique(np.linspace(0, len(rows) - 1, SAMPLED).astype(int)) if rows else ()
        sampled = [rows[index] for index in indices]
        try:
            return list(_each(sampled, self._digest, 1)) == [self._known[row].digest for row in sampled]
        except DataError:
            return False

    def _digest(self, row: int) -> str:
        listing, header = self._listing, self._header(row)
        dtype = "int16" if header.sixteen_bits else "float32"
        digest = hashlib.sha256(f"{listing.kinds[row]} {dtype} {header.frames} ".encode())
        for stem in listing.stems(row):
            where = f"{listing.path(row, stem)} ({listing.where(row)})"
            try:
                samples = soundfile.read(listing.path(row, stem), dtype=dtype)[0]
            except (OSError, ValueError, soundfile.SoundFileError) as error:
                raise DataError(f"{where}: cannot be read ({error}); copy it again") from error
            if samples.shape != (header.frames,):
                raise DataError(f"{where}: has changed while it was read; wait until the corpus is complete")
            if dtype == "float32" and (what := fault(samples)):
                raise DataError(f"{where}: is no sound, {what}; make it again")
            digest.update(samples)
        return digest.hexdigest()[:32]

    def _remember(self) -> None:
        self._memory.remember(
            self._listing.source,
            {
                mark: self._known[row]
                for row, (mark, newest) in enumerate(self._stamps)
                if mark and row in self._known and newest < self._checked - FRESH_NS
            },
        )


def _each(rows: Sequence[int], check: Callable[[int], T], size: int) -> Iterator[T]:
    """Yields the value of `check` for each row, computed in threads, `size` rows at a time.

    Most of the time is spent waiting for a disk or a network.
    """
    pool = ThreadPoolExecutor(max(8, 2 * (os.cpu_count() or 1)))
    chunks = [rows[first : first + size] for first in range(0, len(rows), size)]
    try:
        for values in pool.map(lambda chunk: [check(row) for row in chunk], chunks):
            yield from values
    finally:
        pool.shutdown(cancel_futures=True)
