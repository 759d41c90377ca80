"""Tells sound from what only looks like it: a sample that is NaN, infinite or beyond any scale spoils a whole training."""

import numpy as np
from numpy.typing import NDArray

LOUDEST = np.float32(2**31)
"""32-bit integers that were stored as floats are still a sound; the squares of a mixture then stay finite."""


def fault(samples: NDArray[np.floating]) -> str:
    """Names the first of the `samples`, of any shape with time last, that is no sound; empty where all are."""
    if np.abs(samples).max(initial=0) <= LOUDEST:  # false for NaN as well
        return ""
    worst = np.argwhere(~(np.abs(samples) <= LOUDEST))[0]
    return f"sample {worst[-1]} is {samples[tuple(worst)]:g}"
