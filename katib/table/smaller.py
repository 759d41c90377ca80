"""Says that a trial goes on with fewer mixtures at once after its memory ran out; its result stays the same."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from katib.table.run_folder import read_json
from katib.table.trial_table import TrialRow
from katib.text import count
from katib.trainer_contract import MICRO_BATCH, TAKES_LESS
from katib.trial import WITHOUT_RESULT

BEGIN = "out of memory with "


def smaller(failed: int, size: int) -> str:
    """Returns the words for batches of `size` mixtures in place of `failed` ones."""
    return f"{BEGIN}{count(failed, 'mixture')} at once, goes on with {size} (--micro-batch), the result stays the same"


def recorded(run: Path) -> str:
    """Returns what a run directory says of it; empty where the memory sufficed."""
    found = read_json(run / MICRO_BATCH)
    failed, size = found.get("failed"), found.get("micro_batch")
    return smaller(failed, size) if type(failed) is int and type(size) is int else ""


def printed(lines: Iterable[str]) -> str:
    """Returns what the trainer's last message says of it; empty where it says nothing."""
    found = [match for line in lines if (match := TAKES_LESS.search(line))]
    return smaller(int(found[-1][1]), int(found[-1][2])) if found else ""


def with_smaller(row: TrialRow, words: str) -> TrialRow:
    """Returns the row with the words on smaller batches behind its reason, unless it has failed."""
    if not words or row.state in WITHOUT_RESULT:
        return row
    return replace(row, reason=f"{row.reason}; {words}" if row.reason else words)
