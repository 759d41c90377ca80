"""Draws learning curves in a few characters, on one scale for all of them. Pure: no I/O."""

from collections.abc import Sequence
from math import isfinite
from statistics import fmean

BLOCKS = "▁▂▃▄▅▆▇█"
NOT_FINITE = "·"
WIDTH = 10
STEEP = 0.1
"""The part of all values, the worst, that lies below the scale: of the steep beginnings."""


def sparklines(curves: Sequence[Sequence[float]], *, maximize: bool) -> list[str]:
    """Returns a line for each curve, the longest of which takes WIDTH characters or one an epoch.

    Scale and epochs are the same for all; a curve of fewer than two values is an empty text.
    """
    values = sorted(value for curve in curves for value in curve if isfinite(value))
    longest = max(map(len, curves), default=0)
    if longest < 2 or not values:
        return ["" for _ in curves]
    worst = int(STEEP * (len(values) - 1))
    low, high = (values[worst], values[-1]) if maximize else (values[0], values[len(values) - 1 - worst])
    cells = min(WIDTH, longest)
    ends = [round((cell + 1) * longest / cells) for cell in range(cells)]
    begins = [0, *ends[:-1]]
    return [
        "".join(_block(curve[begin:end], low, high) for begin, end in zip(begins, ends, strict=True))
        if len(curve) > 1
        else ""
        for curve in curves
    ]


def _block(values: Sequence[float], low: float, high: float) -> str:
    """Returns the block of the mean of these epochs; nothing where the curve has none of them."""
    if not values:
        return ""
    finite = [value for value in values if isfinite(value)]
    if not finite:
        return NOT_FINITE
    # Halves, since the difference of two numbers may be too large for one.
    shares = [(value / 2 - low / 2) / (high / 2 - low / 2) if high > low else 1.0 for value in finite]
    share = fmean(min(1.0, max(0.0, share)) for share in shares)
    return BLOCKS[min(len(BLOCKS) - 1, int(share * len(BLOCKS)))]
