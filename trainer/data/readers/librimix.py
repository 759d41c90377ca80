"""Which files a subset of a LibriMix-style corpus has (Cosentino et al. 2020, arXiv 2005.11262).

    <root>/{train*,dev,test}/{mix_both or mix_clean,s1,s2,noise}/<mixture>.wav, e.g. root Libri2Mix/wav8k/min
    <root>/metadata/mixture_<subset>_<mix folder>.csv, which gives the mixtures and their order where it is there

A mixture is two speakers and noise, or without mix_both two speakers alone. The file name is the same in each folder.
Called by trainer/data/readers/corpora.py; trainer/data/readers/wav.py checks and reads the files.
"""

import re
from pathlib import Path

from trainer.data.mixing import STEMS
from trainer.data.readers.listing import Listing
from trainer.data.readers.table import read_table
from trainer.errors import DataError

PATTERNS = {"train": "train*", "val": "dev", "test": "test"}
"""Subset -> LibriMix's name of it."""
SPEECH_FOLDERS = ("s1", "s2")
NOISE = "noise"
SINGLE = "mix_single"
MIXES = {"mix_both": "noisy", "mix_clean": "clean"}
"""Folder of the mixtures -> their kind; the first that is there is read."""
WSJ = {"tr": "train", "cv": "dev", "tt": "test"}
"""Subset's folder in wsj0-2mix and WHAM! -> what it has to be called here."""


def folders(root: Path, name: str) -> list[Path]:
    """Returns the folders in `root` that look like subset `name` of a LibriMix-style corpus; with luck one."""
    parts = (*SPEECH_FOLDERS, *MIXES, SINGLE)
    found = root.glob(PATTERNS[name]) if name in PATTERNS else ()
    return sorted(path for path in found if any((path / part).is_dir() for part in parts))


def renamed(root: Path) -> str:
    """Says how a folder in the layout of wsj0-2mix or WHAM! becomes one that is read; empty for any other."""
    there = [name for name in WSJ if (root / name / SPEECH_FOLDERS[0]).is_dir()]
    if not there:
        return ""
    links = ", ".join(f"{WSJ[name]}/ to {name}/" for name in there)
    mix = not any((root / there[0] / name).is_dir() for name in MIXES) and (root / there[0] / "mix").is_dir()
    return f"{root} has the names of wsj0-2mix and WHAM!: make a folder with links, {links}" + (
        ", in each of which mix/ is called mix_clean/" if mix else ""
    )


def listing(root: Path, name: str) -> Listing:
    """Returns the files of subset `name` ('train', 'val' or 'test'). Raises DataError that names what is missing."""
    found = folders(root, name)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{root}: has {names}; leave one of them, or make a folder with links to one of them")
    folder = found[0]
    mix = _mix(folder)
    kind = MIXES[mix]
    table = root / "metadata" / f"mixture_{folder.name}_{mix}.csv"
    if table.is_file():
        source, (files, lines) = table, _from_table(table)
    else:
        source = folder / mix
        # macOS leaves files such as ._m1.wav beside those that it copies.
        files = sorted(path.name for path in source.glob("*.wav") if not path.name.startswith("."))
        lines = list(range(1, len(files) + 1))
    if not files:
        raise DataError(f"{source}: lists no mixtures; {_other_names(source)}generate the corpus anew")
    places = dict(zip(STEMS["noisy"], (mix, *SPEECH_FOLDERS, NOISE), strict=True))
    stems = STEMS[kind]
    return Listing(
        source,
        {stem: folder / places[stem] for stem in stems},
        dict.fromkeys(stems, files),
        [kind] * len(files),
        lines,
    )


def _mix(folder: Path) -> str:
    """Returns the folder of the mixtures.

    Raises DataError where the subset is not one of two speakers, or not whole.
    """
    if third := next((path.name for path in sorted(folder.glob("s[3-9]")) if path.is_dir()), None):
        raise DataError(f"{folder}: has {third}/ beside s1/ and s2/; this trainer separates mixtures of two speakers")
    mix = next((mix for mix in MIXES if (folder / mix).is_dir()), None)
    if mix is None:
        single = f"; {SINGLE}/ has one speaker" if (folder / SINGLE).is_dir() else ""
        raise DataError(f"{folder}: has no folder {' or '.join(MIXES)}, so its mixtures are missing{single}")
    for part in (*SPEECH_FOLDERS, *([NOISE] if mix == "mix_both" else [])):
        if not (folder / part).is_dir():
            raise DataError(f"{folder}: has {mix}/ but no folder {part}/; copy it as well")
    return mix


def _other_names(folder: Path) -> str:
    """Returns what lies in `folder` instead, where that is sound under another ending."""
    sounds = (".wav", ".flac", ".sph", ".mp3", ".ogg")
    found = sorted(path.name for path in folder.glob("*") if path.suffix.lower() in sounds)
    return f"{found[0]} does not end in .wav, as {len(found)} files: convert or rename them, or " if found else ""


def _from_table(table: Path) -> tuple[list[str], list[int]]:
    """Returns the mixtures of a metadata CSV and their lines.

    Its paths are those of the machine that made the corpus, be it Windows; names are the same everywhere.
    """
    files, lines = [], []
    for line, row in read_table(table, ["mixture_path"]):
        name = _name(row["mixture_path"])
        if not name:
            raise DataError(f"{table}, line {line}: column mixture_path is empty")
        for column in ("source_1_path", "source_2_path", "noise_path"):
            other = _name(row.get(column, ""))
            if other not in ("", name):
                raise DataError(
                    f"{table}, line {line}: column {column} names {other}, the mixture is {name}; "
                    "a mixture's files must have one name"
                )
        files.append(name)
        lines.append(line)
    return files, lines


def _name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]
