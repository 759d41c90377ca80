"""Reads a subset from one memory-mapped file, `<root>/<subset>.pack`, in the format below.

All numbers are little-endian:

    magic [16 bytes], length of the header [u64], CRC-32 of header and index [u32], 4 bytes of zero
    header, JSON    what the file was packed from
    index           one ENTRY per mixture
    data            from a multiple of PAGE on: the mixtures one after the other, each [2 + V, T]: the dry
                    speakers, then the mixture in each of the V variants of its kind (mixing.KINDS), which takes
                    no more room than the stems; int16 where that holds every sample exactly, else float32

Samples are exactly the floats of the WAV reader, so that a training has the same bits with either. trainer/data/pack.py
writes packs.
"""

import json
import mmap
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from trainer.data.mixing import KINDS
from trainer.data.readers.regular import require_regular
from trainer.data.readers.sound import fault
from trainer.data.readers.subset import KIND_NAMES, SAMPLE_RATE, SCALE, Samples, Subset
from trainer.errors import DataError, DataFaultError

MAGIC = b"sepsweep pack 2\n"
EARLIER = b"sepsweep pack 1\n"
"""Magic of the earlier format, whose fingerprint covered the CSV and eight mixes only."""
PREFIX = np.dtype([("magic", "S16"), ("header", "<u8"), ("crc", "<u4"), ("zero", "<u4")])
ENTRY = np.dtype([("first", "<i8"), ("frames", "<i8"), ("kind", "<u4"), ("crc", "<u4")])
"""An entry of the index: first sample, counted from the beginning of the data; CRC-32 of the mixture's bytes."""
PAGE = 4096
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType({"int16": np.dtype("<i2"), "float32": np.dtype("<f4")})
LARGEST = 1 << 48
"""More samples than any file has; sums of offsets below it fit into 64 bits."""
SAMPLED = 32
"""Mixtures whose checksums are checked when a pack is opened; `make pack` checks all."""


def pack_path(root: Path, name: str) -> Path:
    """Returns where the pack of subset `name` of the corpus in `root` lies."""
    return root / f"{name}.pack"


class PackedSubset(Subset):
    """A subset in a pack, whose samples are never copied before they are mixed."""

    def __init__(self, path: Path) -> None:
        """Maps `path`. Raises DataError where it is no intact pack of this version."""
        self.source = path
        try:
            require_regular(path)
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self._descriptor = os.dup(file.fileno())
        # ValueError is that of a file of 0 bytes.
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be mapped into memory ({error}); {_PACK_AGAIN}") from error
        header, index, begin = self._index()
        self.packed_from: Mapping[str, Any] = MappingProxyType(header)
        """The header."""
        self._check_entries(index)
        self._first = index["first"].astype(np.int64)
        self.frames = index["frames"].astype(np.int64)
        self.kinds = index["kind"].astype(np.uint8)
        self._crcs = index["crc"].copy()
        dtype = DTYPES[header["dtype"]]
        self._scale = SCALE if dtype.kind == "i" else np.float32(1)
        count = max(0, len(self._map) - begin) // dtype.itemsize
        self._data = np.frombuffer(self._map, dtype, count, begin if count else 0)
        self._check_sizes()
        for row in np.unique(np.linspace(0, len(self.frames) - 1, SAMPLED).round().astype(int)):
            self.check(int(row))
        self.release()

    @property
    def storage(self) -> str:
        """Name of the pack."""
        return f"{self.source.name}, memory-mapped"

    @property
    def repeated(self) -> int:
        """As `Subset.repeated`: by checksum, and where these are equal by samples from the middle of the speakers."""
        crcs, counts = np.unique(self._crcs, return_counts=True)
        alike = np.flatnonzero(np.isin(self._crcs, crcs[counts > 1])).tolist()
        middles = {
            (self._crcs[row], self._signals(row)[:2, self.frames[row] // 2 :][:, :64].tobytes()) for row in alike
        }
        return len(alike) - len(middles)

    def fingerprint(self) -> str:
        """Returns the fingerprint of the files that were packed."""
        return str(self.packed_from["fingerprint"])

    def read(self, index: int, variant: str, start: int, mixture: Samples, targets: Samples) -> None:
        """Reads a mixture as `Subset.read` describes."""
        self._check_present()
        kind = KIND_NAMES[self.kinds[index]]
        signals = self._signals(index)[:, start : start + len(mixture)]
        targets[:] = signals[:2]
        targets *= self._scale
        mixture[:] = signals[2 + KINDS[kind].index(variant)]
        mixture *= self._scale
        if signals.dtype.kind == "f" and (what := fault(targets) or fault(mixture)):
            raise DataFaultError(
                f"{self.source}: mixture {index} is no sound, {what} from {start} on; {_PACK_AGAIN}, "
                "then run the same command to resume"
            )

    def release(self) -> None:
        """Unmaps the pages that were read; they stay in the system's cache but no longer count as our memory."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def check(self, index: int) -> None:
        """Raises DataError where the bytes of a mixture are not those that were packed."""
        if zlib.crc32(self._signals(index).data) != self._crcs[index]:
            raise DataError(f"{self.source}: the checksum of mixture {index} is wrong; {_PACK_AGAIN}")

    def __reduce__(self) -> tuple[type["PackedSubset"], tuple[Path]]:
        """Pickles the path: a process that shares no memory with this one maps the file itself."""
        return PackedSubset, (self.source,)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def _signals(self, index: int) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
        """Returns the speakers and variants [2 + V, T] of a mixture."""
        first, frames = int(self._first[index]), int(self.frames[index])
        count = 2 + len(KINDS[KIND_NAMES[self.kinds[index]]])
        return self._data[first : first + count * frames].reshape(count, frames)

    def _index(self) -> tuple[dict[str, Any], np.ndarray[tuple[int], np.dtype[Any]], int]:
        """Returns the header, the index, and the offset of the data. Raises DataError."""
        damaged = DataError(f"{self.source}: is no intact pack of this version; {_PACK_AGAIN}")
        if len(self._map) < PREFIX.itemsize:
            raise damaged
        prefix = np.frombuffer(self._map, PREFIX, 1)[0]
        end = PREFIX.itemsize + int(prefix["header"])
        if self._map[: len(MAGIC)] == EARLIER:
            raise DataError(f"{self.source}: is a pack of an earlier version; {_PACK_AGAIN}")
        if self._map[: len(MAGIC)] != MAGIC or end > len(self._map):
            raise damaged
        try:
            header = json.loads(self._map[PREFIX.itemsize : end])
            rows, known = header["mixtures"], header["sample_rate"] == SAMPLE_RATE
            known = known and header["dtype"] in DTYPES and isinstance(header["fingerprint"], str)
            known = known and isinstance(rows, int) and rows > 0
        except (ValueError, KeyError, TypeError, RecursionError):
            raise damaged from None
        if not known or end + rows * ENTRY.itemsize > len(self._map):
            raise damaged
        index = np.frombuffer(self._map, ENTRY, rows, offset=end)
        if zlib.crc32(self._map[PREFIX.itemsize : end + index.nbytes]) != prefix["crc"]:
            raise damaged
        return header, index, data_begin(end + index.nbytes)

    def _check_entries(self, index: np.ndarray[tuple[int], np.dtype[Any]]) -> None:
        """Raises DataError for an impossible entry: with a right checksum, the index may still be a forgery."""
        valid = (index["kind"] < len(KIND_NAMES)) & (index["first"] >= 0) & (index["frames"] > 0)
        valid &= (index["first"] < LARGEST) & (index["frames"] < LARGEST)
        if not valid.all():
            entry = int(np.flatnonzero(~valid)[0])
            raise DataError(f"{self.source}: entry {entry} of its index is impossible; {_PACK_AGAIN}")

    def _check_sizes(self) -> None:
        """Raises DataError where a mixture extends beyond the end of the file."""
        signals = 2 + np.array([len(KINDS[kind]) for kind in KIND_NAMES])[self.kinds]
        needed, present = int((self._first + signals * self.frames).max()), len(self._data)
        if present < needed:
            missing = (needed - present) * self._data.itemsize
            raise DataError(f"{self.source}: is truncated, {missing} bytes are missing; {_PACK_AGAIN}")

    def _check_present(self) -> None:
        """Raises DataFaultError where the mapped file has become shorter: reading beyond its end kills the process."""
        if os.fstat(self._descriptor).st_size < len(self._map):
            raise DataFaultError(
                f"{self.source}: has become shorter since the training began; {_PACK_AGAIN}, "
                "then run the same command to resume"
            )


def data_begin(end: int) -> int:
    """Returns the first multiple of PAGE from `end` on."""
    return -(-end // PAGE) * PAGE


_PACK_AGAIN = "pack again with `make pack`"
