"""Reads corpora in PolSESS format: the CSV of a subset, the WAV files of its rows, and mixtures in a chosen
variant.

    <root>/<subset>/corpus_<root's name>_<subset>_final.csv, and beside it the folders of STEMS

Every header is looked at when the subset is opened, so that a damaged file ends the training before its first
epoch and not in the middle of it. Called by trainer/data/sampling.py and trainer/__main__.py.
"""

import csv
import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.data.mixing import EVENT_REVERB, SPEECH, SPEECH_REVERB, subtracted
from trainer.errors import DataError

SAMPLE_RATE = 8000
"""Hz, of every file; the models' kernels and strides are published for it."""

MIX = "mixFile"
STEMS: Mapping[str, str] = MappingProxyType(
    {
        MIX: "mix",
        SPEECH[0]: "clean",
        SPEECH[1]: "clean",
        "sceneFile": "scene",
        "eventFile": "event",
        SPEECH_REVERB[0]: "sp1_reverb",
        SPEECH_REVERB[1]: "sp2_reverb",
        EVENT_REVERB: "ev_reverb",
    }
)
"""CSV column -> folder of the files that it names."""
REVERB = (*SPEECH_REVERB, EVENT_REVERB)
"""Columns whose cells are empty where the mixture was made outdoors."""

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """One mixture of a subset."""

    line: int
    """Of the CSV, from 1; the header is line 1."""
    files: Mapping[str, Path]
    """CSV column -> WAV file; without the reverb columns where the mixture was made outdoors."""
    frames: int
    """Length of each of its files, in samples."""

    @property
    def indoor(self) -> bool:
        """Whether the mixture has reverberation."""
        return EVENT_REVERB in self.files


@dataclass(frozen=True)
class Subset:
    """The rows of train, val or test, with every header checked."""

    csv: Path
    rows: tuple[Row, ...]

    def fingerprint(self) -> str:
        """Hash of the CSV and of the first mixture: the same wherever the corpus lies, another for another
        corpus."""
        content = self.csv.read_bytes() + self.rows[0].files[MIX].read_bytes()
        return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class Corpus:
    """What a training reads of a corpus."""

    train: Subset
    validation: Subset

    def fingerprint(self) -> str:
        """Hash by which a run directory knows its corpus again."""
        return f"{self.train.fingerprint()}-{self.validation.fingerprint()}"


def open_corpus(root: Path) -> Corpus:
    """Read and check the subsets train and val of the corpus in `root`. Raises DataError as `open_subset`
    does."""
    return Corpus(open_subset(root, "train"), open_subset(root, "val"))


def open_subset(root: Path, name: str) -> Subset:
    """Read and check `name` ('train', 'val' or 'test') of the corpus in `root`.

    Raises DataError that names the folder, or the file with the line of the CSV, that is at fault.
    """
    table = _find_csv(root, name)
    files = _read_csv(table)
    with ThreadPoolExecutor() as pool:  # opening files waits for the disk or the network
        lengths = list(pool.map(lambda line: _common_length(table, line, files[line]), files))
    rows = tuple(Row(line, files[line], frames) for line, frames in zip(files, lengths, strict=True))
    return Subset(table, rows)


def load(row: Row, variant: str, start: int, frames: int) -> tuple[Samples, Samples]:
    """The mixture [frames] in `variant` and its targets [2, frames], from sample `start` of the row's
    files."""
    mixture = _read(row.files[MIX], start, frames)
    for stem in subtracted(variant, indoor=row.indoor):
        mixture -= _read(row.files[stem], start, frames)
    targets = np.stack([_read(row.files[column], start, frames) for column in SPEECH])
    return mixture, targets


def _read(file: Path, start: int, frames: int) -> Samples:
    try:
        samples: Samples = soundfile.read(file, frames, start, dtype="float32")[0]
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(f"{file}: cannot be read any more ({error})") from error
    if len(samples) < frames:
        raise DataError(f"{file}: has become shorter since the training began")
    return samples


def _find_csv(root: Path, name: str) -> Path:
    """The CSV of a subset. A root that was renamed, or mounted as /data, keeps the old name in it."""
    folder = root / name
    if not folder.is_dir():
        if not root.is_dir():
            raise DataError(
                f"{root}: no such directory; --data-dir names the root of a corpus in PolSESS format"
            )
        inner = sorted(path.parent for path in root.glob(f"*/{name}") if path.is_dir())
        hint = f"did you mean --data-dir {inner[0]}?" if inner else "build a corpus there with `make corpus`"
        raise DataError(f"{root}: has no folder {name}/, so it is no corpus in PolSESS format; {hint}")
    exact = folder / f"corpus_{root.resolve().name}_{name}_final.csv"
    found = [exact] if exact.is_file() else sorted(folder.glob(f"corpus_*_{name}_final.csv"))
    if len(found) != 1:
        what = f"{len(found)} files fit" if found else "there is no"
        raise DataError(f"{folder}: {what} corpus_*_{name}_final.csv, expected {exact.name}")
    return found[0]


def _read_csv(table: Path) -> dict[int, Mapping[str, Path]]:
    """Line of the CSV -> the files that it names, by column."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [column for column in STEMS if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{table}, line 1: column {missing[0]} is missing; needed are {', '.join(STEMS)}"
                )
            rows = dict(_named_files(table, reader.line_num, row) for row in reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV ({error})") from error
    if not rows:
        raise DataError(f"{table}: has no rows; build the corpus anew with `make corpus`")
    return rows


def _named_files(table: Path, line: int, row: Mapping[str, str | None]) -> tuple[int, Mapping[str, Path]]:
    cells = {column: (row[column] or "").strip() for column in STEMS}
    empty = [column for column, cell in cells.items() if not cell]
    if empty and set(empty) != set(REVERB):
        raise DataError(
            f"{table}, line {line}: column {empty[0]} is empty; only {', '.join(REVERB)} "
            "may be, all of them together"
        )
    return line, {column: table.parent / STEMS[column] / cell for column, cell in cells.items() if cell}


def _common_length(table: Path, line: int, files: Mapping[str, Path]) -> int:
    """Length in samples that all files of a row have."""
    lengths = {column: _checked_length(table, line, file) for column, file in files.items()}
    for column, frames in lengths.items():
        if frames != lengths[MIX]:
            raise DataError(
                f"{files[column]} ({table.name}, line {line}): {frames} samples, "
                f"its mixture has {lengths[MIX]}"
            )
    return lengths[MIX]


def _checked_length(table: Path, line: int, file: Path) -> int:
    """Length in samples of a WAV file that is whole, mono and of the corpus's rate."""
    where = f"{file} ({table.name}, line {line})"
    try:
        with file.open("rb") as stream:
            _check_whole(stream, where)
        header = soundfile.info(file)
    except FileNotFoundError as error:
        folder = "" if file.parent.is_dir() else f", nor its folder {file.parent.name}/"
        raise DataError(f"{where}: there is no such file{folder}; copy or build the corpus anew") from error
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(f"{where}: is no WAV file that can be read ({error})") from error
    if header.samplerate != SAMPLE_RATE:
        raise DataError(f"{where}: {header.samplerate} Hz, a corpus has {SAMPLE_RATE} Hz; resample it")
    if header.channels != 1:
        raise DataError(f"{where}: {header.channels} channels, expected one; mix it down to mono")
    if header.frames == 0:
        raise DataError(f"{where}: holds no samples")
    return int(header.frames)


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
