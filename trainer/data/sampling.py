"""What an epoch draws from a subset: which rows, in which order and batches, in which variant, which segment
of each.

Every draw is a function of (seed, epoch, row), so that a training that was stopped and resumed sees the very
samples of one that was not, with any number of workers. Called by the epoch loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer.data.mixing import fitting
from trainer.data.polsess import Row, Subset, load
from trainer.errors import DataError


@dataclass(frozen=True)
class Batch:
    """Mixtures [B, T] and the dry speech of their speakers [B, 2, T], float32 at 8 kHz."""

    mixtures: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`."""
        return Batch(self.mixtures.to(device, non_blocking=True), self.targets.to(device, non_blocking=True))

    def split(self, size: int) -> Iterator["Batch"]:
        """The same mixtures in batches of `size`; the last may be smaller."""
        return map(Batch, torch.split(self.mixtures, size), torch.split(self.targets, size))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory; the DataLoader calls it where a GPU follows."""
        return Batch(self.mixtures.pin_memory(), self.targets.pin_memory())


@dataclass(frozen=True)
class Excerpt:
    """A segment of a row in one variant; `start` in samples."""

    row: Row
    variant: str
    start: int


def select(subset: Subset, variants: Sequence[str], limit: int | None) -> tuple[Row, ...]:
    """The rows that can show one of `variants`, the first `limit` of them. Raises DataError where there is
    none."""
    rows = tuple(row for row in subset.rows if fitting(variants, indoor=row.indoor))[:limit]
    if not rows:
        raise DataError(f"{subset.csv}: no row fits the variants {' '.join(variants)}")
    return rows


def training_batches(
    rows: Sequence[Row], variants: Sequence[str], *, seed: int, epoch: int, frames: int, batch_size: int
) -> list[list[Excerpt]]:
    """The epoch's batches in order: rows shuffled, variant and segment of each drawn afresh; the last may be
    smaller."""
    excerpts = []
    for index in np.random.default_rng((seed, epoch)).permutation(len(rows)):
        row, draw = rows[index], np.random.default_rng((seed, epoch, int(index)))
        options = fitting(variants, indoor=row.indoor)
        start = int(draw.integers(max(0, row.frames - frames) + 1))
        excerpts.append(Excerpt(row, options[draw.integers(len(options))], start))
    return _chunks(excerpts, batch_size)


def validation_batches(
    rows: Sequence[Row], variants: Sequence[str], *, frames: int, batch_size: int
) -> list[list[Excerpt]]:
    """The same batches in every run: one variant a row, drawn from its index, and the first `frames` samples
    of it.

    A batch holds excerpts of one length only, so that the value does not depend on the batch size.
    """
    excerpts = []
    for index, row in enumerate(rows):
        options = fitting(variants, indoor=row.indoor)
        excerpts.append(Excerpt(row, options[np.random.default_rng(index).integers(len(options))], 0))

    def length(excerpt: Excerpt) -> int:
        return min(frames, excerpt.row.frames)

    groups = groupby(sorted(excerpts, key=length), key=length)
    return [batch for _, group in groups for batch in _chunks(list(group), batch_size)]


def loader(batches: Sequence[Sequence[Excerpt]], *, frames: int, workers: int, pin: bool) -> Iterator[Batch]:
    """Reads `batches` one after the other; with `workers` > 0 that many processes read ahead."""
    # A generator of its own: the DataLoader draws a seed for its workers, by default from the models'
    # random numbers.
    return iter(
        DataLoader(
            _Batches(batches, frames),
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            generator=torch.Generator(),
        )
    )


class _Batches(Dataset[Batch]):
    """Reads a batch: its excerpts are cut to the common length of `frames` samples, or of the shortest of
    them."""

    def __init__(self, batches: Sequence[Sequence[Excerpt]], frames: int) -> None:
        self._batches = batches
        self._frames = frames

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        if index >= len(self):
            raise IndexError(index)
        excerpts = self._batches[index]
        frames = min(self._frames, *(excerpt.row.frames for excerpt in excerpts))
        mixtures = torch.empty(len(excerpts), frames)
        targets = torch.empty(len(excerpts), 2, frames)
        for position, excerpt in enumerate(excerpts):
            mixture, speech = load(excerpt.row, excerpt.variant, excerpt.start, frames)
            mixtures[position] = torch.from_numpy(mixture)
            targets[position] = torch.from_numpy(speech)
        return Batch(mixtures, targets)


def _chunks(excerpts: list[Excerpt], size: int) -> list[list[Excerpt]]:
    return [excerpts[first : first + size] for first in range(0, len(excerpts), size)]
