"""Draws an epoch from a subset: the rows, their order and batches, and the variant and segment of each.

Every draw is a function of (seed, epoch, row). A training that was stopped and resumed therefore sees exactly the
samples of one that was not, with any number of workers.
"""

import math
import signal
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer.data.mixing import fitting
from trainer.data.readers.subset import KIND_NAMES, Indices, Row, Rows, Subset
from trainer.data.remix import PLAIN, Remix, Voice, Voices, revoice
from trainer.errors import DataError, DataFaultError, worker_fault

T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """Mixtures [B, T] and the dry speech of their speakers [B, 2, T], float32 at 8 kHz."""

    mixtures: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Returns the same batch on `device`."""
        return Batch(self.mixtures.to(device, non_blocking=True), self.targets.to(device, non_blocking=True))

    def split(self, size: int) -> Iterator["Batch"]:
        """Returns the same mixtures in batches of `size`, of which the last may be smaller."""
        return map(Batch, torch.split(self.mixtures, size), torch.split(self.targets, size))

    def pin_memory(self) -> "Batch":
        """Returns the same batch in page-locked memory; the DataLoader calls it for a GPU."""
        return Batch(self.mixtures.pin_memory(), self.targets.pin_memory())


@dataclass(frozen=True)
class Share:
    """Which part of each batch one of `size` processes computes; they are numbered from 0."""

    rank: int = 0
    size: int = 1

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Returns this process's part; the parts of all processes in order are the whole, and differ by at most one."""
        first, stop = (len(items) * rank // self.size for rank in (self.rank, self.rank + 1))
        return items[first:stop]


WHOLE = Share()
"""The part of a process that computes alone."""


@dataclass(frozen=True)
class Excerpt:
    """A segment of a row in one variant; `start` in samples."""

    row: Row
    variant: str
    start: int
    voices: tuple[Voice, Voice] | None = None
    """The voices that take the place of its own; None where these stay as they are."""


@dataclass(frozen=True, eq=False)
class Draw(Sequence[list[Excerpt]]):
    """The batches of a training epoch in order, as arrays over its rows; an Excerpt is made only when it is needed."""

    rows: Rows
    variants: tuple[str, ...]
    chosen: NDArray[np.int64]
    """Index into `variants` for each row."""
    starts: Indices
    """First sample of each row's segment."""
    batch_size: int
    voices: Voices | None = None
    """The voices of each row, where they are mixed anew."""

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    @overload
    def __getitem__(self, index: int) -> list[Excerpt]: ...
    @overload
    def __getitem__(self, index: slice) -> "list[list[Excerpt]] | Draw": ...
    def __getitem__(self, index: int | slice) -> "list[Excerpt] | list[list[Excerpt]] | Draw":
        if isinstance(index, slice):
            first, stop, step = index.indices(len(self))
            if step != 1:
                return [self[batch] for batch in range(first, stop, step)]
            rows = slice(first * self.batch_size, stop * self.batch_size)
            parts = self.rows[rows], self.variants, self.chosen[rows], self.starts[rows]
            return Draw(*parts, self.batch_size, self.voices and self.voices[rows])
        first = range(len(self))[index] * self.batch_size
        return [
            Excerpt(self.rows[i], self.variants[self.chosen[i]], int(self.starts[i]), self._voices(i))
            for i in range(first, min(first + self.batch_size, len(self.rows)))
        ]

    def _voices(self, i: int) -> tuple[Voice, Voice] | None:
        return None if self.voices is None else self.voices.of(i)


def select(subset: Subset, variants: Sequence[str], limit: int | None, flag: str = "--curriculum") -> Rows:
    """Returns the rows that can show one of `variants`, at most the first `limit` of them.

    Raises DataError that names `flag` where there are none.
    """
    takes_part = np.array([bool(fitting(variants, kind)) for kind in KIND_NAMES])
    rows = Rows(subset, np.flatnonzero(takes_part[subset.kinds])[:limit])
    if not rows:
        raise DataError(
            f"{subset.source}: no row fits the variants {' '.join(variants)}; these rows show "
            f"{' '.join(subset.shown)}: choose among these for {flag}, or omit it"
        )
    return rows


def training_batches(
    rows: Rows, variants: Sequence[str], *, seed: int, epoch: int, frames: int, batch_size: int, remix: Remix = PLAIN
) -> Draw:
    """Returns the epoch's batches in order: the rows are shuffled, and variant and segment of each are drawn anew.

    So are the voices where `remix` changes them. The last batch may be smaller.
    """
    draw = np.random.default_rng((seed, epoch))
    order = draw.permutation(len(rows))
    which, where = draw.random((2, len(rows)))[:, order]
    drawn = Rows(rows.subset, rows.indices[order])
    variants = tuple(variants)
    chosen = np.empty(len(rows), np.int64)
    for code, kind in enumerate(KIND_NAMES):
        options = np.array([variants.index(variant) for variant in fitting(variants, kind)], np.int64)
        of_kind = drawn.kinds == code
        if of_kind.any():
            chosen[of_kind] = options[(which[of_kind] * len(options)).astype(np.int64)]
    starts = (where * (np.maximum(0, drawn.frames - frames) + 1)).astype(np.int64)
    voices = remix.drawn(drawn, starts, frames, seed=seed, epoch=epoch)
    return Draw(drawn, variants, chosen, starts, batch_size, voices)


def validation_batches(
    rows: Sequence[Row], variants: Sequence[str], *, frames: int, batch_size: int
) -> list[list[Excerpt]]:
    """Returns the batches of a validation, the same in every run: the first `frames` samples of each row.

    The variant of a row is drawn from its index. A batch holds excerpts of one length only, so that the validation does
    not depend on the batch size.
    """
    excerpts = []
    for index, row in enumerate(rows):
        options = fitting(variants, row.kind)
        excerpts.append(Excerpt(row, options[np.random.default_rng(index).integers(len(options))], 0))

    def length(excerpt: Excerpt) -> int:
        return min(frames, excerpt.row.frames)

    groups = groupby(sorted(excerpts, key=length), key=length)
    return [batch for _, group in groups for batch in _chunks(list(group), batch_size)]


def loader(
    batches: Sequence[Sequence[Excerpt]], *, frames: int, workers: int, pin: bool, share: Share = WHOLE
) -> Iterator[Batch]:
    """Reads `batches` one after the other; `workers` > 0 processes read ahead.

    Of each batch only this process's `share` is read, in the length of the whole batch. Raises DataFaultError where a
    file can no longer be read, or a worker has died.
    """
    source = _Batches(batches, frames, share)
    if not workers:
        for index in range(len(source)):
            batch = _whole(source[index])
            yield batch.pin_memory() if pin else batch
        return
    reading = DataLoader(
        source,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        # The DataLoader draws a seed for its workers, by default from the models' random numbers.
        generator=torch.Generator(),
        worker_init_fn=_leave_signals_to_the_parent,
    )
    try:
        for batch in reading:
            yield _whole(batch)
    except RuntimeError as error:
        if fault := worker_fault(error):
            raise fault from error
        raise


def _whole(batch: Batch | str) -> Batch:
    if isinstance(batch, str):
        raise DataFaultError(batch)
    return batch


class _Batches(Dataset[Batch | str]):
    """Reads batches. Their excerpts have the length of the longest one, but at most `frames` samples.

    A shorter mixture is repeated, with its targets, to that length: nothing of the others is lost, every mixture has
    the same weight, and neither model nor loss sees artificial silence. An error is returned as its message, because
    the DataLoader would put the worker's trace into an exception.
    """

    def __init__(self, batches: Sequence[Sequence[Excerpt]], frames: int, share: Share = WHOLE) -> None:
        self._batches = batches
        self._frames = frames
        self._share = share
        self._memory = _Memory()

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch | str:
        whole = self._batches[index]
        frames = min(self._frames, max(excerpt.row.frames for excerpt in whole))
        excerpts = self._share.of(whole)
        mixtures = self._memory.tensor(len(excerpts), frames)
        targets = self._memory.tensor(len(excerpts), 2, frames)
        rows = zip(excerpts, mixtures.numpy(), targets.numpy(), strict=True)
        try:
            for excerpt, mixture, speech in rows:
                row = excerpt.row
                own = min(frames, row.frames)
                row.subset.read(row.index, excerpt.variant, excerpt.start, mixture[:own], speech[:, :own])
                if excerpt.voices:
                    revoice(row, excerpt.variant, excerpt.start, excerpt.voices, mixture[:own], speech[:, :own])
                for first in range(own, frames, own):
                    left = min(own, frames - first)
                    mixture[first : first + left] = mixture[:left]
                    speech[:, first : first + left] = speech[:, :left]
        except DataFaultError as error:
            return str(error)
        whole[0].row.subset.release()
        return Batch(mixtures, targets)


class _Memory:
    """Reuses the memory of batches that nobody holds any more.

    Fresh pages from the system would take as long as reading a pack.
    """

    def __init__(self) -> None:
        self._free: list[NDArray[np.float32]] = []

    def tensor(self, *shape: int) -> Tensor:
        """Returns a float32 tensor with any content."""
        size = math.prod(shape)
        fits = next((index for index, block in enumerate(self._free) if block.size == size), None)
        block = np.empty(size, np.float32) if fits is None else self._free.pop(fits)
        # These are of lengths that no longer occur.
        if len(self._free) > _FREE_BLOCKS:
            self._free.clear()
        view = block.reshape(shape)
        # The tensor's storage, whoever shares it, keeps the object `view`; the block is free when that is collected.
        weakref.finalize(view, self._free.append, block).atexit = False
        return torch.from_numpy(view)


_FREE_BLOCKS = 8


def _leave_signals_to_the_parent(worker: int) -> None:
    """Ignores Ctrl-C and SIGTERM, which reach the workers, too, if they go to the whole process group.

    The workers keep reading until the training, which saves first, ends them.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _chunks(excerpts: list[Excerpt], size: int) -> list[list[Excerpt]]:
    return [excerpts[first : first + size] for first in range(0, len(excerpts), size)]
