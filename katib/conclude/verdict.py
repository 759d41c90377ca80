"""Judges whether the configuration that a search found is better than the baseline, by how much, and how surely.

The values that a search has seen flatter its choice: the run that made a configuration a candidate was also lucky (the
winner's curse; Cawley and Talbot 2010, JMLR 11, section 5). Therefore

- the verdict is on the search's own first choice, settled before the seeds are run, and not on the best of three;
- its difference from the baseline is measured on seeds that the search has not seen, and so are the noise and the
  permutation test;
- the interval is Welch's (1947, Biometrika 34), because a model and its baseline need not have the same noise. The
  model's noise is pooled over all candidates, each around its own mean, for more than one degree of freedom.

benchmarks/search/honesty.py measures the coverage of this interval, and that of other choices. Pure: no I/O.
"""

import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean
from typing import Literal

from katib.conclude.noise import Noise, bounded, known_beforehand, pooled, quantile
from katib.measure import SI_SNR, Measure
from katib.text import count, signed, with_unit
from katib.trial import Direction

MOST_SPLITS = 50_000
"""The most splits of the values that a permutation test goes through: 24 seeds have millions."""
Outcome = Literal["better", "worse", "no better", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """The conclusion of a search, with numbers in the metric's unit."""

    configuration: Mapping[str, str]
    seeds: Mapping[int, float]
    """The values of all complete runs of the configuration by seed, including the search's own."""
    baseline: Mapping[int, float]
    """The baseline's values by seed; where it is empty, the four numbers below are NaN."""
    difference: float
    """The configuration's mean over seeds that the search has not seen, minus the baseline's mean."""
    low: float
    """The lower end of the difference's 95 % interval."""
    high: float
    p_value: float
    """The exact one-sided p value: the share of all ways to split the runs between the two that look as good as this
    one. With two unseen seeds against three it is never below 0.1, however clear the case; the interval decides the
    outcome."""
    sentence: str
    unseen: tuple[int, ...] = ()
    """The seeds that the difference is measured on."""
    outcome: Outcome = "unknown"
    """What the interval says; unknown without a baseline."""
    others: tuple["Rival", ...] = ()
    """The other candidates; empty where an earlier version has kept the verdict."""

    @property
    def heading(self) -> str:
        """The heading of its configuration."""
        return _HEADINGS[self.outcome]

    @property
    def mean(self) -> float:
        """The mean over all seeds."""
        return fmean(self.seeds.values())


@dataclass(frozen=True)
class Rival:
    """Another candidate of the search, with the values of its complete runs by seed."""

    configuration: Mapping[str, str]
    seeds: Mapping[int, float]


_HEADINGS: Mapping[Outcome, str] = {
    "better": "Confirmed configuration",
    "no better": "First choice (not shown to be better: keep the baseline)",
    "worse": "First choice (worse: keep the baseline)",
    "unknown": "First choice (not compared with a baseline)",
}


def judge(
    configuration: Mapping[str, str],
    seeds: Mapping[int, float],
    *,
    others: Sequence[Mapping[int, float]],
    baseline: Mapping[int, float],
    seen: Collection[int],
    direction: Direction = Direction.MAXIMIZE,
    metric: Measure = SI_SNR,
) -> Verdict:
    """Returns the verdict on the first candidate.

    `seeds` holds the values of its runs by seed, `others` those of the other candidates, `seen` the seeds that the
    search ran with. The baseline may be empty. Raises ValueError where the search has seen all of `seeds`.
    """
    seeds, baseline = bounded(seeds), bounded(baseline)
    others = [bounded(one) for one in others]
    unseen = {seed: value for seed, value in seeds.items() if seed not in seen}
    if not unseen:
        raise ValueError(f"seeds {', '.join(map(str, seeds))}: the search has seen them all")
    nothing = Verdict(configuration, seeds, baseline, math.nan, math.nan, math.nan, math.nan, "", tuple(unseen))
    if not baseline:
        return replace(nothing, sentence=_sentence(nothing, metric))
    fresh = [unseen, *({seed: one[seed] for seed in one if seed not in seen} for one in others)]
    prior = known_beforehand(metric)
    own = pooled([list(baseline.values())]) or prior
    noise = pooled(list(one.values()) for one in fresh) or prior or own
    if noise is None:
        return replace(nothing, sentence=_sentence(nothing, metric))
    low, high = interval(list(unseen.values()), list(baseline.values()), noise, own or noise)
    found = replace(
        nothing,
        difference=(low + high) / 2,
        low=low,
        high=high,
        p_value=permutation(list(unseen.values()), list(baseline.values()), direction=direction),
        outcome=_outcome(low, high, direction),
    )
    return replace(found, sentence=_sentence(found, metric))


def interval(
    values: Sequence[float], baseline: Sequence[float], noise: Noise, own: Noise | None = None
) -> tuple[float, float]:
    """Returns the 95 % interval of the difference of the means (Welch 1947).

    The degrees of freedom are Satterthwaite's (1946, Biometrics Bulletin 2, equation 17). `noise` is that of `values`,
    `own` that of the baseline, by default estimated from its seeds.
    """
    own = own or pooled([baseline]) or noise
    one, other = noise.sd**2 / len(values), own.sd**2 / len(baseline)
    # By shares, because the squares of large variances overflow.
    share = one / (one + other)
    df = 1 / (share**2 / noise.df + (1 - share) ** 2 / own.df)
    half = quantile(df) * math.sqrt(one + other)
    difference = fmean(values) - fmean(baseline)
    return difference - half, difference + half


def permutation(
    values: Sequence[float], baseline: Sequence[float], *, direction: Direction = Direction.MAXIMIZE
) -> float:
    """Returns the one-sided p value of the difference of means over all ways to split the values between the two.

    There are 10 for two against three, 20 for three against three (Fisher 1935, The Design of Experiments, section 21).
    Where they are more than MOST_SPLITS, as many are drawn, the same each time, and the observed one counts with them
    (Phipson and Smyth 2010, Stat Appl Genet Mol Biol 9, 39).
    """
    together, own = [*values, *baseline], len(values)
    observed = direction.sign * sum(values)
    # Equal sums may differ in their last digit, depending on the order of addition.
    slack = 1e-9 * sum(map(abs, together))
    splits: Iterable[Sequence[float]] = combinations(together, own)
    if math.comb(len(together), own) > MOST_SPLITS:
        draw = random.Random(0)
        splits = [values, *(draw.sample(together, own) for _ in range(MOST_SPLITS))]
    sums = [direction.sign * sum(chosen) for chosen in splits]
    return fmean(float(one >= observed - slack) for one in sums)


def _outcome(low: float, high: float, direction: Direction) -> Outcome:
    if direction is Direction.MINIMIZE:
        low, high = -high, -low
    return "better" if low > 0 else "worse" if high < 0 else "no better"


def _sentence(verdict: Verdict, metric: Measure) -> str:
    """Returns the verdict as a sentence that stands on its own."""
    reached = f"{metric} {with_unit(verdict.mean, metric)} ({_averaged(verdict.seeds)})"
    if not verdict.baseline:
        return f"No verdict: {reached}, and there is no baseline to compare it with."
    against = f"the baseline's {with_unit(fmean(verdict.baseline.values()), metric)}"
    if math.isnan(verdict.difference):
        return (
            f"No verdict: {reached} against {against}; each has a single seed that counts, and the seed-to-seed "
            f"spread is unknown."
        )
    difference = ("+" if verdict.difference > 0 else "") + with_unit(verdict.difference, metric)
    difference += f" ({signed(verdict.low, metric)} to {signed(verdict.high, metric)}, 95 %)"
    on = (
        f"{difference} on the seeds that the search has not seen ({_listed(verdict.unseen)}),"
        f" permutation test p {verdict.p_value:.2f}"
    )
    if verdict.outcome == "no better":
        return (
            f"No better than the baseline, as far as {count(len(verdict.seeds), 'seed')} can tell: {reached} "
            f"against {against}; {on}."
        )
    return f"{verdict.outcome.capitalize()} than the baseline: {reached} against {against}; {on}."


def _averaged(seeds: Collection[int]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'mean of seeds'} {_listed(seeds)}"


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))
