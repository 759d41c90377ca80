"""How far two trainings of one configuration lie apart for their seeds alone: from the data where seeds repeat.

Pure.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from katib.metrics import SEED_DEVIATION
from katib.trainer_contract import METRIC

LEVEL = 0.95


@dataclass(frozen=True)
class Noise:
    """Standard deviation between seeds, in the metric's unit, and the degrees of freedom that it was found with."""

    sd: float
    df: float
    source: str = field(default="", compare=False)
    """Where it is from, as a clause for the reader."""
    least: bool = field(default=False, compare=False)
    """Whether it only keeps the arithmetic sound: the values show no noise, and are what their configurations reach."""


PRIOR = Noise(SEED_DEVIATION, 4.0)
"""dB of validation SI-SNR, and of nothing else: replicated seeds of public DPRNN searches on PolSESS differ by 0.127
dB. Counted as four degrees of freedom, because another model has another noise: the three seeds of the Series 3
baselines differ by 0.12 (SPMamba), 0.17 (DPRNN), 0.19 (SepFormer) and 0.30 dB (ConvTasNet)."""
LEAST_SD = 1e-6
"""Runs that agree to the last digit are one run twice, and no proof that seeds make no difference."""


def pooled(groups: Iterable[Sequence[float]]) -> Noise | None:
    """Of groups of values, a group a configuration; None where no configuration has two (pooled variance)."""
    filled = [group for group in groups if group]
    df = sum(len(group) - 1 for group in filled)
    if not df:
        return None
    squares = sum((value - fmean(group)) ** 2 for group in filled for value in group)
    # Relative to values below 1: a millionth of a dB is nothing, and may be all of a loss of 1e-8.
    least = LEAST_SD * (min(1.0, max(abs(value) for group in filled for value in group)) or 1.0)
    return Noise(max(least, math.sqrt(squares / df)), float(df))


def moderated(groups: Iterable[Sequence[float]], prior: Noise = PRIOR) -> Noise:
    """Returns the same weighed against what is known beforehand (Smyth 2004, Stat Appl Genet Mol Biol 3, section 3: a
    variance with a scaled inverse chi-square prior has the mean of both, weighted by their degrees of freedom).
    """
    found = pooled(groups)
    if found is None:
        return prior
    df = found.df + prior.df
    return Noise(math.sqrt((found.df * found.sd**2 + prior.df * prior.sd**2) / df), df)


def known_beforehand(metric: str) -> Noise | None:
    """Returns the prior where it is one of `metric`; None of any other, whose seeds nobody has compared."""
    return PRIOR if metric == METRIC else None


def quantile(df: float) -> float:
    """Returns the factor of a standard error that bounds the two-sided 95 % interval (Student's t with `df`)."""
    from scipy.special import stdtrit

    return float(stdtrit(df, (1 + LEVEL) / 2))
