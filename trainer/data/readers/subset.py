"""The interface of all readers: a subset of a corpus, however its mixtures are stored."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from trainer.data.mixing import KINDS
from trainer.errors import DataFaultError

SAMPLE_RATE = 8000
"""Rate of every file in Hz; the models' kernels and strides are published for it."""

SCALE = np.float32(2**-15)
"""Factor from 16-bit samples to full scale 1."""

Samples = NDArray[np.float32]
Indices = NDArray[np.int64]

KIND_NAMES = tuple(KINDS)
"""In the order of their codes in `Subset.kinds`."""


class Subset(ABC):
    """The checked mixtures of train, val or test.

    Facts about each mixture are kept in arrays: reading processes share them, and a large corpus takes no more of their
    memory than a small one.
    """

    source: Path
    """The file or folder that lists the mixtures."""
    frames: Indices
    """Length of each mixture in samples, [N]."""
    kinds: NDArray[np.uint8]
    """Index into KIND_NAMES of each mixture, [N]."""
    apart: bool = False
    """Whether each stem can be read apart from its mixture."""

    @property
    def rows(self) -> "Rows":
        """All mixtures, in the corpus's order."""
        return Rows(self, np.arange(len(self.frames)))

    @property
    def shown(self) -> tuple[str, ...]:
        """The variants that some mixture can show."""
        kinds = [KIND_NAMES[code] for code in np.unique(self.kinds)]
        return tuple(dict.fromkeys(variant for kind in kinds for variant in KINDS[kind]))

    @property
    def whole(self) -> tuple[str, ...]:
        """The variants that keep everything in a mixture: SER indoors and SE outdoors, S or C in LibriMix."""
        return tuple(KINDS[KIND_NAMES[code]][0] for code in np.unique(self.kinds))

    @property
    @abstractmethod
    def storage(self) -> str:
        """What the mixtures are read from, for people."""

    @property
    @abstractmethod
    def repeated(self) -> int:
        """Number of mixtures with the same sound as an earlier one; known once the fingerprint is."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns a hash of all samples, the same wherever the corpus lies and however it is stored."""

    @abstractmethod
    def read(self, index: int, variant: str, start: int, mixture: Samples, targets: Samples) -> None:
        """Fills `mixture` [T] with mixture `index` in `variant` from sample `start` on, and `targets` [2, T].

        The targets are the dry speech of the two speakers. Raises DataFaultError where the data can no longer be read.
        """

    @property
    def speakers(self) -> Indices:
        """A number for the speaker of each of the two voices, [N, 2]; -1 where the corpus does not name them.

        Raises DataError where the names can no longer be read.
        """
        return np.full((len(self.frames), 2), -1)

    def read_stem(self, index: int, stem: str, start: int, frames: int) -> Samples:
        """Returns [frames] of a stem of mixture `index` from sample `start` on. Raises as `read` does."""
        raise DataFaultError(f"{self.source}: holds no stem {stem} of mixture {index} by itself")

    def release(self) -> None:  # noqa: B027 - most readers hold nothing
        """Releases memory that reading has taken; to be called after each batch."""


@dataclass(frozen=True)
class Row:
    """One mixture of a subset."""

    subset: Subset
    index: int

    @property
    def frames(self) -> int:
        """Length in samples."""
        return int(self.subset.frames[self.index])

    @property
    def kind(self) -> str:
        """A key of KINDS."""
        return KIND_NAMES[int(self.subset.kinds[self.index])]


@dataclass(frozen=True, eq=False)
class Rows(Sequence[Row]):
    """Some mixtures of a subset, as indices; a Row is made only when it is needed."""

    subset: Subset
    indices: Indices

    @property
    def frames(self) -> Indices:
        """Length of each mixture in samples."""
        return self.subset.frames[self.indices]

    @property
    def kinds(self) -> NDArray[np.uint8]:
        """Index into KIND_NAMES of each mixture."""
        return self.subset.kinds[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index: int | slice) -> "Row | Rows":
        if isinstance(index, slice):
            return Rows(self.subset, self.indices[index])
        return Row(self.subset, int(self.indices[index]))

    def __iter__(self) -> Iterator[Row]:
        return (Row(self.subset, int(index)) for index in self.indices)


def load(row: Row, variant: str, start: int, frames: int) -> tuple[Samples, Samples]:
    """Returns the mixture [frames] in `variant` and its targets [2, frames], from sample `start` of the row."""
    mixture, targets = np.empty(frames, np.float32), np.empty((2, frames), np.float32)
    row.subset.read(row.index, variant, start, mixture, targets)
    return mixture, targets
