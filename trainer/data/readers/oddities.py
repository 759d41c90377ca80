"""Looks at a few mixtures for what no header shows: a silent speaker, and stems that do not make up their mixture.

And for noise that no mixture has.

All train without an error, and to no good: a silent target has no SI-SNR, and files that were swapped between mixtures
teach the model to separate what is not there.
"""

from collections.abc import Iterator

import numpy as np

from trainer.data.mixing import MIX
from trainer.data.readers.librimix import NOISE
from trainer.data.readers.subset import SAMPLE_RATE, Subset, load
from trainer.data.readers.wav import WavSubset
from trainer.errors import DataFaultError

LOOKED_AT = 16
"""Mixtures, from the first to the last at equal distances."""
LONGEST = 60 * SAMPLE_RATE
"""Samples of one that are looked at."""
REST = 0.01
"""Of the speech's energy that may be left between a mixture and its parts: rounding to 16 bits leaves a millionth, and
a mix that was clipped here and there less than this."""


def oddities(subset: Subset) -> Iterator[str]:
    """Returns a line for people about each kind of oddity.

    What cannot be read any more the training itself will name.
    """
    folder = subset.listing.folders[MIX] if isinstance(subset, WavSubset) else None
    if folder and folder.name == "mix_clean" and (folder.parent / NOISE).is_dir():
        yield (
            f"note: {folder.parent}: has noise/ but no mix_both/, so all mixtures are without noise; "
            "copy it to train with noise"
        )
    looked = np.unique(np.linspace(0, len(subset.frames) - 1, LOOKED_AT).round().astype(int)).tolist()
    silent = foreign = 0
    for index in looked:
        row = subset.rows[index]
        try:
            clean, speech = load(row, "C", 0, min(row.frames, LONGEST))
        except DataFaultError:
            return
        energy = np.square(speech, dtype=np.float64).sum(1)
        rest = np.square(clean - speech.sum(0), dtype=np.float64).sum()
        silent += row.frames <= LONGEST and bool((energy == 0).any())
        foreign += bool(rest > REST * energy.sum())
    subset.release()
    of = f"of {len(looked)} mixtures that were looked at"
    if silent:
        yield f"note: {subset.source}: {silent} {of} have a silent speaker, which no model can be scored on"
    if foreign:
        yield (
            f"note: {subset.source}: {foreign} {of} are not the sum of their parts; were files swapped, or scaled apart?"
        )
