"""Makes what the simulated searches search: models whose result, learning curve and failures are known for every point.

Each is drawn anew for every seed, so that no strategy is tuned to one surface. There are four sources: a ledger of
real runs (CSV), real learning curves (CSV), a synthetic family, and the same with early values that mislead.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.linalg import cho_solve

from benchmarks.search.learning_curves import Array, Landscape, Surface, waves, with_curves
from katib.manifest.search import Parameter
from katib.search.gaussian_process import fit
from katib.search.space import Space

EARLY_RANKS = 0.5
"""The rank correlation of early values with the ends where early ranks mislead."""
RANGES = {
    "lr": (1e-4, 1e-2),
    "weight_decay": (1e-6, 1e-4),
    "grad_clip_norm": (1.0, 10.0),
    "lr_factor": (0.3, 0.8),
}
LOGARITHMIC = ("lr", "weight_decay")
LEAST_RUNS = 40
FLOOR = -5.0
"""Ledger values below count as that, dB: how badly a run diverged is no feature of the surface."""
Family = Callable[[int], Landscape]
"""A landscape for each seed."""


def ledgers(path: Path) -> list[Family]:
    """Returns one family for each group of the ledger that searched at least a decade of lr with enough runs."""
    groups: dict[str, list[dict[str, str]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["best_val_sisdr"] and row["last_epoch"] and all(row[name] for name in RANGES):
                groups[row["sweep_group"]].append(row)
    wide = [
        rows for rows in groups.values() if len(rows) >= LEAST_RUNS and _decades(float(row["lr"]) for row in rows) >= 1
    ]
    return [_ledger(rows) for rows in wide]


def _decades(values: Iterable[float]) -> float:
    found = list(values)
    return math.log10(max(found) / min(found))


def _ledger(rows: Sequence[Mapping[str, str]]) -> Family:
    """Returns surfaces that the runs may well have come from: Gaussian posterior draws and forests of trees, in turn.

    A run that was cut early has the value of its last epoch; what it would still have gained is a coefficient of the
    fit.
    """
    columns = {name: [float(row[name]) for row in rows] for name in RANGES}
    parameters = _parameters({name: (min(values), max(values)) for name, values in columns.items()})
    points = _points(parameters, rows)
    values = np.maximum([float(row["best_val_sisdr"]) for row in rows], FLOOR)
    whole = np.median([float(row["last_epoch"]) for row in rows if row["completed"] == "True"])
    cut = np.array(
        [0.0 if row["completed"] == "True" else max(0.0, math.log(whole / float(row["last_epoch"]))) for row in rows]
    )

    def family(seed: int) -> Landscape:
        generator = np.random.default_rng((seed, 1))
        surface = _posterior if seed % 2 else _forest
        truth = surface(points, values, cut, generator)
        return with_curves("ledger", parameters, truth, generator)

    return family


def _posterior(points: Array, values: Array, cut: Array, generator: np.random.Generator) -> Surface:
    """Returns a draw from a quadratic trend plus a Gaussian process, given the runs.

    See Wilson et al. 2020, ICML, equation 4.
    """
    design = np.column_stack([np.ones(len(points)), points, points**2, cut])
    penalty = np.diag([1e-6] + [1e-2] * (design.shape[1] - 1))
    trend = np.linalg.solve(design.T @ design + penalty, design.T @ values)
    rest = values - design @ trend
    scale, width = rest.std(), points.shape[1]
    process = fit(points, rest / scale, np.zeros(len(points)), np.arange(width))
    lengths, signal, noise = np.exp(process.theta[:width]), *np.exp(process.theta[width:])
    prior = waves(generator, lengths, math.sqrt(signal))
    luck = prior(points) + math.sqrt(noise) * generator.normal(size=len(points))
    weights = cho_solve(process.factor, rest / scale - luck)

    def truth(at: Array) -> Array:
        basis = np.column_stack([np.ones(len(at)), at, at**2]) @ trend[:-1]
        values: Array = np.maximum(basis + scale * (prior(at) + process.cross(at) @ weights), FLOOR)
        return values

    return truth


def _forest(points: Array, values: Array, cut: Array, generator: np.random.Generator) -> Surface:
    """Returns a random forest on the runs, as in surrogate benchmarks (Eggensperger et al. 2015, AAAI).

    Nothing about it is Gaussian.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    forest = ExtraTreesRegressor(
        n_estimators=60, min_samples_leaf=2, bootstrap=True, random_state=int(generator.integers(2**31))
    )
    forest.fit(np.column_stack([points, cut]), values)
    return lambda at: np.asarray(forest.predict(np.column_stack([at, np.zeros(len(at))])))


def real_curves(path: Path) -> Family:
    """Returns the measured curves, extended to every point of the space by a Gaussian process."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith("epoch_")]
    parameters = _parameters(RANGES)
    points = _points(parameters, rows)
    curves = np.array([[float(row[name]) for name in names] for row in rows])
    middle, spread = curves.mean(0), curves[:, -1].std()
    process = fit(points, (curves[:, -1] - middle[-1]) / spread, np.zeros(len(points)), np.arange(points.shape[1]))
    weights = cho_solve(process.factor, curves - middle)
    hours = float(np.mean([float(row["seconds"]) for row in rows])) / 3600

    def family(seed: int) -> Landscape:
        tilt = waves(np.random.default_rng((seed, 2)), np.full(points.shape[1], 0.5), 0.15)

        def shape(point: Array) -> Array:
            at = point[None]
            return np.asarray(middle + (process.cross(at) @ weights)[0] + np.linspace(0, 1, len(names)) * tilt(at))

        def truth(at: Array) -> Array:
            return np.asarray(middle[-1] + process.cross(at) @ weights[:, -1] + tilt(at))

        return Landscape("real curves", parameters, len(names), 4, hours, truth, shape, lambda at: np.zeros(len(at)))

    return family


def misleading(seed: int) -> Landscape:
    """Returns `synthetic` with paces so different that the ranks of early values say little of the ends."""
    return synthetic(seed, EARLY_RANKS)


def synthetic(seed: int, early_ranks: float | None = None) -> Landscape:
    """Returns a ridge that is not parallel to the axes, a second hill, and a cliff where training diverges.

    All are at random places.
    """
    generator = np.random.default_rng((seed, 3))
    width = len(RANGES)
    rotation = np.linalg.qr(generator.normal(size=(width, width)))[0] * 0.35 + np.eye(width)
    steep = np.array([8.0, 1.5, 0.8, 0.8]) * generator.lognormal(0, 0.4, width)
    best, other = generator.uniform(0.2, 0.8, (2, width))
    cliff = min(0.97, best[0] + generator.uniform(0.12, 0.35))

    def truth(at: Array) -> Array:
        away = (at - best) @ rotation
        hill = 0.8 * np.exp(-(((at - other) / 0.15) ** 2).sum(1))
        return np.asarray(5.0 - (steep * np.abs(away) ** 1.7).sum(1) + hill)

    def diverges(at: Array) -> Array:
        return np.asarray(0.9 / (1 + np.exp(-(at[:, 0] - cliff) / 0.02)))

    name = "synthetic" if early_ranks is None else "misleading"
    return with_curves(name, _parameters(RANGES), truth, generator, diverges, early_ranks)


def _parameters(ranges: Mapping[str, tuple[float, float]]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(
            name,
            "double",
            repr(low),
            repr(high),
            None,
            (),
            "logUniform" if name in LOGARITHMIC else "uniform",
        )
        for name, (low, high) in ranges.items()
    )


def _points(parameters: Sequence[Parameter], rows: Sequence[Mapping[str, str]]) -> Array:
    space = Space.of(parameters)
    return np.array([space.shares({name: row[name] for name in RANGES}) for row in rows], dtype=float)
