"""Plays speech faster or slower, with its pitch, as speed perturbation does.

References:
    Ko, Peddinti, Povey & Khudanpur 2015, "Audio augmentation for speech recognition", Interspeech.
    Smith & Gossett 1984, "A flexible sampling-rate conversion method", ICASSP: interpolation by a windowed sinc.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

ZEROS = 16
"""Zero crossings of the sinc on either side."""
PASSED = 0.945
"""Frequency from which the low-pass falls, as a share of the lower of the two Nyquist frequencies."""


def needed(frames: int, percent: int) -> int:
    """Returns how many samples at `percent` of their speed make `frames` samples."""
    return -(-frames * percent // 100)


def played(samples: Samples, percent: int) -> Samples:
    """Returns `samples` [T] at `percent` of their speed, T * 100 / percent samples or a part of one less.

    Sound that would lie above the Nyquist frequency is removed first. The sums have an order of their own, without the
    library for linear algebra, so that the samples are the same in any process.
    """
    if percent == 100:
        return samples
    shared = math.gcd(percent, 100)
    step, phases = percent // shared, 100 // shared
    bank = _bank(step, phases)
    frames = max(1, len(samples) * phases // step)
    blocks = -(-frames // phases)
    before = (bank.shape[1] - step) // 2
    padded = np.zeros((blocks - 1) * step + bank.shape[1], np.float32)
    part = samples[: len(padded) - before]
    padded[before : before + len(part)] = part
    windows = np.lib.stride_tricks.sliding_window_view(padded, bank.shape[1])[::step]
    made: Samples = np.einsum("bk,pk->bp", windows, bank).reshape(-1)[:frames]
    return made


@lru_cache(maxsize=64)
def _bank(step: int, phases: int) -> Samples:
    """Returns the filters [phases, taps] of the samples that lie within `step` samples of the original."""
    cutoff = PASSED * min(1.0, phases / step)
    half = math.ceil(ZEROS / cutoff)
    times = np.arange(phases)[:, None] * step / phases - np.arange(-half, step + half)[None, :]
    window = np.where(np.abs(times) < half, np.cos(np.pi * times / (2 * half)) ** 2, 0.0)
    return (cutoff * np.sinc(cutoff * times) * window).astype(np.float32)
