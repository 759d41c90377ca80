"""Selects the configurations of a search that deserve to be confirmed, by the evidence of all trials. Pure: no I/O.

The best single value of a search is high because its configuration is good and because its seed was lucky; the more
trials, the larger the share of luck. Candidates are therefore ordered by the posterior mean of the Gaussian process
that the search itself uses (katib/search/bayes.py), with the seed noise where it is known.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from katib.conclude.noise import Noise, known_beforehand, moderated, pooled
from katib.manifest.experiment import parameters_of
from katib.manifest.search import Parameter
from katib.search.history import OUTCOMES, Observation
from katib.search.space import Space
from katib.table.axes import spanned
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import with_unit
from katib.trainer_contract import METRIC

if TYPE_CHECKING:
    # SciPy takes half a second to load: only what fits a Gaussian process waits for it.
    from katib.search.bayes import Surrogate
    from katib.search.observations import Observations

SEED = "seed"
"""The parameter that is not part of a configuration: trials that differ only in it repeat one configuration."""
FEWEST_TO_FIT = 2
"""The fewest values to which a noise can be fitted."""

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Candidate:
    """One configuration with its estimated mean over seeds and what its trials have reached, in the metric's unit.

    `sd` is the standard deviation of the estimate, None where it rests on a single value; `observed` is the mean of its
    trials.
    """

    configuration: Mapping[str, str]
    mean: float
    sd: float | None
    observed: float
    trials: tuple[str, ...]
    state: str
    """Succeeded where one of its trials is complete; EarlyStopped where its final value had to be extrapolated."""
    rank: int
    """Its rank by observed value, from 1."""


def candidates(table: TrialTable, n: int = 3, noise: Noise | None = None) -> list[Candidate]:
    """Returns the `n` most promising configurations with a value, the best first.

    A trial that was stopped early counts with its extrapolated final value and the variance of that extrapolation; a
    failed one counts as the lower quartile of the others and is no candidate; a running one does not count. `noise` is
    `seed_noise(table)` by default.
    """
    groups = configurations_of(table)
    noise = noise or seed_noise(table)
    sign = table.identity.direction.sign
    belief = _belief(table, groups, noise)
    valued = {key: groups[key] for key in belief}
    observed = {key: sum(_values(rows)) / len(_values(rows)) for key, rows in valued.items()}
    order = sorted(valued, key=lambda key: -sign * observed[key])
    ranks = {key: place for place, key in enumerate(order, 1)}
    # Where values show no noise, two that lie closer than the fit can resolve keep their observed order.
    seen = {
        key for key, rows in valued.items() if noise and noise.least and all(row.state == "Succeeded" for row in rows)
    }
    found = [
        Candidate(
            configuration=dict(key),
            mean=observed[key] if key in seen else sign * belief[key][0],
            sd=belief[key][1],
            observed=observed[key],
            trials=tuple(row.trial for row in rows),
            state="Succeeded" if any(_ran_to_its_end(row) for row in rows) else "EarlyStopped",
            rank=ranks[key],
        )
        for key, rows in valued.items()
    ]
    found.sort(key=lambda one: (-sign * one.mean, one.rank))
    return found[:n]


def seed_noise(table: TrialTable) -> Noise | None:
    """Returns the seed noise and where it is known from; None where fewer than two values tell nothing about it.

    Where it is known beforehand, as for validation SI-SNR, it is estimated from configurations with several seeds and
    from the baseline's seeds, combined with the prior; for other metrics from repeated configurations alone, or else by
    fitting the Gaussian process.
    """
    from katib.search.bayes import noise_prior

    groups = configurations_of(table)
    found = _repeated(table, groups)
    if found is not None:
        return found
    space, observed = space_of(table), observations_of(table, groups)
    if len(observed.values) < FEWEST_TO_FIT:
        return None
    if exact := noise_prior(space, observed):
        return Noise(
            *exact,
            "the least that is assumed: no trial repeats another, and their values show no noise",
            least=True,
        )
    return Noise(
        fitted(space, observed, None).noise, 0.0, "as fitted by the Gaussian process: no trial repeats another"
    )


def _repeated(table: TrialTable, groups: Mapping[Key, Sequence[TrialRow]]) -> Noise | None:
    """Returns the noise that is known without a fit; None where nothing is known."""
    repeats = [
        [row.value for row in rows if row.state == "Succeeded" and row.value is not None] for rows in groups.values()
    ]
    metric, prior = table.identity.measure, known_beforehand(table.identity.measure)
    if prior is None:
        found = pooled(repeats)
        return found and replace(found, source="from configurations that were trained more than once")
    if table.baseline is not None:
        repeats.append(list(table.baseline.seeds.values()))
    source = f"{with_unit(prior.sd, metric)} {'from other searches' if metric.metric == METRIC else 'as its spec says'}"
    if pooled(repeats):
        source += ", combined with the seeds of this one and of its baseline"
    return replace(moderated(repeats, prior), source=source)


def configurations_of(table: TrialTable) -> dict[Key, list[TrialRow]]:
    """Returns the trials by configuration."""
    groups: dict[Key, list[TrialRow]] = {}
    for row in table.rows:
        key = tuple((name, text) for name, text in row.assignments.items() if name != SEED)
        groups.setdefault(key, []).append(row)
    return groups


def _ran_to_its_end(row: TrialRow) -> bool:
    return row.state == "Succeeded" and row.value is not None


def _values(rows: Sequence[TrialRow]) -> list[float]:
    """Returns the values of trials that have ended: that of a running one is not final."""
    return [row.value for row in rows if row.value is not None and OUTCOMES[row.state] in ("completed", "stopped")]


def _belief(
    table: TrialTable, groups: Mapping[Key, Sequence[TrialRow]], noise: Noise | None
) -> dict[Key, tuple[float, float | None]]:
    """Returns the mean and deviation of each configuration with a value, where greater is better."""
    import numpy as np

    space, observed = space_of(table), observations_of(table, groups)
    points = {key: point for key, rows in groups.items() if _values(rows) and (point := space.shares(dict(key)))}
    if not points:
        return {}
    if len(observed.values) == 1:
        # One value says nothing about the surface, so it is its own estimate.
        return {key: (float(observed.values[0]), noise.sd if noise else None) for key in points}
    mean, deviation = fitted(space, observed, noise).predict(np.array(list(points.values())))
    return {key: (float(one), float(other)) for key, one, other in zip(points, mean, deviation, strict=True)}


def fitted(space: Space, observed: "Observations", noise: Noise | None) -> "Surrogate":
    """Returns the Gaussian process of the observations; a noise without degrees of freedom is fitted again."""
    from katib.search.bayes import surrogate

    return surrogate(space, observed, (noise.sd, noise.df) if noise and noise.df else None)


def observations_of(table: TrialTable, groups: Mapping[Key, Sequence[TrialRow]]) -> "Observations":
    """Returns the trials as the Gaussian process takes them."""
    from katib.search.observations import observe

    past = [
        Observation(dict(key), OUTCOMES[row.state], row.value, row.values)
        for key, rows in groups.items()
        for row in rows
    ]
    return observe(space_of(table), past, (), table.identity.direction)


def space_of(table: TrialTable) -> Space:
    """Returns the space of the manifest; where the table has lost it, the one that the values of most trials span."""
    axes: Sequence[Parameter] = parameters_of(table.identity.spec, table.identity.name)
    if not axes and table.rows:
        ((names, _),) = Counter(tuple(row.assignments) for row in table.rows).most_common(1)
        axes = [spanned(table, name) for name in names]
    return Space.of([axis for axis in axes if axis.name != SEED])
