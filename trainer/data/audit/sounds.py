"""Reads the mixtures of a subset and checks each by itself: its files, its levels, and the sum of its stems."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.data.mixing import KINDS, MIX, SPEECH
from trainer.data.readers.corpora import has_files, list_files
from trainer.data.readers.listing import Listing, common_header
from trainer.data.readers.oddities import REST
from trainer.data.readers.packed import PackedSubset, pack_path
from trainer.data.readers.sound import fault
from trainer.data.readers.subset import KIND_NAMES, SCALE, Samples, load
from trainer.errors import DataError

SIGNALS = ("mix", "speaker 1", "speaker 2")
SILENCE = 1e-4
"""Root mean square of full scale 1, -80 dB, below which a signal is silent."""
CLIPPED = 4
"""Neighbouring samples at full scale that are no chance peak."""
OFFSET = (0.2, 1e-3)
"""Mean, as a share of the root mean square and of full scale 1, above both of which a signal has an offset."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a corpus, or, where it is a note, only worth knowing."""

    kind: str
    subset: str
    where: str
    detail: str
    note: bool = False
    other: str = ""
    """The subset of the other one of a pair."""


@dataclass(frozen=True)
class Mixture:
    """The sound of one mixture, full scale 1."""

    signals: Samples
    """Its mix and its two dry speakers, [3, T]."""
    rest: Samples
    """What is left of the mix once all stems are subtracted, [T]."""


class Sounds:
    """The mixtures of a subset: of WAV files or, where there are none, of a pack."""

    def __init__(self, root: Path, name: str) -> None:
        """Lists subset `name` of the corpus in `root`. Raises DataError where it is neither."""
        self.name = name
        self.listing: Listing | None = None
        if has_files(root, name) or not pack_path(root, name).exists():
            self.listing = list_files(root, name)
        else:
            self.packed = PackedSubset(pack_path(root, name))

    def __len__(self) -> int:
        return len(self.listing if self.listing else self.packed.frames)

    def where(self, index: int) -> str:
        """Returns where the mixture is, for people."""
        if not self.listing:
            return f"{self.packed.source.name}, mixture {index + 1}"
        return f"{self.name}: {self.listing.file(index, MIX).name}"

    def signal(self, index: int, channel: int) -> Samples:
        """Returns one of the SIGNALS [T] of a mixture that was read before. Raises DataError."""
        if not self.listing:
            packed: Samples = self.read(index).signals[channel]
            return packed
        file = self.listing.path(index, (MIX, *SPEECH)[channel])
        try:
            samples: Samples = soundfile.read(file, dtype="float32")[0]
        except (OSError, ValueError, soundfile.SoundFileError) as error:
            raise DataError(f"{file}: can no longer be read ({error}); copy it again") from error
        return samples

    def read(self, index: int) -> Mixture:
        """Reads a mixture whole. Raises DataError that names the file at fault."""
        if not self.listing:
            row = self.packed.rows[index]
            clean, speech = load(row, "C", 0, row.frames)
            whole = load(row, KINDS[KIND_NAMES[self.packed.kinds[index]]][0], 0, row.frames)[0]
            self.packed.release()
            return Mixture(np.stack([whole, *speech]), clean - speech.sum(0))
        header = common_header(self.listing, index)
        stems = {}
        for stem in self.listing.stems(index):
            file = self.listing.path(index, stem)
            try:
                stems[stem] = soundfile.read(file, dtype="int16" if header.sixteen_bits else "float32")[0]
            except (OSError, ValueError, soundfile.SoundFileError) as error:
                raise DataError(f"{file}: cannot be read ({error}); copy it again") from error
            if not header.sixteen_bits and (what := fault(stems[stem])):
                raise DataError(f"{file}: is no sound, {what}; make it again")
        rest = stems[MIX].astype(np.float32)
        for stem, samples in stems.items():
            if stem != MIX:
                rest -= samples
        signals = np.stack([stems[MIX], *(stems[speaker] for speaker in SPEECH)]).astype(np.float32)
        scale = SCALE if header.sixteen_bits else np.float32(1)
        return Mixture(signals * scale, rest * scale)


def faults(mixture: Mixture) -> Iterator[tuple[str, str]]:
    """Yields the kind and the detail of all that is wrong with a mixture by itself."""
    energy = np.einsum("ct,ct->c", mixture.signals, mixture.signals, dtype=np.float64)
    power = energy / mixture.signals.shape[1]
    mean = np.abs(mixture.signals.mean(1, dtype=np.float64))
    for index, name in enumerate(SIGNALS):
        signal, level = mixture.signals[index], float(np.sqrt(power[index]))
        if level < SILENCE:
            yield "silence", f"{name} is silent ({_decibels(level)} of full scale)"
        elif mean[index] > max(OFFSET[0] * level, OFFSET[1]):
            yield "offset", f"{name} has a mean of {mean[index]:.3f} (DC); filter it out of all stems"
        if clipped := _clipped(signal):
            yield "clipping", f"{name} has {clipped} samples at full scale in a row; make it quieter"
    rest = float(np.einsum("t,t->", mixture.rest, mixture.rest, dtype=np.float64))
    if rest > REST * energy[1:].sum() and rest > 0:
        share = 10 * np.log10(rest / max(energy[0], 1e-20))
        yield "sum", f"the stems do not sum to the mix: {share:.0f} dB of it are left; were files swapped or scaled?"


def _clipped(signal: Samples) -> int:
    """Returns the longest run of samples [T] at full scale, of one sign; 0 where it is shorter than CLIPPED."""
    if np.abs(signal).max(initial=0) < 1 - 2 * SCALE:
        return 0
    longest = 0
    for at_limit in (signal >= 1 - 2 * SCALE, signal <= -1 + 2 * SCALE):
        edges: NDArray[np.int64] = np.flatnonzero(np.diff(np.pad(at_limit.astype(np.int8), 1)))
        longest = max(longest, int((edges[1::2] - edges[::2]).max(initial=0)))
    return longest if longest >= CLIPPED else 0


def _decibels(level: float) -> str:
    return f"{20 * np.log10(level):.0f} dB" if level else "all zero"
