"""Identifies the corpus of a search, since values of trials on different corpora cannot be compared.

Our trainer computes a fingerprint of all that it trains on. Where another program reads the corpus, a checksum of its
tables identifies it, in any layout.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from katib.errors import FolderError
from katib.trainer_contract import NOTE, Flags, program, run_trainer
from katib.untrusted import parse_json

EARLIER = (
    "its trials are of an earlier version of the trainer, which identified a corpus by its tables, not its mixtures"
)


def fingerprint(python: Sequence[str], env: Mapping[str, str], data_dir: Path) -> str:
    """Returns the fingerprint of the corpus in `data_dir` by the trainer that the words `python` start.

    Passes on its messages about reading that takes long. Raises FolderError with its last message where it refuses the
    corpus.
    """
    answer = run_trainer([*python, "fingerprint", Flags.DATA_DIR, str(data_dir)], env, relayed=(str(data_dir), NOTE))
    corpus = answer.output.strip()
    if answer.code or not corpus:
        raise FolderError(f"--data: {answer.problem if answer.code else 'the trainer gave no answer'}")
    return corpus


def mixtures(data_dir: Path) -> int:
    """Returns how many mixtures the corpus in `data_dir` has to train.

    Raises FolderError with the trainer's last message where it refuses the corpus.
    """
    command = [*program(), "fingerprint", Flags.DATA_DIR, str(data_dir), "--json"]
    answer = run_trainer(command, relayed=(str(data_dir), NOTE))
    try:
        return int(parse_json(answer.output)["mixtures"]["train"])
    except (ValueError, KeyError, TypeError):
        raise FolderError(f"--data: {answer.problem}") from None


def of_tables(data: Path) -> str:
    """Returns a checksum of the tables (CSV) in `data` and one folder below, wherever `data` is. Raises FolderError."""
    digest = hashlib.sha256()
    for table in sorted(path for path in (*data.glob("*.csv"), *data.glob("*/*.csv")) if path.is_file()):
        try:
            content = hashlib.sha256(table.read_bytes()).hexdigest()
        except OSError as error:
            raise FolderError(f"--data {table}: cannot be read ({error.strerror})") from None
        digest.update(f"{table.relative_to(data)} {content}\n".encode())
    return digest.hexdigest()


def is_earlier(recorded: str, current: str) -> bool:
    """Returns whether `recorded` is a checksum of tables, as earlier versions wrote it, and `current` a fingerprint."""
    return "-" in current and "-" not in recorded
