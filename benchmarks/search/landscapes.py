"""Makes what the simulated searches search: models whose result, learning curve and failures are known for every point.

Each is drawn anew for every seed, so that no strategy is tuned to one surface. There are three sources: a ledger of
real runs (CSV), real learning curves (CSV), and a synthetic family.
"""

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from katib.manifest.search import Parameter
from katib.search.gaussian_process import fit
from katib.search.space import Space

Array = NDArray[np.float64]
Surface = Callable[[Array], Array]
"""A number for each point [N, D] of the unit cube."""

SEED_NOISE = 0.13
"""Standard deviation between seeds of one configuration at the end of training, dB."""
WOBBLE = 0.06
"""Standard deviation from one epoch to the next, dB."""
BROKEN = 0.02
"""Share of trials that fail for reasons of the machine, whatever their point."""
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
        return _with_curves("ledger", parameters, truth, generator)

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
    prior = _waves(generator, lengths, math.sqrt(signal))
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
        tilt = _waves(np.random.default_rng((seed, 2)), np.full(points.shape[1], 0.5), 0.15)

        def shape(point: Array) -> Array:
            at = point[None]
            return np.asarray(middle + (process.cross(at) @ weights)[0] + np.linspace(0, 1, len(names)) * tilt(at))

        def truth(at: Array) -> Array:
            return np.asarray(middle[-1] + process.cross(at) @ weights[:, -1] + tilt(at))

        return Landscape("real curves", parameters, len(names), 4, hours, truth, shape, lambda at: np.zeros(len(at)))

    return family


def synthetic(seed: int) -> Landscape:
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

    return _with_curves("synthetic", _parameters(RANGES), truth, generator, diverges)


def _rarely(at: Array) -> Array:
    """Returns the share of trials that diverge: a few, if the first parameter is near its upper limit."""
    return np.where(at[:, 0] > 0.95, 0.3, 0.0)


def _with_curves(
    name: str,
    parameters: tuple[Parameter, ...],
    truth: Surface,
    generator: np.random.Generator,
    diverges: Surface | None = None,
) -> Landscape:
    """Returns learning curves for a surface: early winners, late bloomers, curricula whose stages each unlock a gain.

    A low learning rate learns late, a high one early. In addition every point has a pace of its own, independent of its
    result, so that curves cross. Measured on the ledger: runs of the full space near its best points that were cut
    after 25 to 30 epochs had 2.6 to 3.1 dB, where whole neighbours reached 3.6 to 3.9 dB; these paces are as fast, and
    spread no less.
    """
    epochs, start_step, hours = SERIES_3
    own = _waves(generator, np.full(len(parameters), 0.3), generator.uniform(0.08, 0.3))
    pull = generator.uniform(0.1, 0.6)
    stages = sorted(generator.uniform(0.08, 0.5, 2)) if generator.random() < 0.5 else []
    share = generator.uniform(0.05, 0.12)
    even = np.arange(1, epochs + 1) / epochs
    flat = _waves(generator, np.full(len(parameters), 0.3), 0.35)

    def shape(point: Array) -> Array:
        times = np.minimum(even, PLATEAU * math.exp(float(np.clip(flat(point[None])[0], -1.0, 0.8))))
        end = truth(point[None])[0]
        time = 0.1 * math.exp(float(np.clip(own(point[None])[0] - pull * (point[0] - 0.5), -1.5, 1.2)))
        gained = 1 - np.exp(-((times / time) ** 0.8))
        for stage in stages:
            # What the next stage teaches is missing before it, and is learned at the same pace after it.
            late = np.clip(times - stage, 0, None)
            gained -= share * (1 - (1 - np.exp(-late / time)) * (times > stage))
        gained = (gained - gained[0]) / (gained[-1] - gained[0])
        start = min(-4.0, end - 1.0)
        return np.asarray(start + (end - start) * gained)

    return Landscape(
        name,
        parameters,
        epochs,
        start_step,
        hours,
        truth,
        shape,
        diverges or _rarely,
        PATIENCE,
    )


def _waves(generator: np.random.Generator, lengths: Array, deviation: float) -> Surface:
    """Returns a draw from a Matérn 5/2 process, as a sum of waves (Rahimi and Recht 2007, NeurIPS)."""
    count = 500
    # Its frequencies are Student's with 5 degrees of freedom.
    frequencies = generator.normal(size=(count, len(lengths))) / lengths
    frequencies *= np.sqrt(5.0 / generator.chisquare(5.0, size=(count, 1)))
    phases, weights = generator.uniform(0, 2 * np.pi, count), generator.normal(size=count)
    size = deviation * math.sqrt(2 / count)
    return lambda at: np.asarray(size * np.cos(at @ frequencies.T + phases) @ weights)


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
