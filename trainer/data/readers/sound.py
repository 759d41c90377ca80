"""Recognises samples that are no sound: one that is NaN, infinite or beyond any scale ruins a whole training."""

import numpy as np
from numpy.typing import NDArray

LOUDEST = np.float32(2**31)
"""The loudest sample. 32-bit integers stored as floats are still a sound, and the squares of a mixture stay finite."""


def fault(samples: NDArray[np.floating]) -> str:
    """Returns the first of the samples [..., T] that is no sound, in words; empty where there is none."""
    # The comparison is false for NaN, too.
    if np.abs(samples).max(initial=0) <= LOUDEST:
        return ""
    worst = np.argwhere(~(np.abs(samples) <= LOUDEST))[0]
    return f"sample {worst[-1]} is {samples[tuple(worst)]:g}"
