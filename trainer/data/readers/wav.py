"""Reads mixtures from WAV files, one file per stem.

polsess.py and librimix.py list the files; survey.py checks all of them when a subset is opened, so that a damaged file
ends the training before its first epoch.
"""

from functools import cached_property

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.data.mixing import MIX, SPEECH, subtracted
from trainer.data.readers.listing import Listing
from trainer.data.readers.seen import FORGETFUL, Memory
from trainer.data.readers.sound import fault
from trainer.data.readers.speakers import speakers
from trainer.data.readers.subset import KIND_NAMES, SCALE, Indices, Samples, Subset
from trainer.data.readers.survey import Survey
from trainer.errors import DataFaultError


class WavSubset(Subset):
    """A subset whose stems are WAV files."""

    apart = True

    def __init__(self, listing: Listing, memory: Memory = FORGETFUL) -> None:
        """Checks every file of `listing`. Raises DataError that names the first at fault."""
        self.listing = listing
        self.source = listing.source
        self.survey = Survey(listing, memory)
        self.frames = self.survey.frames
        self.kinds = np.array([KIND_NAMES.index(kind) for kind in listing.kinds], np.uint8)
        # libsndfile takes twice as long where it has to convert to floats.
        self._sixteen_bits = self.survey.sixteen_bits

    @property
    def storage(self) -> str:
        """Kind of the files."""
        return "WAV files"

    @property
    def repeated(self) -> int:
        """As `Subset.repeated`."""
        return self.survey.repeated

    def fingerprint(self) -> str:
        """Returns the fingerprint of the files. Raises DataError."""
        return self.survey.fingerprint

    def read(self, index: int, variant: str, start: int, mixture: Samples, targets: Samples) -> None:
        """Reads a mixture as `Subset.read` describes."""
        for stem, target in zip(SPEECH, targets, strict=True):
            self._fill(target, index, stem, start)
        self._fill(mixture, index, MIX, start)
        dropped = subtracted(variant, KIND_NAMES[self.kinds[index]])
        if self._sixteen_bits:
            whole = np.empty(len(mixture), np.int16)
            for stem in dropped:
                self._fill(whole, index, stem, start)
                mixture -= whole * SCALE
        else:
            samples = np.empty_like(mixture)
            for stem in dropped:
                self._fill(samples, index, stem, start)
                mixture -= samples

    @cached_property
    def speakers(self) -> Indices:
        """As `Subset.speakers`."""
        names = speakers(self.listing)
        if not names:
            return super().speakers
        numbers = {name: number for number, name in enumerate(sorted({name for pair in names for name in pair} - {""}))}
        return np.array([[numbers.get(name, -1) for name in pair] for pair in names], np.int64)

    def read_stem(self, index: int, stem: str, start: int, frames: int) -> Samples:
        """Reads a stem as `Subset.read_stem` describes."""
        samples = np.empty(frames, np.float32)
        self._fill(samples, index, stem, start)
        return samples

    def _fill(self, out: Samples | NDArray[np.int16], index: int, stem: str, start: int) -> None:
        file = self.listing.path(index, stem)
        try:
            read = soundfile.read(file, start=start, dtype=out.dtype.name, out=out)[0]
        except (OSError, ValueError, soundfile.SoundFileError) as error:
            raise DataFaultError(
                f"{file} ({self.listing.where(index)}): can no longer be read ({error}); copy it again, "
                "then run the same command to resume"
            ) from error
        if len(read) < len(out):
            raise DataFaultError(
                f"{file} ({self.listing.where(index)}): has become shorter since the training began; "
                "copy it again, then run the same command to resume"
            )
        if not self._sixteen_bits and (what := fault(read)):
            raise DataFaultError(
                f"{file} ({self.listing.where(index)}): is no sound, {what} from {start} on; make it again, "
                "then run the same command to resume"
            )
