"""Gives a surface learning curves, and each training its luck: what a simulated trial reports."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from katib.manifest.search import Parameter

Array = NDArray[np.float64]
Surface = Callable[[Array], Array]
"""A number for each point [N, D] of the unit cube."""

SEED_NOISE = 0.13
"""Standard deviation between seeds of one configuration at the end of training, dB."""
WOBBLE = 0.06
"""Standard deviation from one epoch to the next, dB."""
BROKEN = 0.02
"""Share of trials that fail for reasons of the machine, whatever their point."""
PATIENCE = 10
"""Epochs without a new best after which a training of Series 3 ends."""
PLATEAU = 0.43
"""The share of the epochs after which a curve stays flat, on average. With it and the patience, completed trainings
have 59 of 100 epochs, as the 14 completed DPRNN runs of the ledger's own search space."""
SERIES_3 = (100, 20, 2.5)
"""Epochs, the first at which the stopper looks, and GPU-hours of a DPRNN training (katib/specs/dprnn.yaml)."""


@dataclass(frozen=True)
class Landscape:
    """One model. Curves are in dB, one value per epoch."""

    name: str
    parameters: tuple[Parameter, ...]
    epochs: int
    start_step: int
    hours: float
    """GPU-hours of one whole training."""
    truth: Surface
    """The mean result of a point over seeds, dB."""
    shape: Callable[[Array], Array]
    """The mean curve of one point [D], which ends at its truth."""
    diverges: Surface
    """The probability that a trial of the point fails."""

    patience: int | None = None
    """A training ends after so many epochs without a new best; None: it does not."""

    def is_patient_no_more(self, values: Sequence[float]) -> bool:
        """Returns whether a training with these values has ended by patience."""
        return self.patience is not None and len(values) - 1 - int(np.argmax(values)) >= self.patience

    def trial(self, point: Sequence[float], generator: np.random.Generator) -> tuple[Array, int | None]:
        """Returns the noisy values of one training, and the epoch in which it fails (None: it does not)."""
        place = np.array(point)
        mean = self.shape(place)
        progress = np.clip((mean - mean[0]) / max(mean[-1] - mean[0], 1e-6), 0.2, 1.0)
        luck, ways, (fate, when) = generator.normal(), generator.normal(size=len(mean)), generator.random(2)
        fails = fate < 1 - (1 - BROKEN) * (1 - float(self.diverges(place[None])[0]))
        return mean + SEED_NOISE * luck * progress + WOBBLE * ways, 1 + int(when * self.epochs / 2) if fails else None


def with_curves(
    name: str,
    parameters: tuple[Parameter, ...],
    truth: Surface,
    generator: np.random.Generator,
    diverges: Surface | None = None,
    early_ranks: float | None = None,
) -> Landscape:
    """Returns learning curves for a surface: early winners, late bloomers, curricula whose stages each unlock a gain.

    A low learning rate learns late, a high one early. In addition every point has a pace of its own, independent of its
    result, so that curves cross. Measured on the ledger: runs of the full space near its best points that were cut
    after 25 to 30 epochs had 2.6 to 3.1 dB, where whole neighbours reached 3.6 to 3.9 dB; these paces are as fast, and
    spread no less. With `early_ranks` they spread as much as makes that the rank correlation (Spearman's) of the values
    after a tenth of the epochs with the ends.
    """
    epochs, start_step, hours = SERIES_3
    own = waves(generator, np.full(len(parameters), 0.3), generator.uniform(0.08, 0.3))
    pull = generator.uniform(0.1, 0.6)
    stages = sorted(generator.uniform(0.08, 0.5, 2)) if generator.random() < 0.5 else []
    share = generator.uniform(0.05, 0.12)
    even = np.arange(1, epochs + 1) / epochs
    flat = waves(generator, np.full(len(parameters), 0.3), 0.35)

    def shape(point: Array, spread: float = 1.0) -> Array:
        times = np.minimum(even, PLATEAU * math.exp(float(np.clip(flat(point[None])[0], -1.0, 0.8))))
        end = truth(point[None])[0]
        pace = spread * own(point[None])[0] - pull * (point[0] - 0.5)
        time = 0.1 * math.exp(float(np.clip(pace, -1.5, 1.2 * max(1.0, spread))))
        gained = 1 - np.exp(-((times / time) ** 0.8))
        for stage in stages:
            # What the next stage teaches is missing before it, and is learned at the same pace after it.
            late = np.clip(times - stage, 0, None)
            gained -= share * (1 - (1 - np.exp(-late / time)) * (times > stage))
        gained = (gained - gained[0]) / (gained[-1] - gained[0])
        start = min(-4.0, end - 1.0)
        return np.asarray(start + (end - start) * gained)

    spread = 1.0 if early_ranks is None else _spread(shape, generator.random((400, len(parameters))), early_ranks)
    return Landscape(
        name,
        parameters,
        epochs,
        start_step,
        hours,
        truth,
        partial(shape, spread=spread),
        diverges or _rarely,
        PATIENCE,
    )


def _spread(shape: Callable[[Array, float], Array], points: Array, wanted: float) -> float:
    """Returns the spread of the paces, between 0 and 40, with which early values have the wanted rank correlation."""
    low, high = 0.0, 40.0
    for _ in range(12):
        middle = (low + high) / 2
        curves = np.array([shape(point, middle) for point in points])
        found = spearmanr(curves[:, len(curves[0]) // 10 - 1], curves[:, -1]).statistic
        low, high = (middle, high) if found > wanted else (low, middle)
    return low


def _rarely(at: Array) -> Array:
    """Returns the share of trials that diverge: a few, if the first parameter is near its upper limit."""
    return np.where(at[:, 0] > 0.95, 0.3, 0.0)


def waves(generator: np.random.Generator, lengths: Array, deviation: float) -> Surface:
    """Returns a draw from a Matérn 5/2 process, as a sum of waves (Rahimi and Recht 2007, NeurIPS)."""
    count = 500
    # Its frequencies are Student's with 5 degrees of freedom.
    frequencies = generator.normal(size=(count, len(lengths))) / lengths
    frequencies *= np.sqrt(5.0 / generator.chisquare(5.0, size=(count, 1)))
    phases, weights = generator.uniform(0, 2 * np.pi, count), generator.normal(size=count)
    size = deviation * math.sqrt(2 / count)
    return lambda at: np.asarray(size * np.cos(at @ frequencies.T + phases) @ weights)
