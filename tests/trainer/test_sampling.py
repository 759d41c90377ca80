"""What an epoch draws, on a subset in memory: against plain loops over its rows, and the laws of chance."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from trainer.data.mixing import KINDS, VARIANTS
from trainer.data.readers.subset import KIND_NAMES, Samples, Subset
from trainer.data.sampling import Draw, Excerpt, select, training_batches, validation_batches
from trainer.errors import DataError, DataFaultError

SHOWN = {"indoor": "SER SR ER R C", "outdoor": "SE S E C", "noisy": "S C", "clean": "C"}


def gone() -> Exception:
    return DataFaultError("row 1 is gone")


class Numbers(Subset):
    """Sample t of row r is 1000 r + t in the mixture, and 1 and 2 above that in the targets."""

    source = Path("numbers")
    storage = "memory"
    repeated = 0

    def __init__(self, *rows: tuple[str, int], broken: int = -1, error: Callable[[], Exception] = gone) -> None:
        self.frames = np.array([frames for _, frames in rows], np.int64)
        self.kinds = np.array([KIND_NAMES.index(kind) for kind, _ in rows], np.uint8)
        self.released, self.broken, self.error = 0, broken, error

    def fingerprint(self) -> str:
        return ""

    def read(self, index: int, variant: str, start: int, mixture: Samples, targets: Samples) -> None:
        if index == self.broken:
            raise self.error()
        assert start + len(mixture) <= self.frames[index]
        mixture[:] = 1000 * index + start + np.arange(len(mixture))
        targets[:] = mixture + np.array([[1], [2]])

    def release(self) -> None:
        self.released += 1


def draw(
    subset: Subset, variants: Sequence[str], frames: int = 5, size: int = 3, seed: int = 42, epoch: int = 1
) -> Draw:
    return training_batches(subset.rows, variants, seed=seed, epoch=epoch, frames=frames, batch_size=size)


def flat(batches: Sequence[Sequence[Excerpt]]) -> list[Excerpt]:
    return [excerpt for batch in batches for excerpt in batch]


def test_rows_are_selected_in_order_and_then_limited() -> None:
    """In a plain loop over mixtures of every kind."""
    subset = Numbers(*[(kind, 9) for kind in (*KINDS, *KINDS)])
    for allowed in (["SE"], ["S", "SR"], ["R", "C"], list(VARIANTS)):
        expected = [row.index for row in subset.rows if set(SHOWN[row.kind].split()) & set(allowed)]
        assert [row.index for row in select(subset, allowed, None)] == expected
        assert [row.index for row in select(subset, allowed, 2)] == expected[:2]
        assert len(select(subset, allowed, 99)) == len(expected)


def test_a_selection_without_a_row_says_what_there_is() -> None:
    expected = "numbers: no row fits the variants SER R; these rows show S C: choose among these for --curriculum, or"
    with pytest.raises(DataError, match=expected):
        select(Numbers(("noisy", 9), ("clean", 9)), ["SER", "R"], None)
    with pytest.raises(DataError, match="for --variants, or omit it"):
        select(Numbers(("clean", 9)), ["S"], None, "--variants")


def test_an_epoch_has_each_row_once_in_whole_batches_but_the_last() -> None:
    """Of ten rows in batches of three: 3, 3, 3 and 1. The order is another in each epoch and for each seed."""
    subset = Numbers(*[("clean", 9)] * 10)
    batches = draw(subset, ["C"])
    assert [len(batch) for batch in batches] == [3, 3, 3, 1]
    assert len(batches) == 4
    orders = {
        tuple(excerpt.row.index for excerpt in flat(draw(subset, ["C"], seed=seed, epoch=epoch)))
        for seed in (42, 43)
        for epoch in (1, 2)
    }
    assert len(orders) == 4
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len(draw(subset, ["C"], size=5)) == 2
    assert len(draw(subset, ["C"], size=99)) == 1


def test_an_epoch_is_a_sequence_as_a_list_is_one() -> None:
    """Every slice and index of Python's list, by Python's list."""
    batches = draw(Numbers(*[("indoor", 9)] * 11), VARIANTS, size=2)
    listed = list(batches)
    bounds = [None, *range(-7, 8)]
    for first in bounds:
        for stop in bounds:
            for step in (None, 1, 2, 3, -1, -2):
                part = slice(first, stop, step)
                assert list(batches[part]) == listed[part]
    assert [batches[index] for index in range(-6, 6)] == [listed[index] for index in range(-6, 6)]
    for index in (6, -7):
        with pytest.raises(IndexError):
            batches[index]
    assert isinstance(batches[2:], Draw)  # what a resumed epoch reads; a list of all excerpts would take seconds


def test_a_variant_is_drawn_with_equal_chances_among_those_of_its_kind() -> None:
    """A thousand draws a kind: no share differs from 1/n by more than five standard deviations of the binomial law."""
    subset = Numbers(*[(kind, 9) for kind in KINDS for _ in range(1000)])
    allowed = ["C", "R", "SER", "S", "SE"]
    drawn = Counter((excerpt.row.kind, excerpt.variant) for excerpt in flat(draw(subset, allowed)))
    for kind, shown in SHOWN.items():
        options = set(allowed) & set(shown.split())
        assert {variant for found, variant in drawn if found == kind} == options
        chance = 1 / len(options)
        deviation = math.sqrt(1000 * chance * (1 - chance))
        for variant in options:
            assert abs(drawn[kind, variant] - 1000 * chance) <= 5 * deviation


def test_a_segment_starts_anywhere_where_it_fits() -> None:
    """Of 7 samples a segment of 5 has three places, each as likely; one that is as long or longer has one."""
    subset = Numbers(*[("clean", 7)] * 900, ("clean", 5), ("clean", 4), ("clean", 6))
    starts = {excerpt.row.index: excerpt.start for excerpt in flat(draw(subset, ["C"]))}
    found = Counter(starts[index] for index in range(900))
    assert set(found) == {0, 1, 2}
    assert all(abs(times - 300) <= 5 * math.sqrt(900 * 2 / 9) for times in found.values())
    for epoch in range(20):
        first = {e.row.index: e.start for e in flat(draw(subset, ["C"], epoch=epoch))}
        assert (first[900], first[901]) == (0, 0)
    last = {
        start
        for epoch in range(20)
        for start in [e.start for e in flat(draw(subset, ["C"], epoch=epoch)) if e.row.index == 902]
    }
    assert last == {0, 1}


def test_variant_and_segment_of_a_row_are_drawn_apart() -> None:
    """If they were one number, early segments would always have the first variants; they correlate only by chance."""
    subset = Numbers(*[("indoor", 1004)] * 2000)
    drawn = flat(draw(subset, list(VARIANTS)))
    places = [SHOWN["indoor"].split().index(excerpt.variant) for excerpt in drawn]
    correlation = np.corrcoef(places, [excerpt.start for excerpt in drawn])[0, 1]
    assert abs(correlation) < 5 / math.sqrt(2000)


def test_validation_is_the_same_for_every_batch_size_and_selects_by_the_row() -> None:
    """The first samples of each row, rows in order within their length, one length a batch, a variant that the row can
    show; over 400 rows each of its variants comes up.
    """
    subset = Numbers(*[("indoor", 7 if index % 3 else 4) for index in range(400)])
    one, many = (validation_batches(subset.rows, VARIANTS, frames=5, batch_size=size) for size in (1, 7))
    assert flat(one) == flat(many)
    assert all(excerpt.start == 0 for excerpt in flat(one))
    indices = [excerpt.row.index for excerpt in flat(one)]
    assert indices == [*range(0, 400, 3), *(index for index in range(400) if index % 3)]
    assert {excerpt.variant for excerpt in flat(one)} == set(SHOWN["indoor"].split())
    assert [len(batch) for batch in many] == [7] * 19 + [1] + [7] * 38
    for batch in many:
        assert len({min(5, excerpt.row.frames) for excerpt in batch}) == 1


def test_a_validation_row_keeps_its_variant_whatever_else_is_validated() -> None:
    """Its place alone decides: fewer rows, shown in another order of lengths, have the same variants."""
    rows = Numbers(*[("indoor", 9)] * 40).rows
    whole = flat(validation_batches(rows, VARIANTS, frames=5, batch_size=8))
    part = flat(validation_batches(rows[:10], VARIANTS, frames=9, batch_size=3))
    assert [excerpt.variant for excerpt in part] == [excerpt.variant for excerpt in whole[:10]]


def test_rows_of_both_lengths_are_cut_at_the_segment() -> None:
    """Those longer than it are of one length: the segment's."""
    subset = Numbers(("clean", 9), ("clean", 5), ("clean", 6), ("clean", 4))
    batches = validation_batches(subset.rows, ["C"], frames=5, batch_size=8)
    assert [[excerpt.row.index for excerpt in batch] for batch in batches] == [[3], [0, 1, 2]]
