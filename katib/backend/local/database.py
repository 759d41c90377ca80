"""Opens the SQLite file of a study as data that may come from anybody: it is read, and nothing in it is run.

A schema can hold views, triggers and generated columns, which are programs; a journal can name another file, which
SQLite deletes once it has taken the journal back (sqlite.org/fileformat2.html and atomiccommit.html: super-journal).
"""

import os
import re
import sqlite3
from contextlib import suppress
from pathlib import Path

from katib.untrusted import file_size, open_file

LARGEST = 256 << 20
"""Bytes; a search of 20 000 reports takes 2 MB."""
LONGEST = 32 << 20
"""Bytes of one value in it."""
_BESIDE = ("", "-journal", "-wal", "-shm")
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""With which a journal begins, and ends where it names a super-journal."""
_PROGRAM = re.compile(r"\b(VIRTUAL|GENERATED|AS)\b", re.IGNORECASE)
_STEPS_A_LOOK, _MOST_LOOKS = 1_000_000, 2_000
"""Steps of SQLite's virtual machine between two looks at how many there were: a million rows take 20 of these."""


def opened(path: Path, patience: float) -> sqlite3.Connection:
    """Returns a connection in a transaction, in which every table is a plain one. Raises OSError and sqlite3.Error."""
    require_plain_files(path)
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", timeout=patience, uri=True)
    try:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        database.execute("PRAGMA trusted_schema = OFF")
        looks = iter(range(_MOST_LOOKS))
        database.set_progress_handler(lambda: next(looks, None) is None, _STEPS_A_LOOK)
        database.execute("BEGIN")
        for kind, name, sql in database.execute("SELECT type, name, sql FROM sqlite_schema"):
            if kind not in ("table", "index") or _PROGRAM.search(sql or ""):
                raise sqlite3.DatabaseError(f"{kind} {name} is none of this engine")
    except BaseException:
        database.close()
        raise
    return database


def require_plain_files(path: Path) -> None:
    """See that the database and what SQLite keeps beside it are regular files, no links, of a size that a study can
    have, and name no other file. Raises OSError.
    """
    for ending in _BESIDE:
        place = path.with_name(path.name + ending)
        with suppress(FileNotFoundError):
            if file_size(place) > LARGEST:
                raise OSError(0, f"{place.name} is larger than {LARGEST >> 20} MiB")
    with (
        suppress(FileNotFoundError),
        os.fdopen(open_file(path.with_name(path.name + "-journal")), "rb") as journal,
    ):
        size = journal.seek(0, os.SEEK_END)
        journal.seek(max(0, size - len(_SUPER_JOURNAL)))
        if size > len(_SUPER_JOURNAL) and journal.read() == _SUPER_JOURNAL:
            raise OSError(0, f"{path.name}-journal names another file, which would be deleted")
