"""Scores of mixtures, and their means by variant with confidence intervals.

The intervals are percentiles of means over mixtures drawn with replacement, from a fixed seed.

References:
    Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from trainer.data.mixing import VARIANTS
from trainer.inference.quality import UNITS, Quality

CONFIDENCE, RESAMPLES, SEED = 0.95, 10_000, 0


@dataclass(frozen=True)
class Mean:
    """Mean over mixtures, and the ends of its confidence interval."""

    mean: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> "Mean":
        """Returns the mean of one value per mixture, with its interval."""
        return Mean(float(np.mean(values)), *bootstrap(np.asarray(values)))


@dataclass(frozen=True)
class Score:
    """The score of a mixture in one variant, in dB."""

    row: int
    """Number of the mixture in the subset, from 0."""
    variant: str
    si_snr: float
    improvement: float
    """Improvement over the unprocessed mixture."""
    metrics: dict[str, Quality | None] = field(default_factory=dict)
    """The further metrics that were asked for; None where one has no value, such as that of a silent voice."""

    def to_dict(self) -> dict[str, object]:
        """Returns plain values, without `metrics` where there are none."""
        return _plain(asdict(self))


@dataclass(frozen=True)
class MetricResult:
    """A further metric over the mixtures in which it has a value."""

    mixtures: int
    value: Mean
    improvement: Mean


@dataclass(frozen=True)
class Result:
    """The scores of the mixtures of one variant, or of all mixtures."""

    mixtures: int
    si_snr: Mean
    improvement: Mean
    metrics: dict[str, MetricResult] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Returns plain values, without `metrics` where there are none."""
        return _plain(asdict(self))


def summarize(scores: Sequence[Score]) -> dict[str, Result]:
    """Returns the results by variant, and under `all` those of the mixtures, each with the mean of its variants.

    The mixtures are what is drawn at random, not their variants.
    """
    results = {}
    for variant in VARIANTS:
        if of_variant := [score for score in scores if score.variant == variant]:
            results[variant] = _result([[score] for score in of_variant])
    by_row = sorted(scores, key=lambda score: score.row)
    return results | {"all": _result([list(group) for _, group in groupby(by_row, key=lambda score: score.row)])}


def bootstrap(values: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the ends of the confidence interval of the mean of `values` [N]."""
    draw, size = np.random.default_rng(SEED), len(values)
    # In steps, so that the drawn indices take only some megabytes.
    step = max(1, 1_000_000 // size)
    means = [
        values[draw.integers(size, size=(min(step, RESAMPLES - first), size))].mean(1)
        for first in range(0, RESAMPLES, step)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def table(results: dict[str, Result]) -> Iterator[str]:
    """Yields a line for each result, and below it one for each further metric."""
    for name, result in results.items():
        yield (
            f"{name:<4} {result.mixtures:>6} mixtures  SI-SNR {_cell(result.si_snr, '', 'dB')}  "
            f"improvement {_cell(result.improvement, '+', 'dB')}"
        )
        for metric, found in result.metrics.items():
            unit = UNITS[metric]
            yield (
                f"{'':<4} {found.mixtures:>6} {'':<8}  {metric:<6} {_cell(found.value, '', unit)}  "
                f"improvement {_cell(found.improvement, '+', unit)}"
            )


def _cell(mean: Mean, sign: str, unit: str) -> str:
    digits = 2 if unit else 3
    words = f"{mean.mean:{sign}6.{digits}f} {unit}".rstrip()
    return f"{words} [{mean.low:{sign}.{digits}f}, {mean.high:{sign}.{digits}f}]"


def _result(mixtures: Sequence[Sequence[Score]]) -> Result:
    def mean(value: Callable[[Score], float]) -> Mean:
        return Mean.of([float(np.mean([value(score) for score in scores])) for scores in mixtures])

    metrics = {name: _metric(mixtures, name) for name in mixtures[0][0].metrics} if mixtures else {}
    return Result(
        len(mixtures),
        mean(lambda score: score.si_snr),
        mean(lambda score: score.improvement),
        {name: found for name, found in metrics.items() if found},
    )


def _metric(mixtures: Sequence[Sequence[Score]], name: str) -> MetricResult | None:
    """Returns a further metric over the mixtures that have it in some variant; None where none has."""
    found = [[quality for score in scores if (quality := score.metrics[name])] for scores in mixtures]
    if not (found := [qualities for qualities in found if qualities]):
        return None
    values = [float(np.mean([quality.value for quality in qualities])) for qualities in found]
    gained = [float(np.mean([quality.improvement for quality in qualities])) for qualities in found]
    return MetricResult(len(found), Mean.of(values), Mean.of(gained))


def _plain(values: dict[str, object]) -> dict[str, object]:
    return values if values["metrics"] else {name: value for name, value in values.items() if name != "metrics"}
