"""Plans the architecture sweep of a model's next phase, and weighs the result of each variant against its costs.

The sweep is an Experiment of its own, `<search>-arch`, of fixed runs: each value of the field that the spec names, with
the best hyperparameters of the search and three seeds. These hyperparameters were found for the search's own
architecture: a variant that comes close to it might win after a search of its own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Literal

from katib.backend.base import Backend
from katib.conclude.confirmation import known_runs, nothing_to_go_by, seen_seeds
from katib.conclude.follow_up import FollowUp
from katib.conclude.noise import known_beforehand, pooled, quantile
from katib.conclude.plan import RUN, FollowUpPlan, Group, experiment_name
from katib.conclude.selection import candidates
from katib.conclude.sizes import ArchitectureError, Size, known_sizes, sizes
from katib.conclude.verdict import Verdict
from katib.errors import FolderError, ResultError, SpecError
from katib.manifest.object import Manifest
from katib.measure import SI_SNR, Measure
from katib.ranges import text_of
from katib.spec import Spec, is_path, load_spec, specs
from katib.spec_flags import require_next_phase
from katib.spec_parts import Architecture
from katib.table.trial_table import TrialRow, TrialTable
from katib.trainer_contract import Flags
from katib.trial import Direction

Cost = Literal["parameters", "multiply_adds", "step_seconds", "epoch_seconds"]


@dataclass(frozen=True)
class Variant:
    """An architecture of the sweep: `value` of the field, result per seed (dB) and its costs, None if unknown."""

    value: str
    seeds: Mapping[int, float]
    mean: float | None
    half_width: float | None
    """Half the width of the mean's 95 % interval; the seed noise is pooled over all variants."""
    parameters: int | None = None
    multiply_adds: int | None = None
    step_seconds: float | None = None
    """An epoch's measured time, including validation, per training step; the median over all epochs of its runs."""
    epoch_seconds: float | None = None


def require_phase(model: str) -> Architecture:
    """Returns the next phase in the spec `model`. Raises SpecError where it has none, or one that cannot be trained."""
    spec = load_spec(model)
    require_next_phase(spec)
    if spec.next_phase is None:
        if is_path(model):
            raise SpecError(f"{model}: its spec has no next phase; add next_phase: {{field: NAME, values: [A, B]}}")
        others = [other for other in specs() if load_spec(other).next_phase is not None]
        raise SpecError(f"{model}: its spec has no next phase; these have one: {', '.join(others)}")
    return spec.next_phase


def require_model(table: TrialTable, model: str) -> None:
    """Raises FolderError where the search of `table` trained another model."""
    if table.model != model:
        trained = table.model or "no model of ours"
        raise FolderError(f"experiment '{table.identity.name}' is a search of {trained}, not of {model}")


def chosen(table: TrialTable, verdict: Verdict | None) -> Mapping[str, str]:
    """Returns the configuration of the search that is swept: the confirmed one, or the first candidate.

    Raises ResultError where the search has none.
    """
    if verdict:
        return verdict.configuration
    found = candidates(table, 1)
    if not found:
        raise ResultError(nothing_to_go_by(table))
    return found[0].configuration


def own_value(
    spec: Spec, manifest: Manifest, configuration: Mapping[str, str], field: str, kept: Path
) -> tuple[str | None, str]:
    """Returns the value of `field` in the search's own `configuration`; or None, and why the trainer cannot tell it.

    It is None, too, where a command's search varies it. `kept` is the file of known sizes. Raises FolderError where it
    cannot be written.
    """
    if spec.command is not None:
        fixed = spec.fixed.get(field)
        return None if fixed is None or isinstance(fixed, list) else text_of(fixed), ""
    (own,), problem = known_sizes(manifest, [configuration], kept)
    return own.text(field) if own else None, problem


def require_architectures(plan: FollowUpPlan, manifest: Manifest, kept: Path) -> None:
    """Raises SpecError for a sweep of which every run is known, or for the first architecture that our trainer refuses.

    Architectures are tried where the trainer is installed. `kept` is the file of known sizes, which grows. Raises
    FolderError where it cannot be written.
    """
    if not plan.words:
        values = ", ".join(group.configuration[plan.field] for group in plan.groups)
        raise SpecError(f"next_phase.values: every run with {plan.field} {values} is known; add a value, or SEEDS=")
    for group in plan.groups if manifest.trains_ours else ():
        try:
            sizes(manifest, [group.configuration], kept)
        except ArchitectureError as error:
            value = group.configuration[plan.field]
            raise SpecError(f"next_phase.values: {plan.field} {value}: {error}") from None
        except ResultError:
            return


def plan_architecture(
    table: TrialTable,
    manifest: Manifest,
    field: str,
    values: Sequence[str],
    *,
    seeds: Sequence[int],
    verdict: Verdict | None = None,
    own: str | None = None,
) -> FollowUpPlan:
    """Returns the sweep of `field` with the search's confirmed configuration, or with its first candidate.

    `own` is the value in the search itself, or None where that varies it; the runs and confirming runs with it are not
    repeated. Raises ResultError where the search has no candidate.
    """
    best = dict(chosen(table, verdict))
    known = dict(verdict.seeds) if verdict else known_runs(candidates(table, 1)[0], table, manifest)
    at_best = best.get(field) if own is None else own
    return FollowUpPlan(
        purpose="arch",
        search=table.identity.name,
        seeds=tuple(seeds),
        seen=seen_seeds(table, manifest),
        groups=tuple(
            Group(
                configuration=best | {field: value},
                known={seed: known[seed] for seed in seeds if value == at_best and seed in known},
            )
            for value in values
        ),
        field=field,
    )


def swept(backend: Backend, follow_up: FollowUp, kept: Path) -> tuple[list[Variant], str]:
    """Returns the variants of a sweep, and why their sizes are unknown where the trainer cannot tell them.

    `kept` is the file of known sizes. Raises FolderError where it cannot be written.
    """
    plan = follow_up.plan
    configurations = [group.configuration for group in plan.groups]
    described: list[Size | None] = [None] * len(configurations)
    problem = ""
    if follow_up.manifest.trains_ours:
        described, problem = known_sizes(follow_up.manifest, configurations, kept)
    earlier = [plan.search, experiment_name(plan.search, "confirm")]
    before = [row for name in earlier if backend.begun(name) for row in backend.table(name).rows]
    batch, metric = follow_up.manifest.number(Flags.BATCH_SIZE), follow_up.manifest.measure
    return variants(plan, follow_up.table, batch, described, before, metric), problem


def variants(
    plan: FollowUpPlan,
    table: TrialTable | None,
    batch: int | None,
    sizes: Sequence[Size | None],
    before: Sequence[TrialRow] = (),
    metric: Measure = SI_SNR,
) -> list[Variant]:
    """Returns the variants with their results so far and their `sizes`; `batch` is the mixtures per training step.

    `before` holds the trials of the search and its confirmation, which time the search's own architecture.
    """
    values = plan.values(table)
    noise = pooled(list(one.values()) for one in values) or known_beforehand(metric)
    half_width = quantile(noise.df) * noise.sd if noise else None
    found = []
    for group, by_seed, size in zip(plan.groups, values, sizes, strict=True):
        rows = _rows(plan, group, table.rows if table else (), before)
        found.append(
            Variant(
                value=group.configuration[plan.field],
                seeds=by_seed,
                mean=fmean(by_seed.values()) if by_seed else None,
                half_width=half_width / math.sqrt(len(by_seed)) if by_seed and half_width is not None else None,
                parameters=size.parameters if size else None,
                multiply_adds=size.multiply_adds if size else None,
                step_seconds=_median([step for row in rows for step in steps(row, batch)]),
                epoch_seconds=_median([epoch for row in rows for epoch in epochs(row)]),
            )
        )
    return found


def _rows(plan: FollowUpPlan, group: Group, swept: Sequence[TrialRow], before: Sequence[TrialRow]) -> list[TrialRow]:
    """Returns the trials of one variant, with those from `before` only where the plan takes over their values."""
    words = {group.word(seed) for seed in plan.seeds}
    rows = [row for row in swept if row.assignments.get(RUN) in words]
    if group.known:
        # The search fixed the field, or it varied it.
        fixed = {name: text for name, text in group.configuration.items() if name != plan.field}
        for own in (fixed, group.configuration):
            confirmed = {Group(configuration=own).word(seed) for seed in group.known}
            rows += [row for row in before if row.assignments == own or row.assignments.get(RUN) in confirmed]
    return rows


def front(found: Sequence[Variant], cost: Cost, *, direction: Direction = Direction.MAXIMIZE) -> list[Variant]:
    """Returns the variants that no other beats in both result and `cost`, the cheapest first (Pareto's front)."""
    priced = [(getattr(one, cost), -direction.sign * one.mean, one) for one in found if one.mean is not None]
    best, chosen = math.inf, []
    for _, loss, one in sorted((entry for entry in priced if entry[0] is not None), key=lambda entry: entry[:2]):
        if loss < best:
            best = loss
            chosen.append(one)
    return chosen


def epochs(row: TrialRow) -> list[float]:
    """Returns the seconds of each epoch: as measured by the run itself, or else from one report to the next."""
    if measured := row.metrics.get("seconds"):
        return [point.value for point in measured]
    times = [point.time for point in row.curve if point.time is not None]
    return [after - before for before, after in pairwise(times)]


def steps(row: TrialRow, batch: int | None) -> list[float]:
    """Returns the seconds per training step in each epoch; empty where the run has not reported its mixtures."""
    mixtures = {point.step: point.value for point in row.metrics.get("mixtures", ())}
    return [
        point.value / math.ceil(mixtures[point.step] / batch)
        for point in row.metrics.get("seconds", ())
        if batch and mixtures.get(point.step)
    ]


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None
