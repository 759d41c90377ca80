"""Reads the trial table that a verb works on, and prints notes about it on stderr."""

import sys
from collections.abc import Iterable

from katib.backend.base import Backend
from katib.conclude.stages import search_of
from katib.table.trial_table import TrialTable
from katib.terminal import print_words


def trial_table(backend: Backend, experiment: str) -> TrialTable:
    """Returns the table of the search that `experiment` stands for; prints what could not be read as notes."""
    table = backend.table(search_of(backend, experiment))
    tell(table.notes)
    return table


def tell(notes: Iterable[str]) -> None:
    """Prints notes on stderr, so that machines can read stdout."""
    print_words(*(f"note: {note}" for note in notes), indent=2, file=sys.stderr)
