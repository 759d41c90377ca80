"""`python -m trainer.data.pack --data-dir DIR`: packs each subset of a corpus into one memory-mapped file.

The format is that of trainer/data/readers/packed.py. A pack is written under a temporary name, read back from the disk,
and only then renamed; a pack that exists and is intact stays as it is.
"""

import contextlib
import json
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from trainer.command_line import read
from trainer.data.mixing import KINDS
from trainer.data.readers.corpora import SUBSETS, has_files, list_files
from trainer.data.readers.packed import DTYPES, ENTRY, MAGIC, PREFIX, PackedSubset, data_begin, pack_path
from trainer.data.readers.seen import FORGETFUL, Memory, memory
from trainer.data.readers.subset import KIND_NAMES, SAMPLE_RATE, SCALE
from trainer.data.readers.wav import WavSubset
from trainer.data.working import Progress, shown
from trainer.errors import ConfigError, DataError, StorageError, TrainerError
from trainer.guard import guarded
from trainer.metric_line import say


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Pack a corpus of WAV files: one memory-mapped file per subset, which the trainer then reads."""

    data_dir: Path
    """Root of the corpus, in PolSESS or LibriMix format."""

    out: Path | None = None
    """Folder for the packs, which can then be a --data-dir by itself. Default: beside the WAV files."""


class _NotExactError(Exception):
    """16 bits do not hold the samples exactly."""


def _ignore(what: str, done: int, total: int) -> None:
    """Ignores the progress."""


def pack(root: Path, name: str, out: Path, memory: Memory = FORGETFUL, progress: Progress = _ignore) -> bool:
    """Packs subset `name` of the corpus in `root` into the folder `out`.

    Returns False where an intact pack of the same sound exists already. Raises DataError where the corpus is at fault
    and StorageError where the pack cannot be written; an existing pack then stays as it was.
    """
    target = pack_path(out, name)
    subset = WavSubset(list_files(root, name), memory)
    fingerprint = subset.fingerprint()
    if target.exists() and _is_whole(target, fingerprint, progress):
        return False
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            try:
                _write(file, subset, fingerprint, "int16", progress)
            except _NotExactError:
                file.seek(0)
                file.truncate()
                _write(file, subset, fingerprint, "float32", progress)
            file.flush()
            os.fsync(file.fileno())
            # The check below then reads from the disk, not from memory.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if not subset.survey.unchanged():
            raise DataError(f"{subset.source}: files have changed while they were packed; pack them again")
        if not _is_whole(temporary, fingerprint, progress):
            raise StorageError(f"{target}: the data read back differs from the data written; check the disk")
        temporary.replace(target)
    except OSError as error:
        raise StorageError(
            f"{target}: cannot be written ({error.strerror}); make room, or choose another --out"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def _write(file: BinaryIO, subset: WavSubset, fingerprint: str, dtype: str, progress: Progress) -> None:
    """Writes the data, and then, once the checksums are known, the index before it."""
    rows = len(subset.frames)
    header = json.dumps(
        {
            "mixtures": rows,
            "dtype": dtype,
            "sample_rate": SAMPLE_RATE,
            "fingerprint": fingerprint,
            "packed_from": subset.source.name,
        }
    ).encode()
    index = np.zeros(rows, ENTRY)
    file.seek(data_begin(PREFIX.itemsize + len(header) + index.nbytes))
    first = 0
    for row in range(rows):
        content = _signals(subset, row, dtype).tobytes()
        index[row] = (first, subset.frames[row], subset.kinds[row], zlib.crc32(content))
        first += len(content) // DTYPES[dtype].itemsize
        file.write(content)
        progress("packs", row + 1, rows)
    checked = header + index.tobytes()
    file.seek(0)
    file.write(np.array([(MAGIC, len(header), zlib.crc32(checked), 0)], PREFIX).tobytes() + checked)


def _signals(subset: WavSubset, row: int, dtype: str) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
    """Returns the speakers and variants [2 + V, T] of a mixture. Raises _NotExactError where `dtype` is too small."""
    variants = KINDS[KIND_NAMES[subset.kinds[row]]]
    signals = np.empty((2 + len(variants), subset.frames[row]), np.float32)
    for index, variant in enumerate(variants, 2):
        subset.read(row, variant, 0, signals[index], signals[:2])
    if dtype == "float32":
        return signals.astype(DTYPES[dtype])
    scaled = signals / SCALE
    rounded = np.clip(np.nan_to_num(scaled), -(2**15), 2**15 - 1).astype(DTYPES[dtype])
    if not np.array_equal(rounded, scaled):
        raise _NotExactError
    return rounded


def _is_whole(path: Path, fingerprint: str, progress: Progress) -> bool:
    """Returns whether `path` is a pack of the files with that fingerprint and all of its checksums are right."""
    try:
        packed = PackedSubset(path)
        for row in range(len(packed.frames)):
            packed.check(row)
            packed.release()
            progress("reads back", row + 1, len(packed.frames))
    except DataError:
        return False
    return packed.fingerprint() == fingerprint


def main(argv: list[str]) -> int:
    """Runs the command line `argv`, without the program's name, and returns the exit code."""
    try:
        request = read(Pack, argv, "python -m trainer.data.pack")
        out = request.out or request.data_dir
        names = [name for name in SUBSETS if has_files(request.data_dir, name)]
        if not names:
            # This raises an error that says what may have been meant.
            list_files(request.data_dir, "train")
            raise ConfigError(f"--data-dir {request.data_dir}: has none of {', '.join(SUBSETS)}")
        for name in names:
            with shown(name) as progress:
                made = pack(request.data_dir, name, out, memory(say), progress)
            path = pack_path(out, name)
            say(f"{'packed' if made else 'already there, intact'}: {path}, {path.stat().st_size / 1e6:.0f} MB")
    except TrainerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main))
