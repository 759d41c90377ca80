"""Mixtures in WAV files, one file a stem: the check of every header when a subset is opened, so that a damaged
file ends the training before its first epoch, and the reading.

trainer/data/polsess.py and trainer/data/librimix.py say which files there are; trainer/data/corpora.py calls
both.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.data.mixing import MIX, SPEECH, STEMS, subtracted
from trainer.data.subset import KIND_NAMES, SAMPLE_RATE, SCALE, Samples, Subset
from trainer.errors import DataError, DataFaultError

FINGERPRINTED = 8
"""Mixtures whose sound is part of the fingerprint."""


@dataclass(frozen=True)
class Listing:
    """Which files a subset has, before any of them has been looked at."""

    source: Path
    """The CSV or folder that lists them."""
    table: bytes
    """Its content."""
    folders: Mapping[str, Path]
    """Stem -> folder of its files."""
    names: Mapping[str, Sequence[str]]
    """Stem -> name of the file of each mixture, empty where it has none."""
    kinds: Sequence[str]
    """Of each mixture."""
    lines: Sequence[int]
    """Of the CSV, for messages."""

    def file(self, index: int, stem: str) -> Path:
        """The WAV file of a stem of a mixture."""
        return self.folders[stem] / self.names[stem][index]

    def where(self, index: int) -> str:
        """The mixture's place in the listing."""
        return f"{self.source.name}, line {self.lines[index]}"

    def fingerprint(self) -> str:
        """Hash of the listing and of the sound of some mixtures, spread over it. Raises OSError."""
        digest = hashlib.sha256(self.table)
        for index in sorted({round(i) for i in np.linspace(0, len(self.kinds) - 1, FINGERPRINTED)}):
            digest.update(self.file(index, MIX).read_bytes())
        return digest.hexdigest()[:16]


class Header(NamedTuple):
    """What a WAV file's header tells."""

    frames: int
    subtype: str


class WavSubset(Subset):
    """A subset whose stems are WAV files."""

    def __init__(self, listing: Listing) -> None:
        """Look at every file of `listing`. Raises DataError that names the first at fault."""
        self.listing = listing
        self.source = listing.source
        # Waiting for a disk or a network is what takes the time.
        pool = ThreadPoolExecutor(max(8, 2 * (os.cpu_count() or 1)))
        try:
            headers = list(pool.map(lambda index: _common_header(listing, index), range(len(listing.kinds))))
        finally:
            pool.shutdown(cancel_futures=True)
        self.frames = np.array([header.frames for header in headers], np.int64)
        self.kinds = np.array([KIND_NAMES.index(kind) for kind in listing.kinds], np.uint8)
        # libsndfile takes twice as long where it has to make floats of them.
        self._sixteen_bits = all(header.subtype == "PCM_16" for header in headers)
        self._folders = {stem: f"{folder}{os.sep}" for stem, folder in listing.folders.items()}

    @property
    def storage(self) -> str:
        """Files."""
        return "WAV files"

    def fingerprint(self) -> str:
        """Of the files. Raises DataError."""
        try:
            return self.listing.fingerprint()
        except OSError as error:
            raise DataError(
                f"{self.source.parent}: cannot be read ({error}); copy the corpus anew"
            ) from error

    def read(self, index: int, variant: str, start: int, mixture: Samples, targets: Samples) -> None:
        """As `Subset.read`."""
        for stem, target in zip(SPEECH, targets, strict=True):
            self._fill(target, index, stem, start)
        self._fill(mixture, index, MIX, start)
        dropped = subtracted(variant, KIND_NAMES[self.kinds[index]])
        if self._sixteen_bits:
            whole = np.empty(len(mixture), np.int16)
            for stem in dropped:
                self._fill(whole, index, stem, start)
                mixture -= whole * SCALE
        else:
            samples = np.empty_like(mixture)
            for stem in dropped:
                self._fill(samples, index, stem, start)
                mixture -= samples

    def _fill(self, out: Samples | NDArray[np.int16], index: int, stem: str, start: int) -> None:
        file = self._folders[stem] + self.listing.names[stem][index]
        try:
            read = soundfile.read(file, start=start, dtype=out.dtype.name, out=out)[0]
        except (OSError, ValueError, soundfile.SoundFileError) as error:
            raise DataFaultError(
                f"{file} ({self.listing.where(index)}): cannot be read any more ({error}); copy it anew, "
                "the run then goes on where it was"
            ) from error
        if len(read) < len(out):
            raise DataFaultError(
                f"{file} ({self.listing.where(index)}): has become shorter since the training began; "
                "copy it anew, the run then goes on where it was"
            )


def _common_header(listing: Listing, index: int) -> Header:
    """Of the mixture's files, which all have the same length."""
    found = Header(0, "PCM_16")
    for stem in STEMS[listing.kinds[index]]:
        file = listing.file(index, stem)
        header = _checked_header(file, f"{file} ({listing.where(index)})")
        if stem == MIX:
            found = header
        elif header.frames != found.frames:
            raise DataError(
                f"{file} ({listing.where(index)}): {header.frames} samples, its mixture has {found.frames}"
            )
        elif header.subtype != "PCM_16":
            found = found._replace(subtype=header.subtype)
    return found


def _checked_header(file: Path, where: str) -> Header:
    """Header of a WAV file that is whole, mono and of the corpus's rate."""
    try:
        with file.open("rb") as stream:
            _check_whole(stream, where)
        header = soundfile.info(file)
    except FileNotFoundError as error:
        folder = "" if file.parent.is_dir() else f", nor its folder {file.parent.name}/"
        raise DataError(f"{where}: there is no such file{folder}; copy or build the corpus anew") from error
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise DataError(f"{where}: is no WAV file that can be read ({error})") from error
    if header.samplerate != SAMPLE_RATE:
        raise DataError(f"{where}: {header.samplerate} Hz, a corpus has {SAMPLE_RATE} Hz; resample it")
    if header.channels != 1:
        raise DataError(f"{where}: {header.channels} channels, expected one; mix it down to mono")
    if header.frames == 0:
        raise DataError(f"{where}: holds no samples")
    return Header(int(header.frames), str(header.subtype))


def _check_whole(stream: BinaryIO, where: str) -> None:
    """A RIFF header says how long its file is; libsndfile reads what is left of a truncated one without a
    word."""
    start = stream.read(8)
    announced = int.from_bytes(start[4:], "little") + 8
    present = stream.seek(0, 2)
    if len(start) < 8 or (start[:4] == b"RIFF" and present < announced):
        raise DataError(
            f"{where}: is truncated: {present} bytes, its header announces {announced}; copy it anew"
        )
