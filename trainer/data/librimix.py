"""Which files a subset of a LibriMix-style corpus has (Cosentino et al. 2020, arXiv 2005.11262).

    <root>/{train*,dev,test}/{mix_both or mix_clean,s1,s2,noise}/<mixture>.wav, e.g. root Libri2Mix/wav8k/min
    <root>/metadata/mixture_<subset>_<mix folder>.csv, which gives the mixtures and their order where it is there

A mixture is two speakers and noise, or without mix_both two speakers alone. The file name is the same in each
folder. Called by trainer/data/corpora.py; trainer/data/wav.py checks and reads the files.
"""

import csv
import io
from pathlib import Path, PurePosixPath

from trainer.data.mixing import STEMS
from trainer.data.wav import Listing
from trainer.errors import DataError

PATTERNS = {"train": "train*", "val": "dev", "test": "test"}
"""Subset -> LibriMix's name of it."""
SPEECH_FOLDERS = ("s1", "s2")
NOISE = "noise"
MIXES = {"mix_both": "noisy", "mix_clean": "clean"}
"""Folder of the mixtures -> their kind; the first that is there is read."""


def folders(root: Path, name: str) -> list[Path]:
    """The folders in `root` that look like subset `name` of a LibriMix-style corpus; with luck one."""
    found = root.glob(PATTERNS[name]) if name in PATTERNS else ()
    return sorted(path for path in found if all((path / speaker).is_dir() for speaker in SPEECH_FOLDERS))


def listing(root: Path, name: str) -> Listing:
    """The files of subset `name` ('train', 'val' or 'test'). Raises DataError that names what is missing."""
    found = folders(root, name)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{root}: has {names}; leave one of them, or make a folder with links to one of them")
    folder = found[0]
    mix = next((mix for mix in MIXES if (folder / mix).is_dir()), None)
    if mix is None:
        raise DataError(f"{folder}: has no folder {' or '.join(MIXES)}, so its mixtures are missing")
    if mix == "mix_both" and not (folder / NOISE).is_dir():
        raise DataError(f"{folder}: has mix_both/ but no folder {NOISE}/; copy it as well")
    kind = MIXES[mix]
    table = root / "metadata" / f"mixture_{folder.name}_{mix}.csv"
    if table.is_file():
        source, content, files, lines = _from_table(table)
    else:
        source = folder / mix
        files = sorted(path.name for path in source.glob("*.wav"))
        content, lines = "\n".join(files).encode(), list(range(1, len(files) + 1))
    if not files:
        raise DataError(f"{source}: lists no mixtures; generate the corpus anew")
    places = dict(zip(STEMS["noisy"], (mix, *SPEECH_FOLDERS, NOISE), strict=True))
    stems = STEMS[kind]
    return Listing(
        source,
        content,
        {stem: folder / places[stem] for stem in stems},
        dict.fromkeys(stems, files),
        [kind] * len(files),
        lines,
    )


def _from_table(table: Path) -> tuple[Path, bytes, list[str], list[int]]:
    """The mixtures of a metadata CSV. Its paths are those of the machine that made the corpus; names are the same
    everywhere."""
    files, lines = [], []
    try:
        content = table.read_bytes()
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        if "mixture_path" not in (reader.fieldnames or ()):
            raise DataError(f"{table}, line 1: column mixture_path is missing")
        for row in reader:
            name = PurePosixPath((row["mixture_path"] or "").strip()).name
            if not name:
                raise DataError(f"{table}, line {reader.line_num}: column mixture_path is empty")
            files.append(name)
            lines.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: cannot be read as CSV ({error})") from error
    return table, content, files, lines
