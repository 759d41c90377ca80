"""Which trial a word names: as a whole, by the end of its name, or by that of a continuation."""

from dataclasses import replace

import pytest

from katib.table.failed import named_trial
from tests.katib.conclude.tables import row, table

ROWS = table(
    replace(row("test-ab", 1.0), continuations=("test-ab-2",)),
    row("test-x-ab", 2.0),
    row("test-cd", 3.0),
)


@pytest.mark.parametrize(
    ("word", "trial"),
    [
        ("test-ab", "test-ab"),
        ("test-ab-2", "test-ab"),
        ("ab-2", "test-ab"),
        ("cd", "test-cd"),
        ("x-ab", "test-x-ab"),
        ("ab", None),  # two end so
        ("d", None),
    ],
)
def test_a_word_names_one_trial_or_none(word: str, trial: str | None) -> None:
    found = named_trial(ROWS, word)
    assert (found.trial if found else None) == trial
