"""Lists the files of a subset of a corpus in PolSESS format.

<root>/<subset>/corpus_<root's name>_<subset>_final.csv, and beside it the folders of FOLDERS
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from trainer.data.mixing import EVENT, EVENT_REVERB, MIX, SCENE, SPEECH, SPEECH_REVERB
from trainer.data.readers.listing import Listing
from trainer.data.readers.table import read_table
from trainer.errors import DataError

FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        MIX: "mix",
        SPEECH[0]: "clean",
        SPEECH[1]: "clean",
        SCENE: "scene",
        EVENT: "event",
        SPEECH_REVERB[0]: "sp1_reverb",
        SPEECH_REVERB[1]: "sp2_reverb",
        EVENT_REVERB: "ev_reverb",
    }
)
"""Folder of the files that each column of the CSV names."""
REVERB = (*SPEECH_REVERB, EVENT_REVERB)
"""Columns that are empty for outdoor mixtures."""


def listing(root: Path, name: str) -> Listing:
    """Returns the files of subset `name` (train, val or test) of the corpus in `root`.

    Raises DataError that names the file at fault, and the line of the CSV.
    """
    table = _find_csv(root, name)
    names: dict[str, list[str]] = {column: [] for column in FOLDERS}
    kinds, lines = [], []
    for line, row in read_table(table, list(FOLDERS)):
        _check_cells(row, f"{table}, line {line}")
        for column, files in names.items():
            files.append(row[column])
        kinds.append("indoor" if row[EVENT_REVERB] else "outdoor")
        lines.append(line)
    folders = {column: table.parent / folder for column, folder in FOLDERS.items()}
    return Listing(table, folders, names, kinds, lines)


def _find_csv(root: Path, name: str) -> Path:
    """Returns the CSV of a subset, whose name keeps the old name of a root that was renamed or mounted as /data."""
    folder = root / name
    exact = folder / f"corpus_{root.resolve().name}_{name}_final.csv"
    tables = [exact] if exact.is_file() else sorted(folder.glob(f"corpus_*_{name}_final.csv"))
    if len(tables) != 1:
        what = f"{len(tables)} files match" if tables else "there is no"
        raise DataError(f"{folder}: {what} corpus_*_{name}_final.csv, expected {exact.name}")
    return tables[0]


def _check_cells(row: Mapping[str, str], where: str) -> None:
    """Raises DataError where a column names no file; the reverb columns may be empty, all of them together.

    A name may not lead out of its folder, because a corpus from elsewhere could make the trainer read, and report on,
    any file of its user. An absolute path is allowed, because it does so openly.
    """
    for column in FOLDERS:
        if ".." in re.split(r"[/\\]", row[column]):
            raise DataError(
                f"{where}: '{row[column]}' leads out of {FOLDERS[column]}/; column {column} names files of that folder"
            )
    empty = [column for column in FOLDERS if not row[column]]
    if empty and set(empty) != set(REVERB):
        raise DataError(f"{where}: column {empty[0]} is empty; only {', '.join(REVERB)} may be, all of them together")
