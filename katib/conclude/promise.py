"""Estimates which configuration is the best one, how sure that is, and what more trials promise. Pure: no I/O.

Functions are drawn from the Gaussian process by which `best` ranks candidates. The points of further trials are those
at which ten other draws have their maxima (Thompson sampling), which is about what a search would try.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from katib.conclude.selection import candidates, configurations_of, fitted, observations_of, seed_noise, space_of
from katib.errors import ManifestError
from katib.table.trial_table import TrialTable

FEWEST = 5
"""The fewest values from which anything is said."""
DRAWS, AROUND, ANYWHERE = 400, 128, 256
"""Functions that are drawn, and the points near the best configuration and anywhere at which they are compared."""
MORE = 10
"""The further trials."""
SHOWN = 5
"""The most promising configurations that are named."""
NEAR = 0.08
"""The standard deviation of the points near the best one, in units of an axis."""


@dataclass(frozen=True)
class Chance:
    """A configuration with its estimated mean, the deviation of that, and the probability that it is the best one."""

    trial: str
    configuration: Mapping[str, str]
    mean: float
    sd: float | None
    probability: float


@dataclass(frozen=True)
class Promise:
    """What the model expects of more trials, in the metric's unit: how much better than the best one so far."""

    chances: tuple[Chance, ...]
    """The most promising configurations, the best first."""
    gain: float
    probability: float
    """The probability that one of the further trials is better at all."""


def promise(table: TrialTable) -> Promise | None:
    """Returns what the model expects; None where trials are too few, their values equal, or their space is unknown."""
    import numpy as np

    try:
        groups, space = configurations_of(table), space_of(table)
        observed, first = observations_of(table, groups), candidates(table, 50)
    except ManifestError:
        return None
    known = [(one, shares) for one in first if (shares := space.shares(one.configuration)) is not None]
    if len(observed.values) < FEWEST or not known or float(observed.values.std()) == 0:
        return None
    model, generator = fitted(space, observed, seed_noise(table)), np.random.default_rng(0)
    tried = np.array([shares for _, shares in known])
    near = tried[0] + NEAR * generator.standard_normal((AROUND, tried.shape[1]))
    fresh = np.vstack([np.clip(near, 0.0, 1 - 1e-9), generator.random((ANYWHERE, tried.shape[1]))])
    drawn = model.sample(np.vstack([tried, fresh]), DRAWS + MORE, generator)
    chosen = drawn[:MORE, len(known) :].argmax(1) + len(known)
    drawn = drawn[MORE:]
    best = np.bincount(drawn[:, : len(known)].argmax(1), minlength=len(known)) / DRAWS
    better = np.maximum(drawn[:, chosen].max(1) - drawn[:, : len(known)].max(1), 0.0)
    chances = [
        Chance(one.trials[0], one.configuration, one.mean, one.sd, float(share))
        for (one, _), share in zip(known, best, strict=True)
    ]
    return Promise(tuple(chances[:SHOWN]), float(better.mean()), float((better > 0).mean()))
