"""Opens the SQLite file of a study as data from anybody: it is read, and nothing in it is executed.

A schema can hold views, triggers and generated columns, which are programs; a journal can name another file, which
SQLite deletes after it has rolled the journal back (sqlite.org/fileformat2.html and atomiccommit.html: super-journal).
"""

import os
import re
import sqlite3
from contextlib import suppress
from pathlib import Path

from katib.untrusted import file_size, open_file

LARGEST = 256 << 20
"""The size of a database in bytes; a search of 20 000 reports takes 2 MB."""
LONGEST = 32 << 20
"""The size of one value in bytes."""
_BESIDE = ("", "-journal", "-wal", "-shm")
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
"""The bytes with which a journal begins, and ends where it names a super-journal."""
_PROGRAM = re.compile(r"\b(VIRTUAL|GENERATED|AS)\b", re.IGNORECASE)
_STEPS_PER_CALL, _MOST_CALLS = 1_000_000, 2_000
"""Steps of SQLite's virtual machine between two calls of the progress handler, and the calls after which it interrupts
a query; to read a million rows takes 20 calls."""


def opened(path: Path, patience: float) -> sqlite3.Connection:
    """Returns a connection in a transaction, in a database of plain tables. Raises OSError and sqlite3.Error.

    `patience` is the time in seconds to wait for a lock.
    """
    require_plain_files(path)
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", timeout=patience, uri=True)
    try:
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
        database.execute("PRAGMA trusted_schema = OFF")
        calls = iter(range(_MOST_CALLS))
        database.set_progress_handler(lambda: next(calls, None) is None, _STEPS_PER_CALL)
        database.execute("BEGIN")
        for kind, name, sql in database.execute("SELECT type, name, sql FROM sqlite_schema"):
            if kind not in ("table", "index") or _PROGRAM.search(sql or ""):
                raise sqlite3.DatabaseError(f"{kind} {name} was not made by this engine")
    except BaseException:
        database.close()
        raise
    return database


def require_plain_files(path: Path) -> None:
    """Raises OSError where the database, or a file that SQLite keeps beside it, is not safe to open.

    Such a file is a link or another special file, is larger than a study can be, or names another file.
    """
    for ending in _BESIDE:
        file = path.with_name(path.name + ending)
        with suppress(FileNotFoundError):
            if file_size(file) > LARGEST:
                raise OSError(0, f"{file.name} is larger than {LARGEST >> 20} MiB")
    with (
        suppress(FileNotFoundError),
        os.fdopen(open_file(path.with_name(path.name + "-journal")), "rb") as journal,
    ):
        size = journal.seek(0, os.SEEK_END)
        journal.seek(max(0, size - len(_SUPER_JOURNAL)))
        if size > len(_SUPER_JOURNAL) and journal.read() == _SUPER_JOURNAL:
            raise OSError(0, f"{path.name}-journal names another file, which would be deleted")
