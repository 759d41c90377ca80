"""Generates points that fill the unit cube evenly: Sobol's sequence, scrambled. Pure: no I/O.

SciPy has it too (scipy.stats.qmc), but the import of scipy.stats takes as long as everything else that a search does
before its first trial.
"""

from collections.abc import Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

BITS = 30
"""The bits of each coordinate, and so the binary logarithm of the sequence's length."""

# Joe and Kuo 2008, SIAM J. Sci. Comput. 30(5), the file new-joe-kuo-6.21201: the polynomial over GF(2) of each axis, as
# a number with its leading and its last coefficient, and the first direction numbers. The first axis is van der
# Corput's sequence.
_AXES: tuple[tuple[int, tuple[int, ...]], ...] = (
    (1, ()),
    (3, (1,)),
    (7, (1, 3)),
    (11, (1, 3, 1)),
    (13, (1, 1, 1)),
    (19, (1, 1, 3, 3)),
    (25, (1, 3, 5, 13)),
    (37, (1, 1, 5, 5, 17)),
    (41, (1, 1, 5, 5, 5)),
    (47, (1, 1, 7, 11, 19)),
    (55, (1, 1, 5, 1, 1)),
    (59, (1, 1, 1, 3, 11)),
    (61, (1, 3, 5, 5, 31)),
    (67, (1, 3, 3, 9, 7, 49)),
    (91, (1, 1, 1, 15, 21, 21)),
    (97, (1, 3, 1, 13, 27, 49)),
)
WIDEST = len(_AXES)


def points(width: int, start: int, seed: int | np.random.Generator | None) -> Iterator[tuple[float, ...]]:
    """Yields the sequence from its point `start` on, in `width` dimensions, scrambled by what `seed` draws.

    Beyond WIDEST axes the coordinates are drawn at random (a mixed sequence: Spanier 1995, LNS 106).
    """
    directions = _directions(min(width, WIDEST))  # (axes, directions, bits)
    axes = len(directions)
    # Matousek 1998, J. Complexity 14: a random lower triangle over GF(2) times each direction number, and a random
    # shift. The sequence stays even, and each point by itself is uniform. The order of the draws is SciPy's, so that a
    # seed gives the same points.
    (generator,) = np.random.default_rng(seed).spawn(1)
    shift = generator.integers(0, 2, (axes, BITS), dtype=np.uint32)[:, ::-1].astype(np.int64)
    drawn = np.tril(generator.integers(0, 2, (axes, BITS, BITS), dtype=np.uint32), -1)
    triangle = drawn + np.eye(BITS, dtype=np.int64)
    scrambled = np.einsum("aij,akj->aki", triangle, directions) % 2
    for index in count(start):
        yield (*_at(scrambled, shift, index % 2**BITS), *generator.random(width - axes).tolist())


def _at(directions: NDArray[np.int64], shift: NDArray[np.int64], index: int) -> list[float]:
    """Returns one point, (axes,): the sum over GF(2) of the directions where the Gray code of its index has a one."""
    code = index ^ index >> 1
    ones = [bit for bit in range(BITS) if code >> bit & 1]
    bits = (directions[:, ones].sum(axis=1) + shift) % 2
    shares: list[float] = (bits @ 0.5 ** np.arange(1, BITS + 1)).tolist()
    return shares


def _directions(axes: int) -> NDArray[np.int64]:
    """Returns the direction numbers as bits, the most significant first: (axes, BITS, BITS)."""
    numbers = np.zeros((axes, BITS), dtype=np.int64)
    for axis, (polynomial, given) in enumerate(_AXES[:axes]):
        degree = len(given)
        odd = list(given) or [1] * BITS
        for index in range(len(odd), BITS):
            # Bratley and Fox 1988, ACM TOMS 14(1), eq. 4.
            new = odd[index - degree] ^ odd[index - degree] << degree
            for step in range(1, degree):
                if polynomial >> degree - step & 1:
                    new ^= odd[index - step] << step
            odd.append(new)
        numbers[axis] = [value << BITS - 1 - index for index, value in enumerate(odd)]
    return numbers[:, :, None] >> np.arange(BITS)[::-1] & 1
