"""Finds signals that hold the same recording, also shifted by up to a second, scaled, or with noise 30 dB below.

The loudest samples of a signal are found again under all of that. The sound around each is hashed by the signs of its
projections on random directions, which a little noise hardly turns; two signals that share hashes at one shift are then
compared sample by sample.

References:
    Charikar 2002, "Similarity estimation techniques from rounding algorithms", STOC: the hash.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.data.readers.subset import SAMPLE_RATE, Indices, Samples

BLOCK, REACH = 320, 800
"""A landmark is the loudest sample within REACH to either side; there is at most one in a BLOCK."""
PATCH = 512
"""Samples to either side that its hash covers."""
TABLES, BITS = 2, 32
"""Hashes of a landmark, and the bits of each. Noise 30 dB below turns about one bit in a hundred."""
NEIGHBOURS = 6
"""Equal hashes that each is compared with; all would be too many for steady sounds."""
VOTES = TABLES + 1
"""Hashes that two signals share at one shift, of two landmarks at least, before they are compared."""
SHIFT = SAMPLE_RATE
"""Largest shift in samples."""
ALIKE = 0.95
"""Correlation from which two signals are one recording; noise 30 dB below leaves 0.999."""
OVERLAP = 0.5
"""Share of each signal's energy that the common stretch must hold."""

Landmarks = NDArray[np.int64]
DIRECTIONS = np.random.default_rng(0).standard_normal((2 * PATCH, TABLES * BITS), np.float32)
PLACES = 1 << np.arange(BITS, dtype=np.int64)


def landmarks(signals: Samples) -> list[Landmarks]:
    """Returns for each of the signals [C, T] the hashes of its landmarks and their samples, [L, 2]."""
    return [_of_one(signal) for signal in signals]


def pairs(found: Landmarks, owners: Indices) -> Indices:
    """Returns the pairs of signals that share hashes, and the samples by which the second begins later, [P, 3].

    `owners` [L] has the signal of each of the landmarks `found`, [L, 2].
    """
    order = np.argsort(found[:, 0], kind="stable")
    hashes, samples, owners = found[order, 0], found[order, 1], owners[order].astype(np.int64)
    count = int(owners.max(initial=0)) + 1
    keys = []
    for step in range(1, min(NEIGHBOURS, max(len(owners) - 1, 0)) + 1):
        same = np.flatnonzero((hashes[step:] == hashes[:-step]) & (owners[step:] != owners[:-step]))
        near = same[np.abs(samples[same + step] - samples[same]) <= SHIFT]
        # The second signal begins so much after the first.
        shift = samples[near] - samples[near + step]
        keys.append((owners[near] * count + owners[near + step]) * (2 * SHIFT + 1) + shift + SHIFT)
    shared, votes = np.unique(np.concatenate([np.zeros(0, np.int64), *keys]), return_counts=True)
    common, shift = np.divmod(shared[votes >= VOTES], 2 * SHIFT + 1)
    return np.stack([*np.divmod(common, count), shift - SHIFT], axis=1)


def likeness(first: Samples, second: Samples, shift: int) -> float:
    """Returns the correlation of two signals [T] if the second begins `shift` samples after the first.

    It is 0 where the common stretch does not hold OVERLAP of the energy of both.
    """
    begin, end = max(shift, 0), min(len(first), len(second) + shift)
    one, other = first[begin:end], second[begin - shift : end - shift]
    energies = [float(np.dot(common, common)) for common in (one, other)]
    wholes = [float(np.dot(signal, signal)) for signal in (first, second)]
    if any(common <= OVERLAP * whole for common, whole in zip(energies, wholes, strict=True)):
        return 0.0
    return abs(float(np.dot(one, other))) / float(np.sqrt(energies[0] * energies[1]))


def _of_one(signal: Samples) -> Landmarks:
    """Returns the hashes of a signal's [T] landmarks and their samples, [L, 2]."""
    blocks = len(signal) // BLOCK
    loud = np.abs(signal[: blocks * BLOCK]).reshape(blocks, BLOCK)
    peaks = loud.argmax(1) + BLOCK * np.arange(blocks)
    padded = np.pad(signal, REACH)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1)
    height = np.abs(signal[peaks])
    beside = np.pad(height, 1)
    peaks = peaks[(height > 0) & (height >= np.maximum(beside[:-2], beside[2:]))]
    around = windows[peaks]
    peaks, around = (kept[np.abs(around).max(1, initial=0) == np.abs(signal[peaks])] for kept in (peaks, around))
    # A sound and its reverse in sign have the same hash.
    patches = around[:, REACH - PATCH : REACH + PATCH] * np.sign(signal[peaks])[:, None]
    bits = (patches @ DIRECTIONS > 0).reshape(len(peaks), TABLES, BITS)
    # The tables must not meet: the last bit tells them apart.
    hashes = bits @ PLACES * TABLES + np.arange(TABLES)
    return np.stack([hashes.ravel(), np.repeat(peaks, TABLES)], axis=1)
