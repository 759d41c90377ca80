"""The validation's scores of all mixtures, and their means."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data.sampling import Excerpt


@dataclass(frozen=True)
class Scores:
    """Validation SI-SNR in dB: the mean, and the mean of each variant."""

    mean: float
    variants: dict[str, float]


def means(batches: Sequence[Sequence[Excerpt]], scored: Sequence[Sequence[float]]) -> Scores:
    """Returns the means of `scored`, which has for each batch the sum of its scores, followed by each of them."""
    values = defaultdict[str, list[float]](list)
    total = 0.0
    for excerpts, (summed, *scores) in zip(batches, scored, strict=True):
        total += summed
        for excerpt, value in zip(excerpts, scores, strict=True):
            values[excerpt.variant].append(value)
    variants = {name: math.fsum(scores) / len(scores) for name, scores in sorted(values.items())}
    return Scores(total / sum(map(len, values.values())), variants)
