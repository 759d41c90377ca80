"""What the corpus of a search is known by: values of trials on different corpora cannot be compared.

Our trainer is asked for its own fingerprint, which covers all that it trains on. Of a corpus that another program reads
only the tables are known, in any layout.
"""

import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from katib.errors import FolderError

EARLIER = (
    "its trials are of an earlier version of the trainer, which knew a corpus by its tables only and left mixtures out"
)


def fingerprint(python: Sequence[str], env: Mapping[str, str], data_dir: Path) -> str:
    """Returns what the trainer, started with the words `python`, knows the corpus in `data_dir` by.

    Passes on what it says of a reading that takes long. Raises FolderError with its own line where it refuses the
    corpus.
    """
    code, found, said = ask([*python, "fingerprint", "--data-dir", str(data_dir)], env, data_dir)
    last = said[-1] if said else ""
    if code or not found:
        packages = "; `make setup` installs the trainer's packages" if "ModuleNotFoundError" in last else ""
        raise FolderError(f"--data: {last.removeprefix('error: ') or 'the trainer said nothing'}{packages}")
    return found


def ask(words: Sequence[str], env: Mapping[str, str], data_dir: Path) -> tuple[int, str, list[str]]:
    """Returns the exit code of the trainer, started with `words`, its answer, and the lines that it said beside it.

    Those about a reading of `data_dir` that takes long are passed on at once.
    """
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as asked:
        assert asked.stdout is not None  # noqa: S101 - both are pipes
        assert asked.stderr is not None  # noqa: S101
        said = []
        for line in asked.stderr:
            if line.strip():
                said.append(line.strip())
            if line.startswith((str(data_dir), "note: ")):
                print(line.strip(), file=sys.stderr, flush=True)
        found = asked.stdout.read().strip()
    return asked.returncode, found, said


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
