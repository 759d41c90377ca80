"""The list of a subset's files, and the check of their headers."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import soundfile

from trainer.data.mixing import MIX, STEMS
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.errors import DataError

UNKNOWN_LENGTHS = tuple(size.to_bytes(4, "little") for size in (0xFFFFFFFF, 0x7FFFF024))
"""What ffmpeg and SoX write as the length where they write to a pipe and cannot return to the header."""


@dataclass(frozen=True)
class Listing:
    """The mixtures of a subset, each with the names of its files."""

    source: Path
    """The CSV or folder that lists them."""
    folders: Mapping[str, Path]
    """Folder of the files of each stem."""
    names: Mapping[str, Sequence[str]]
    """File names of each stem, one per mixture, empty where it has none. A name may be an absolute path."""
    kinds: Sequence[str]
    """Kind of each mixture."""
    lines: Sequence[int]
    """Line of each mixture in the CSV, for messages."""

    def __len__(self) -> int:
        return len(self.kinds)

    def file(self, index: int, stem: str) -> Path:
        """Returns the WAV file of a stem of a mixture."""
        return Path(self.path(index, stem))

    def path(self, index: int, stem: str) -> str:
        """Returns the path of that file as text, which takes a tenth of the time."""
        return os.path.join(self.folders[stem], self.names[stem][index])  # noqa: PTH118

    def stems(self, index: int) -> tuple[str, ...]:
        """Returns the stems of the mixture, the mix first."""
        return STEMS[self.kinds[index]]

    def where(self, index: int) -> str:
        """Returns where the mixture is listed, for messages."""
        return f"{self.source.name}, line {self.lines[index]}"


class Header(NamedTuple):
    """What the headers of a mixture's WAV files say."""

    frames: int
    """Samples of every file."""
    sixteen_bits: bool
    """Whether all files have 16-bit integers."""


def common_header(listing: Listing, index: int) -> Header:
    """Reads the headers of a mixture's files, which must have the same length.

    Raises DataError that names the first file at fault.
    """
    frames, sixteen_bits = 0, True
    for stem in listing.stems(index):
        file = listing.file(index, stem)
        where = f"{file} ({listing.where(index)})"
        try:
            length, subtype = _checked_header(file, where)
        except FileNotFoundError as error:
            raise DataError(f"{where}: there is no such file{_hint(listing, index, stem)}") from error
        if stem == MIX:
            frames = length
        elif length != frames:
            raise DataError(f"{where}: {length} samples, its mixture has {frames}; build or copy both again")
        sixteen_bits = sixteen_bits and subtype == "PCM_16"
    return Header(frames, sixteen_bits)


def _checked_header(file: Path, where: str) -> tuple[int, str]:
    """Returns the samples and subtype of a WAV file, which must be complete, mono and of the corpus's rate.

    Raises FileNotFoundError, and DataError for any other fault.
    """
    try:
        # Reading a pipe would block.
        if not stat.S_ISREG(file.stat().st_mode):
            raise DataError(f"{where}: is no regular file; copy it again")
        with file.open("rb") as stream:
            _check_whole(stream, where)
        header = soundfile.info(file)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise DataError(f"{where}: is no WAV file that can be read ({error}); copy it again") from error
    if header.samplerate != SAMPLE_RATE:
        raise DataError(f"{where}: {header.samplerate} Hz, a corpus has {SAMPLE_RATE} Hz; resample it")
    if header.channels != 1:
        raise DataError(f"{where}: {header.channels} channels, expected one; mix it down to mono")
    if header.frames == 0:
        raise DataError(f"{where}: holds no samples; copy it again")
    return int(header.frames), str(header.subtype)


def _check_whole(stream: BinaryIO, where: str) -> None:
    """Raises DataError where a file is shorter than its RIFF header says; libsndfile would read the rest silently.

    If ffmpeg or SoX wrote to a pipe, the header has no length, and equal lengths of the stems are the only check.
    """
    start = stream.read(8)
    announced = int.from_bytes(start[4:], "little") + 8
    present = stream.seek(0, 2)
    if not present:
        raise DataError(f"{where}: is empty; copy it again")
    if len(start) < 8 or (start[:4] == b"RIFF" and present < announced and start[4:] not in UNKNOWN_LENGTHS):
        raise DataError(f"{where}: is truncated: {present} bytes, its header announces {announced}; copy it again")


def _hint(listing: Listing, index: int, stem: str) -> str:
    """Returns how to fix a missing file, as the end of a message."""
    folder, name = listing.folders[stem], listing.names[stem][index]
    last = name.replace("\\", "/").rpartition("/")[2]
    if last != name:
        path = "a Windows path" if "\\" in name else "a path"
        where = "which exists" if last and (folder / last).is_file() else f"a file of {folder.name}/"
        return f"; '{name}' is {path}, but the column names files of {folder.name}/: write {last}, {where}"
    gone = "" if folder.is_dir() else f", nor its folder {folder.name}/"
    return f"{gone}; copy or build the corpus again"
