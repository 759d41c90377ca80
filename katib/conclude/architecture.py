"""The architecture sweep of a model's next phase: which runs it takes, and what each variant gives for what it costs.

It is an Experiment of its own, `<search>-arch`, of fixed runs: each value of the field that the spec names, with the
best hyperparameters of the search and three seeds. They were found for the architecture of the search, so that a
variant that comes close without a search of its own may come out ahead with one. Called by the verb arch.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal

from katib.conclude.confirmation import known_runs, nothing_to_go_by, seen_seeds
from katib.conclude.fixed_runs import RUN, Group, Plan
from katib.conclude.noise import known_beforehand, pooled, quantile
from katib.conclude.selection import candidates
from katib.conclude.verdict import Verdict
from katib.errors import ResultError
from katib.files import write_whole
from katib.manifest.object import Manifest
from katib.metrics import METRIC
from katib.table.trial_table import Row, TrialTable
from katib.trainer_contract import Flags, program, run_trainer
from katib.trial import Direction
from katib.untrusted import checked, read_json

DESCRIBE_SECONDS = 600
Cost = Literal["parameters", "multiply_adds", "step_seconds"]


@dataclass(frozen=True)
class Size:
    """What the trainer's own `describe` says of a variant.

    Multiply-adds of one forward pass over `seconds` of audio.
    """

    parameters: int
    multiply_adds: int
    seconds: float
    configuration: Mapping[str, Any]


@dataclass(frozen=True)
class Variant:
    """One architecture of the sweep: `value` of the field, the result by seed (dB) and the costs; None: not known."""

    value: str
    seeds: Mapping[int, float]
    mean: float | None
    half_width: float | None
    """Of the mean's 95 % interval; the noise of seeds is pooled over all variants."""
    parameters: int | None = None
    multiply_adds: int | None = None
    step_seconds: float | None = None
    """Measured: an epoch's time, validation included, by its training steps; median over the epochs of all its runs."""
    epoch_seconds: float | None = None


def plan_architecture(
    table: TrialTable,
    manifest: Mapping[str, Any],
    field: str,
    values: Sequence[int],
    *,
    seeds: Sequence[int],
    verdict: Verdict | None = None,
    own: int | None = None,
) -> Plan:
    """Returns the sweep of `field` with the confirmed configuration of the search, or its first candidate where none is
    confirmed.

    `own` is the value that the search itself had: its runs, and the confirming ones, are not repeated. Raises
    ResultError where the search has no candidate.
    """
    found = candidates(table, 1)
    if not found:
        raise ResultError(nothing_to_go_by(table))
    best = dict(verdict.configuration) if verdict else dict(found[0].configuration)
    known = dict(verdict.seeds) if verdict else known_runs(found[0], table, manifest)
    return Plan(
        purpose="arch",
        search=table.identity.name,
        seeds=tuple(seeds),
        seen=seen_seeds(table, manifest),
        groups=tuple(
            Group(
                configuration=best | {field: str(value)},
                known={seed: known[seed] for seed in seeds if value == own and seed in known},
            )
            for value in values
        ),
        field=field,
    )


def variants(
    plan: Plan,
    table: TrialTable | None,
    batch: int | None,
    sizes: Sequence[Size | None],
    before: Sequence[Row] = (),
) -> list[Variant]:
    """Returns what is known of each variant so far; `sizes` are theirs, `batch` the mixtures of a training step.

    `before` are trials of the search and its confirmation, among which those of the search's own architecture are
    found.
    """
    values = plan.values(table) if table is not None else [dict(group.known) for group in plan.groups]
    noise = pooled(list(one.values()) for one in values) or known_beforehand(table.identity.metric if table else METRIC)
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


def _rows(plan: Plan, group: Group, swept: Sequence[Row], before: Sequence[Row]) -> list[Row]:
    """Returns the trials of one variant; those of before only where their values were taken over."""
    words = {group.word(seed) for seed in plan.seeds}
    rows = [row for row in swept if row.assignments.get(RUN) in words]
    if group.known:
        own = {name: text for name, text in group.configuration.items() if name != plan.field}
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


def epochs(row: Row) -> list[float]:
    """Seconds of each epoch: as the run itself has measured them, else from one report to the next."""
    if measured := row.metrics.get("seconds"):
        return [point.value for point in measured]
    times = [point.time for point in row.curve if point.time is not None]
    return [after - before for before, after in pairwise(times)]


def steps(row: Row, batch: int | None) -> list[float]:
    """Seconds of a training step in each epoch; empty where the run does not say how many mixtures it trained on."""
    mixtures = {point.step: point.value for point in row.metrics.get("mixtures", ())}
    return [
        point.value / math.ceil(mixtures[point.step] / batch)
        for point in row.metrics.get("seconds", ())
        if batch and mixtures.get(point.step)
    ]


def describe(words: Sequence[str]) -> Size:
    """Returns what the trainer says of the model that `words` name.

    Raises ResultError with its own line where it cannot.
    """
    try:
        answer = run_trainer([*program(), "describe", *words, "--json"], timeout=DESCRIBE_SECONDS)
    except OSError as error:
        raise ResultError(f"parameters and multiply-adds are not known: trainer describe: {error}") from None
    if answer.code:
        raise ResultError(f"parameters and multiply-adds are not known: trainer describe: {answer.problem}")
    told = json.loads(answer.output)
    return Size(told["parameters"], told["multiply_adds"], told["seconds"], told["configuration"])


def described_words(manifest: Mapping[str, Any], field: str = "", value: int | str = "") -> list[str]:
    """Returns the arguments of `describe` for the model that the trials of the search train, with another `value` of
    `field`.
    """
    given = Manifest.of(manifest).flags
    words = [
        word
        for flag in (Flags.MODEL, Flags.PRESET, Flags.SEGMENT_SECONDS)
        if flag in given
        for word in (flag, *given[flag])
    ]
    return [*words, *(["--" + field.replace("_", "-"), str(value)] if field else [])]


def batch_size(manifest: Mapping[str, Any]) -> int | None:
    """Mixtures of a training step; None where the command does not say it."""
    words = Manifest.of(manifest).flags.get(Flags.BATCH_SIZE, [])
    return int(words[0]) if len(words) == 1 and words[0].isdecimal() else None


def record(one: Variant) -> dict[str, Any]:
    """Returns the variant for JSON."""
    return {
        "value": one.value,
        "seeds": {str(seed): value for seed, value in one.seeds.items()},
        "mean": one.mean,
        "half_width": one.half_width,
        "parameters": one.parameters,
        "multiply_adds": one.multiply_adds,
        "step_seconds": one.step_seconds,
        "epoch_seconds": one.epoch_seconds,
    }


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def sizes(manifest: Mapping[str, Any], field: str, values: Sequence[str], kept: Path) -> list[Size]:
    """Returns `describe` of each variant; of the search's own architecture where a value is empty.

    What was described before is read from the file `kept`, because a large model takes a minute; so is the variant that
    is the search's own. Raises ResultError, and FolderError where it cannot be written.
    """
    known = _kept(kept)
    own = " ".join(described_words(manifest))
    found = []
    for value in values:
        words = described_words(manifest, field if value else "", value)
        key = " ".join(words)
        if key not in known:
            same = known.get(own)
            known[key] = same if same and str(same.configuration.get(field)) == value else describe(words)
            # After each: the next one may take a minute, or fail.
            write_whole(kept, [json.dumps({name: asdict(size) for name, size in known.items()}, indent=2)])
        found.append(known[key])
    return found


def _kept(path: Path) -> dict[str, Size]:
    try:
        return {key: checked(Size, value) for key, value in read_json(path).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
