"""Lists the files of a subset of a LibriMix-style corpus.

    <root>/{train*,dev,test}/{mix_both or mix_clean,s1,s2,noise}/<mixture>.wav, e.g. root Libri2Mix/wav8k/min
    <root>/metadata/mixture_<subset>_<mix folder>.csv, which gives the mixtures and their order if it exists

A mixture has two speakers and noise, or, without mix_both, two speakers alone. Its files have the same name in each
folder.

References:
    Cosentino et al. 2020, "LibriMix: An open-source dataset for generalizable speech separation", arXiv:2005.11262.
"""

import re
from pathlib import Path

from trainer.data.mixing import STEMS
from trainer.data.readers.listing import Listing
from trainer.data.readers.table import read_table
from trainer.errors import DataError

PATTERNS = {"train": "train*", "val": "dev", "test": "test"}
"""LibriMix's folder of each subset."""
SPEECH_FOLDERS = ("s1", "s2")
NOISE = "noise"
SINGLE = "mix_single"
MIXES = {"mix_both": "noisy", "mix_clean": "clean"}
"""Kind of the mixtures in each folder; the first folder that exists is read."""
WSJ = {"tr": "train", "cv": "dev", "tt": "test"}
"""LibriMix's name for each folder of wsj0-2mix and WHAM!."""


def folders(root: Path, name: str) -> list[Path]:
    """Returns the folders in `root` that look like subset `name` of a LibriMix-style corpus; usually there is one."""
    parts = (*SPEECH_FOLDERS, *MIXES, SINGLE)
    paths = root.glob(PATTERNS[name]) if name in PATTERNS else ()
    return sorted(path for path in paths if any((path / part).is_dir() for part in parts))


def renamed(root: Path) -> str:
    """Returns how to make a folder in the layout of wsj0-2mix or WHAM! readable; empty for any other folder."""
    there = [name for name in WSJ if (root / name / SPEECH_FOLDERS[0]).is_dir()]
    if not there:
        return ""
    links = ", ".join(f"{WSJ[name]}/ to {name}/" for name in there)
    mix = not any((root / there[0] / name).is_dir() for name in MIXES) and (root / there[0] / "mix").is_dir()
    return f"{root} has the names of wsj0-2mix and WHAM!: make a folder with links, {links}" + (
        ", in each of which mix/ is called mix_clean/" if mix else ""
    )


def listing(root: Path, name: str) -> Listing:
    """Returns the files of subset `name` (train, val or test). Raises DataError that names what is missing."""
    candidates = folders(root, name)
    if len(candidates) > 1:
        names = ", ".join(path.name for path in candidates)
        raise DataError(f"{root}: has {names}; keep one of them, or make a folder with a link to one of them")
    folder = candidates[0]
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
        raise DataError(f"{source}: lists no mixtures; {_other_names(source)}generate the corpus again")
    names_of = dict(zip(STEMS["noisy"], (mix, *SPEECH_FOLDERS, NOISE), strict=True))
    stems = STEMS[kind]
    return Listing(
        source,
        {stem: folder / names_of[stem] for stem in stems},
        dict.fromkeys(stems, files),
        [kind] * len(files),
        lines,
    )


def _mix(folder: Path) -> str:
    """Returns the name of the folder of the mixtures.

    Raises DataError where the subset does not have two speakers, or is incomplete.
    """
    if third := next((path.name for path in sorted(folder.glob("s[3-9]")) if path.is_dir()), None):
        raise DataError(f"{folder}: has {third}/ beside s1/ and s2/; this trainer separates mixtures of two speakers")
    mix = next((mix for mix in MIXES if (folder / mix).is_dir()), None)
    if mix is None:
        single = f"; {SINGLE}/ has one speaker" if (folder / SINGLE).is_dir() else ""
        raise DataError(f"{folder}: has no folder {' or '.join(MIXES)}, so its mixtures are missing{single}")
    for part in (*SPEECH_FOLDERS, *([NOISE] if mix == "mix_both" else [])):
        if not (folder / part).is_dir():
            raise DataError(f"{folder}: has {mix}/ but no folder {part}/; copy it, too")
    return mix


def _other_names(folder: Path) -> str:
    """Returns a hint if `folder` has sounds with other suffixes than .wav; else an empty text."""
    suffixes = (".wav", ".flac", ".sph", ".mp3", ".ogg")
    names = sorted(path.name for path in folder.glob("*") if path.suffix.lower() in suffixes)
    if not names:
        return ""
    return f"{len(names)} files such as {names[0]} do not end in .wav: convert or rename them, or "


def _from_table(table: Path) -> tuple[list[str], list[int]]:
    """Returns the mixtures of a metadata CSV and their lines.

    Only the names in its paths count: the paths are those of the machine, perhaps with Windows, that made the corpus.
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
