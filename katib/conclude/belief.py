"""Asks the search's own model what it believes: where stopped trials would have ended, and how each parameter matters.

The model is the Gaussian process by which `best` ranks candidates (katib/conclude/selection.py). Pure: no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from katib.conclude.selection import candidates, configurations_of, observations_of, seed_noise, space_of
from katib.conclude.verdict import Verdict
from katib.errors import ManifestError
from katib.search.axis import Axis
from katib.search.history import OUTCOMES, Observation
from katib.table.trial_table import TrialRow, TrialTable

FEWEST = 5
"""The fewest values from which a curve over a parameter is drawn."""
STEPS = 41
"""The points of such a curve."""


@dataclass(frozen=True)
class End:
    """The value that a stopped trial would have reached, with its standard deviation, in the metric's unit."""

    value: float
    sd: float


@dataclass(frozen=True)
class Estimate:
    """The mean that a configuration with this value of one parameter reaches over seeds, and its deviation."""

    text: str
    mean: float
    sd: float


@dataclass(frozen=True)
class Slice:
    """The estimates along one parameter, the others as in the most promising configuration."""

    estimates: tuple[Estimate, ...]
    ordered: bool
    """Whether a value lies between its neighbours, so that a line may join them."""
    told: bool
    """Whether the best of it lies above the worst by more than the deviations of both."""
    best: Estimate


@dataclass(frozen=True)
class Belief:
    """What the model says; empty where trials are too few or their space is unknown."""

    ends: Mapping[str, End] = field(default_factory=dict)
    """By the name of a trial."""
    slices: Mapping[str, Slice] = field(default_factory=dict)
    """By the name of a parameter."""


def believe(table: TrialTable) -> Belief:
    """Returns what the search's model believes of the trials of `table`."""
    try:
        return Belief(ends(table), _slices(table))
    except ManifestError:
        return Belief(ends(table))


def told(table: TrialTable, verdict: Verdict | None) -> TrialTable:
    """Returns the table with the seeds that confirmed candidates as further trials, which the search has not seen."""
    if verdict is None:
        return table
    seen = [seed for seed in verdict.seeds if seed not in verdict.unseen]
    ran = [(verdict.configuration, verdict.seeds), *((one.configuration, one.seeds) for one in verdict.others)]
    more = [
        TrialRow(f"seed {seed}", "Succeeded", "", dict(configuration), value, None, 0, 0.0)
        for configuration, seeds in ran
        for seed, value in seeds.items()
        if seed not in seen
    ]
    return replace(table, rows=(*table.rows, *more))


def ends(table: TrialTable) -> dict[str, End]:
    """Returns where each stopped trial would have ended, by what completed trials gained after the same epoch."""
    stopped = [row for row in table.rows if row.state == "EarlyStopped" and row.value is not None]
    if not stopped or not table.finished:
        return {}
    from katib.search.observations import expected_ends

    past = [Observation(row.assignments, OUTCOMES[row.state], row.value, row.values) for row in table.rows]
    found = zip(table.rows, expected_ends(past, table.identity.direction), strict=True)
    return {row.trial: End(*end) for row, end in found if end is not None}


def _slices(table: TrialTable) -> dict[str, Slice]:
    import numpy as np

    from katib.search.bayes import surrogate

    groups, space = configurations_of(table), space_of(table)
    observed, first = observations_of(table, groups), candidates(table, 1)
    centre = space.shares(first[0].configuration) if first else None
    if len(observed.values) < FEWEST or centre is None or float(observed.values.std()) == 0:
        return {}
    noise, sign = seed_noise(table), table.identity.direction.sign
    model = surrogate(space, observed, (noise.sd, noise.df) if noise and noise.df else None)
    found = {}
    for index, (name, axis) in enumerate(space.axes.items()):
        shares = _shares(axis)
        if len(shares) < 2:
            continue
        points = np.tile(centre, (len(shares), 1))
        points[:, index] = shares
        means, deviations = model.predict(points)
        estimates = [
            Estimate(axis.at(share), sign * float(mean), float(sd))
            for share, mean, sd in zip(shares, means, deviations, strict=True)
        ]
        top, low = max(estimates, key=lambda one: sign * one.mean), min(estimates, key=lambda one: sign * one.mean)
        told = sign * top.mean - top.sd > sign * low.mean + low.sd
        found[name] = Slice(tuple(estimates), axis.ordered, told, top)
    return found


def _shares(axis: Axis) -> list[float]:
    """Returns where along an axis the model is asked: at each of few values, else at even distances."""
    if axis.even and (levels := axis.levels or 1) <= STEPS:
        return [(level + 0.5) / levels for level in range(levels)]
    return [min(step / (STEPS - 1), 1 - 1e-9) for step in range(STEPS)]
