"""Trains the architectures of the next phase with the best settings: result against cost."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from katib.cli._follow import Data, Followed, How, OnCluster, Seeds, follow, numbers, table_here
from katib.cli.options import Context, Json, Model, Out, SiteFile, Yes
from katib.conclude import architecture
from katib.conclude.architecture import Variant, front, plan_architecture, record, sizes
from katib.conclude.confirmation import SEEDS, find_verdict
from katib.conclude.fixed_runs import Plan, experiment_name
from katib.errors import FolderError, ResultError, SpecError
from katib.files import write_whole
from katib.manifest.object import Manifest
from katib.report.pareto import AXES, page
from katib.spec import Architecture, load_spec, specs
from katib.spec_flags import require_next_phase
from katib.table.trial_table import TrialTable
from katib.terminal import print_rows, print_words
from katib.text import count, duration, short, with_unit
from katib.trial import Direction

SIZES, PLOT = "sizes.json", "pareto.html"


def arch(
    model: Model,
    experiment: Annotated[
        str | None, typer.Option(help="search whose best hyperparameters are used (default: the model's)")
    ] = None,
    data: Data = None,
    out: Out = Path("runs"),
    seeds: Seeds = None,
    cluster: OnCluster = False,
    site: SiteFile = None,
    context: Context = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Run each architecture of MODEL's next phase with three seeds, as an Experiment of its own.

    Then a table and a plot of the result against parameters, multiply-adds and step time. Started again it goes on;
    with --json it starts nothing.
    """

    spec = load_spec(model)
    phase = _next_phase(model)
    name = experiment or spec.name
    wanted = SEEDS if seeds is None else numbers(seeds)
    kept = out / name / SIZES
    notes: dict[str, None] = {}

    def make(table: TrialTable, manifest: Mapping[str, Any]) -> Plan:

        if table.model != spec.model:
            raise FolderError(
                f"experiment '{name}' is a search of {table.model or 'no model of ours'}, not of {spec.model}"
            )
        own = _own(manifest, phase, kept, notes)
        verdict = find_verdict(out, table)
        return plan_architecture(table, manifest, phase.field, phase.values, seeds=wanted, verdict=verdict, own=own)

    how = How(out=out, data=data, cluster=cluster, site=site, context=context, yes=yes, look=as_json)
    found = follow(name, "arch", make, _show, how)
    if seeds is not None and found.plan.seeds != wanted:
        print(f"note: '{found.name}' was planned with other seeds, and stays so", file=sys.stderr)
    try:
        made = _variants(found, kept, notes, out)
    finally:
        for note in notes:
            print(f"note: {note}", file=sys.stderr)
    if as_json:
        return _print_json(found, made)
    if all(one.mean is None for one in made) and not found.outstanding:
        raise ResultError(f"none of the runs of '{found.name}' ended with a value: {'; '.join(found.failures[:1])}")
    return _close(found, made, out)


def _next_phase(model: str) -> Architecture:

    spec = load_spec(model)
    require_next_phase(spec)
    phase = spec.next_phase
    if phase is None:
        having = [one for one in specs() if load_spec(one).next_phase is not None]
        raise SpecError(f"{model}: its spec names no next phase; those that have one: {', '.join(having)}")
    return phase


def _own(manifest: Mapping[str, Any], phase: Architecture, kept: Path, notes: dict[str, None]) -> int | None:
    """Returns the value that the search's own architecture has; None where the trainer cannot be asked."""
    try:
        (own,) = sizes(manifest, "", [""], kept)
    except ResultError as error:
        notes[str(error)] = None
        return None
    value = own.configuration.get(phase.field)
    return value if isinstance(value, int) else None


def _variants(found: Followed, kept: Path, notes: dict[str, None], out: Path) -> list[Variant]:

    field = found.plan.field
    values = [group.configuration[field] for group in found.plan.groups]
    try:
        known = list(architecture.sizes(found.manifest, field, values, kept))
    except ResultError as error:
        notes[str(error)] = None
        known = []
    batch = architecture.batch_size(found.manifest)
    confirmed = table_here(out, experiment_name(found.plan.search, "confirm"))
    before = (*found.before, *(confirmed.rows if confirmed else ()))
    return architecture.variants(found.plan, found.table, batch, known or [None] * len(values), before)


def _show(found: Followed) -> None:

    plan = found.plan
    known = sum(len(group.known) for group in plan.groups)
    again = f"; {count(known, 'run')} of the same architecture are there and count" if known else ""
    values = ", ".join(group.configuration[plan.field] for group in plan.groups)
    print_words(
        f"arch: experiment '{found.name}', {count(found.outstanding, 'run')}: {plan.field} {values}"
        f" with seeds {', '.join(map(str, plan.seeds))}{again}"
    )
    settings = {name: text for name, text in plan.groups[0].configuration.items() if name != plan.field}
    print_words(
        f"      the best of '{plan.search}': " + ", ".join(f"{name} {short(text)}" for name, text in settings.items())
    )


def _close(found: Followed, made: list[Variant], out: Path) -> int:

    plan = found.plan
    manifest = Manifest.of(found.manifest)
    metric, direction = manifest.metrics[0], manifest.direction
    seeds = [6] * len(plan.seeds)
    cells = [_cells(plan, one, made, metric, direction) for one in made]
    print_rows(_headings(plan, made), cells, [0, 1, 2, *seeds, 3, 4, 5, 7])
    for line in found.failures:
        print(f"failed: {line}", file=sys.stderr)
    if any(one.mean is not None for one in made):
        path = out / found.name / PLOT
        write_whole(path, [page(plan, made, metric, direction=direction)])
        print(f"written: {path}")
    if found.outstanding:
        print_words(f"{count(found.outstanding, 'run')} of {len(plan.words)} to go; the same command goes on")
    return found.code


def _headings(plan: Plan, made: list[Variant]) -> list[str]:
    measured = any(one.step_seconds is not None for one in made)
    return [
        plan.field,
        "mean",
        "+-",
        *(f"seed {seed}" for seed in plan.seeds),
        "parameters",
        "multiply-adds",
        "step" if measured else "epoch",
        "no other is better and cheaper in",
    ]


def _cells(plan: Plan, one: Variant, made: list[Variant], metric: str, direction: Direction) -> list[str]:
    """Returns `step` is an epoch by its training steps, validation included.

    An epoch where no run says how many steps it has.
    """
    time = one.step_seconds if any(other.step_seconds is not None for other in made) else one.epoch_seconds
    return [
        one.value,
        "" if one.mean is None else with_unit(one.mean, metric),
        "" if one.half_width is None else with_unit(one.half_width, metric),
        *(with_unit(one.seeds[seed], metric) if seed in one.seeds else "" for seed in plan.seeds),
        "" if one.parameters is None else f"{one.parameters:,}",
        "" if one.multiply_adds is None else f"{one.multiply_adds / 1e9:.3g} G",
        "" if time is None else f"{1e3 * time:.3g} ms" if time < 1 else duration(time),
        ", ".join(AXES[cost][0].split(",")[0] for cost in AXES if one in front(made, cost, direction=direction)),
    ]


def _print_json(found: Followed, made: list[Variant]) -> int:

    told = {
        "experiment": found.name,
        "search": found.plan.search,
        "field": found.plan.field,
        "variants": [record(one) for one in made],
        "runs_to_go": found.outstanding,
    }
    print(json.dumps(told, indent=2))
    return 0
