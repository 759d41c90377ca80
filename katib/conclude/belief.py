"""Asks the search's own model what it believes: where stopped trials would have ended, and how each parameter matters.

The model is the Gaussian process by which `best` ranks candidates (katib/conclude/selection.py). Pure: no I/O.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from katib.conclude.selection import candidates, configurations_of, fitted, observations_of, seed_noise, space_of
from katib.conclude.shares import Share, shares
from katib.conclude.verdict import Verdict
from katib.errors import ManifestError
from katib.search.axis import Axis
from katib.search.space import Space
from katib.table.ends import End, ends
from katib.table.trial_table import TrialRow, TrialTable

if TYPE_CHECKING:
    # SciPy takes half a second to load: only what fits a process waits for it.
    from katib.search.bayes import Surrogate

FEWEST = 5
"""The fewest values from which a curve over a parameter is drawn."""
STEPS = 41
"""The points of such a curve."""
CELLS = 18
"""The points along each side of a plane."""


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
class Cell:
    """The estimate at a point of a plane, whose coordinates are shares of its axes."""

    x: float
    y: float
    mean: float
    sd: float


@dataclass(frozen=True)
class Plane:
    """The estimates over two parameters, the others as in the most promising configuration."""

    x: str
    y: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Belief:
    """What the model says; empty where trials are too few or their space is unknown."""

    ends: Mapping[str, End] = field(default_factory=dict)
    """By the name of a trial."""
    slices: Mapping[str, Slice] = field(default_factory=dict)
    """By the name of a parameter."""
    plane: Plane | None = None
    """Over the two parameters that matter most; None where the model sees no effect."""
    shares: Mapping[str, Share] = field(default_factory=dict)
    """How much of the variation over the space a parameter explains by itself, by its name."""

    @property
    def expected(self) -> list[float]:
        """What stopped trials would have come to, a standard deviation less and one more."""
        return [end.value + side * end.sd for end in self.ends.values() for side in (-1, 1)]


def believe(table: TrialTable) -> Belief:
    """Returns what the search's model believes of the trials of `table`."""
    try:
        model = _model(table)
    except ManifestError:
        model = None
    if model is None:
        return Belief(ends(table))
    found = _slices(model)
    return Belief(ends(table), found, _plane(model, found), shares(model.process, model.space))


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


@dataclass(frozen=True)
class _Model:
    """The fitted process, and the shares of the most promising configuration."""

    process: "Surrogate"
    space: Space
    centre: tuple[float, ...]
    sign: float

    def estimates(self, shares: Sequence[Mapping[int, float]]) -> list[tuple[float, float]]:
        """Returns mean and deviation at points that differ from the centre in the coordinates with these indices."""
        import numpy as np

        points = np.tile(self.centre, (len(shares), 1))
        for row, changed in enumerate(shares):
            for index, share in changed.items():
                points[row, index] = share
        means, deviations = self.process.predict(points)
        return [(self.sign * float(mean), float(sd)) for mean, sd in zip(means, deviations, strict=True)]


def _model(table: TrialTable) -> _Model | None:
    """Returns the search's model; None where the trials are too few or all equal."""
    groups, space = configurations_of(table), space_of(table)
    observed, first = observations_of(table, groups), candidates(table, 1)
    centre = space.shares(first[0].configuration) if first else None
    if len(observed.values) < FEWEST or centre is None or float(observed.values.std()) == 0:
        return None
    process = fitted(space, observed, seed_noise(table))
    return _Model(process, space, centre, table.identity.direction.sign)


def _slices(model: _Model) -> dict[str, Slice]:
    found = {}
    for index, (name, axis) in enumerate(model.space.axes.items()):
        shares = _shares(axis)
        if len(shares) < 2:
            continue
        values = model.estimates([{index: share} for share in shares])
        estimates = [Estimate(axis.at(share), *value) for share, value in zip(shares, values, strict=True)]
        order = sorted(estimates, key=lambda one: model.sign * one.mean)
        top, low = order[-1], order[0]
        told = model.sign * top.mean - top.sd > model.sign * low.mean + low.sd
        found[name] = Slice(tuple(estimates), axis.ordered, told, top)
    return found


def _plane(model: _Model, slices: Mapping[str, Slice]) -> Plane | None:
    """Returns the plane of the two parameters that change the mean most; None where the model sees no effect of any."""
    means = {name: [one.mean for one in found.estimates] for name, found in slices.items() if found.ordered}
    ranked = sorted(means, key=lambda name: min(means[name]) - max(means[name]))
    if len(ranked) < 2 or not slices[ranked[0]].told:
        return None
    x, y = ranked[:2]
    indices = list(model.space.axes)
    shares = [(place + 0.5) / CELLS for place in range(CELLS)]
    points = [(across, up) for across in shares for up in shares]
    values = model.estimates([{indices.index(x): across, indices.index(y): up} for across, up in points])
    return Plane(x, y, tuple(Cell(*point, *value) for point, value in zip(points, values, strict=True)))


def _shares(axis: Axis) -> list[float]:
    """Returns where along an axis the model is asked: at each of few values, else at even distances."""
    if axis.even and (levels := axis.levels or 1) <= STEPS:
        return [(level + 0.5) / levels for level in range(levels)]
    return [min(step / (STEPS - 1), 1 - 1e-9) for step in range(STEPS)]
