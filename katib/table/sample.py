"""Chooses a few items that represent many."""

from collections.abc import Sequence
from typing import TypeVar

from katib.table.trial_table import TrialRow

T = TypeVar("T")


def spread(items: Sequence[T], most: int) -> list[T]:
    """Returns all items, or `most` of them at even distances, the first and the last included."""
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def foremost(rows: Sequence[TrialRow], most: int) -> list[TrialRow]:
    """Returns all rows, which are sorted from the best, or `most` of them: half the best ones, half of all others."""
    if len(rows) <= most:
        return list(rows)
    half = most // 2
    return [*rows[:half], *spread(rows[half:], most - half)]
