"""A few items that stand for many."""

from collections.abc import Sequence
from typing import TypeVar

from katib.table.trial_table import TrialRow

T = TypeVar("T")


def spread(items: Sequence[T], most: int) -> list[T]:
    """Returns all items, or `most` of them evenly over the sequence, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def foremost(rows: Sequence[TrialRow], most: int) -> list[TrialRow]:
    """Returns all rows, or `most` of them: the first half of these are the best, the rest evenly from the others.

    The best row comes first in `rows`.
    """
    if len(rows) <= most:
        return list(rows)
    half = most // 2
    return [*rows[:half], *spread(rows[half:], most - half)]
