"""Checks a few mixtures for what no header shows: a silent speaker, stems that do not add up, and unused noise.

All of these train without an error, but not well: a silent target has no SI-SNR, and files that were swapped between
mixtures teach the model to separate what is not in them.
"""

from collections.abc import Iterator

import numpy as np

from trainer.data.mixing import MIX
from trainer.data.readers.librimix import NOISE
from trainer.data.readers.subset import SAMPLE_RATE, Subset, load
from trainer.data.readers.wav import WavSubset
from trainer.errors import DataFaultError
from trainer.text import count

CHECKED = 16
"""Mixtures that are checked, evenly spaced from the first to the last."""
LONGEST = 60 * SAMPLE_RATE
"""Samples of a mixture that are checked."""
REST = 0.01
"""Share of the speech's energy by which a mixture may differ from the sum of its parts: rounding to 16 bits leaves a
millionth, and a mix that was clipped here and there less than this."""


def oddities(subset: Subset) -> Iterator[str]:
    """Yields a note for each kind of oddity; a file that can no longer be read is left to the training."""
    folder = subset.listing.folders[MIX] if isinstance(subset, WavSubset) else None
    if folder and folder.name == "mix_clean" and (folder.parent / NOISE).is_dir():
        yield (
            f"note: {folder.parent}: has noise/ but no mix_both/, so no mixture has noise; "
            "copy mix_both/ to train with noise"
        )
    checked, silent, others = _checked(subset)
    of = f"of {count(checked, 'checked mixture')}"
    if silent:
        yield f"note: {subset.source}: {silent} {of} have a silent speaker, on which no model can be scored"
    if others:
        yield (
            f"note: {subset.source}: {others} {of} are not the sum of their parts; "
            "were files swapped, or scaled separately?"
        )


def foreign(subset: Subset) -> int:
    """Returns how many of the checked mixtures are not the sum of their parts."""
    return _checked(subset)[2]


def _checked(subset: Subset) -> tuple[int, int, int]:
    """Returns how many mixtures were checked, have a silent speaker, and are not the sum of their parts."""
    checked = np.unique(np.linspace(0, len(subset.frames) - 1, CHECKED).round().astype(int)).tolist()
    silent = others = 0
    for index in checked:
        row = subset.rows[index]
        try:
            clean, speech = load(row, "C", 0, min(row.frames, LONGEST))
        except DataFaultError:
            return 0, 0, 0
        energy = np.square(speech, dtype=np.float64).sum(1)
        rest = np.square(clean - speech.sum(0), dtype=np.float64).sum()
        silent += row.frames <= LONGEST and bool((energy == 0).any())
        others += bool(rest > REST * energy.sum())
    subset.release()
    return len(checked), silent, others
