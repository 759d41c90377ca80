"""What the corpus of a search is known by: values of trials on different corpora cannot be compared.

Our trainer is asked for its own fingerprint, which covers all that it trains on. Of a corpus that another program reads
only the tables are known, in any layout.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from katib.errors import FolderError
from katib.trainer_contract import NOTE, Flags, run_trainer

EARLIER = (
    "its trials are of an earlier version of the trainer, which knew a corpus by its tables only and left mixtures out"
)


def fingerprint(python: Sequence[str], env: Mapping[str, str], data_dir: Path) -> str:
    """Returns what the trainer, started with the words `python`, knows the corpus in `data_dir` by.

    Passes on what it says of a reading that takes long. Raises FolderError with its own line where it refuses the
    corpus.
    """
    answer = run_trainer([*python, "fingerprint", Flags.DATA_DIR, str(data_dir)], env, relayed=(str(data_dir), NOTE))
    found = answer.output.strip()
    if answer.code or not found:
        raise FolderError(f"--data: {answer.problem if answer.code else 'the trainer said nothing'}")
    return found


def of_tables(data: Path) -> str:
    """Returns a checksum of the tables (CSV) in `data` and one folder below, wherever it lies. Raises FolderError."""
    digest = hashlib.sha256()
    for table in sorted(path for path in (*data.glob("*.csv"), *data.glob("*/*.csv")) if path.is_file()):
        try:
            content = hashlib.sha256(table.read_bytes()).hexdigest()
        except OSError as error:
            raise FolderError(f"--data {table}: cannot be read ({error.strerror})") from None
        digest.update(f"{table.relative_to(data)} {content}\n".encode())
    return digest.hexdigest()


def is_earlier(recorded: str, found: str) -> bool:
    """Returns whether `recorded` is a checksum of tables, by which corpora of our trainer were known before, and
    `found` is not.
    """
    return "-" in found and "-" not in recorded
