"""Estimates the seed noise: how far trainings of one configuration lie apart because of their seeds. Pure: no I/O."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from katib.measure import SEED_DEVIATION, Measure

LEVEL = 0.95


@dataclass(frozen=True)
class Noise:
    """The standard deviation between seeds, in the metric's unit, and the degrees of freedom of its estimate."""

    sd: float
    df: float
    source: str = field(default="", compare=False)
    """Where the estimate is from, as a clause for the reader."""
    least: bool = field(default=False, compare=False)
    """Whether it only keeps the arithmetic sound, because the values show no noise at all."""


PRIOR = Noise(SEED_DEVIATION, 4.0)
"""The seed noise of validation SI-SNR in dB: replicated seeds of public DPRNN searches on PolSESS differ by 0.127 dB.
It counts as only four degrees of freedom, because models differ: the three seeds of the Series 3 baselines differ by
0.12 (SPMamba), 0.17 (DPRNN), 0.19 (SepFormer) and 0.30 dB (ConvTasNet)."""
LEAST_SD = 1e-6
"""Runs that agree to the last digit are the same run twice, and do not prove that seeds make no difference."""

MOST = 1e100
"""Values beyond ±MOST count as such, so that their squares stay finite."""


def bounded(values: Mapping[int, float]) -> dict[int, float]:
    """Returns the values within ±MOST, by seed."""
    return {seed: min(max(value, -MOST), MOST) for seed, value in values.items()}


def pooled(groups: Iterable[Sequence[float]]) -> Noise | None:
    """Returns the pooled noise of `groups`, one per configuration; None where no configuration has two values."""
    filled = [[min(max(value, -MOST), MOST) for value in group] for group in groups if group]
    df = sum(len(group) - 1 for group in filled)
    if not df:
        return None
    squares = sum((value - fmean(group)) ** 2 for group in filled for value in group)
    # The least noise is relative to values below 1: a millionth of a dB is nothing, but a loss of 1e-8 is smaller.
    least = LEAST_SD * (min(1.0, max(abs(value) for group in filled for value in group)) or 1.0)
    return Noise(max(least, math.sqrt(squares / df)), float(df))


def moderated(groups: Iterable[Sequence[float]], prior: Noise = PRIOR) -> Noise:
    """Returns the pooled noise combined with a prior: the mean of both variances, weighted by degrees of freedom.

    That is the posterior under a scaled inverse chi-square prior (Smyth 2004, Stat Appl Genet Mol Biol 3, section 3).
    """
    found = pooled(groups)
    if found is None:
        return prior
    df = found.df + prior.df
    return Noise(math.sqrt((found.df * found.sd**2 + prior.df * prior.sd**2) / df), df)


def known_beforehand(metric: Measure) -> Noise | None:
    """Returns the prior of `metric`; None where nobody has compared its seeds."""
    return None if metric.noise is None else Noise(metric.noise, PRIOR.df)


def quantile(df: float) -> float:
    """Returns the factor of a standard error that bounds the two-sided 95 % interval (Student's t with `df`)."""
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + LEVEL) / 2))
