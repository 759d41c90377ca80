"""What searches will take: runs, GPU-hours, days and money, beside what has been used."""

import json
from pathlib import Path
from typing import Annotated

import typer

from katib.backend.base import Backend
from katib.backend.choice import choose_backend
from katib.budget.estimate import ASSUMED_SAVING, BudgetEstimate, ModelEstimate
from katib.budget.estimate import plan as planned
from katib.cli.options import MOST, Context, Json, OfCluster, Out, Parallel, SiteFile
from katib.cli.searches import site_of
from katib.cli.tables import tell, trial_table
from katib.errors import SepsweepError
from katib.spec import Spec, load_spec, models
from katib.table.trial_table import TrialTable
from katib.terminal import output, print_rows


def plan(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="one search; default: the four of Series 3 together")
    ] = "all",
    gpus: Annotated[int, typer.Option(help="GPUs that trials share", min=1, max=MOST)] = 1,
    price: Annotated[float | None, typer.Option(help="of a GPU-hour, in any currency", min=0.0, max=MOST)] = None,
    parallel: Parallel = None,
    out: Out = Path("runs"),
    cluster: OfCluster = False,
    site: SiteFile = None,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Show what the search of MODEL will take at most and by expectation, and what it has taken so far."""

    place = site_of(site)
    specs = [load_spec(one) for one in models(model)]
    tables = _tables(choose_backend(out, site, context, cluster=cluster), specs)
    unit = next((found.device for found in tables.values() if any(row.gpu_hours for row in found.rows)), "GPU")
    made = planned(
        specs,
        tables,
        gpus=gpus,
        gpus_per_trial=place.resources.gpus,
        site_parallel=place.parallel_trials,
        price=price,
        parallel=parallel,
    )
    if as_json:
        print(json.dumps(made.record() | {"unit": f"{unit}-hours"}, indent=2))
    else:
        _print(made, place.parallel_trials, unit)


def _tables(backend: Backend, specs: list[Spec]) -> dict[str, TrialTable]:
    """Returns the tables of those `specs` that have been run with their own settings, by name of experiment."""
    found, notes = {}, []
    for spec in specs:
        try:
            if not backend.has(spec.name):
                continue
            table = trial_table(backend, spec.name)
        except SepsweepError as error:
            notes.append(f"what has been used is not known: {error}")
            continue
        if table.spec != spec or table.budget is None or table.budget.epochs != spec.epochs:
            notes.append(
                f"experiment '{spec.name}' was run with other settings than its spec has; its trials are not counted"
            )
            continue
        if len(specs) > 1 and table.device == "process" and any(row.gpu_hours for row in table.rows):
            notes.append(
                f"experiment '{spec.name}' ran on processors, whose hours are not those of a GPU; they are not counted here"
                f" (python -m katib plan {spec.model} has them)"
            )
            continue
        found[spec.name] = table
    tell(dict.fromkeys(notes))  # a cluster that is away is away for all of them
    return found


def _print(made: BudgetEstimate, site_parallel: int, unit: str) -> None:

    used = any(model.used.ended or model.used.running for model in made.models)
    headings = [
        "search",
        "runs",
        "epochs",
        "s an epoch",
        f"{unit}-hours at most",
        "with patience",
        "and early stopping",
    ]
    rows = [_cells(model, used=used) for model in made.models]
    if len(made.models) > 1:
        runs = sum(model.spec.trials for model in made.models)
        hours = (made.gpu_hours, made.gpu_hours_patience, made.gpu_hours_stopping)
        rows.append(["together", str(runs), "", "", *(f"{value:.1f}" for value in hours)])
        if used:
            ended, running = (sum(getattr(model.used, name) for model in made.models) for name in ("ended", "running"))
            rows[-1] += [f"{made.gpu_hours_used:.1f}", str(ended), str(running)]
    out = output()
    ranks = [0, 1, 7, 8, 2, 5, 6]
    if used:
        headings, ranks = [*headings, "used", "ended", "running"], [*ranks, 3, 4, 4]
    print_rows(headings, rows, ranks, out=out)
    for sentence in _sentences(made, site_parallel, unit):
        out.words(sentence, indent=2)


def _cells(model: ModelEstimate, *, used: bool) -> list[str]:
    cells = [
        model.spec.name,
        str(model.spec.trials),
        str(model.spec.epochs),
        f"{3600 * model.hours_per_epoch / model.gpus:.4g}",
        f"{model.gpu_hours:.1f}",
        f"{model.gpu_hours_patience:.1f}",
        f"{model.gpu_hours_stopping:.1f}",
    ]
    if used:
        cells += [f"{model.used.gpu_hours:.1f}", str(model.used.ended), str(model.used.running)]
    return cells


def _sentences(made: BudgetEstimate, site_parallel: int, unit: str) -> list[str]:
    """Days and money, of searches that are over what they took.

    `unit` is whose hours they are, a GPU's or a process's.
    """
    if made.over:
        ended, spent = sum(model.used.ended for model in made.models), made.gpu_hours_used
        cost = "" if made.price is None else f", {spent * made.price:.2f} at {made.price:g} a {unit}-hour"
        return [f"all {ended} trials have ended, after {spent:.1f} {unit}-hours{cost}"]
    gpus = f"{made.gpus} {unit}" + ("" if made.gpus == 1 else "s" if unit == "GPU" else "es")
    lines = [
        f"at most {made.gpu_hours:.1f} {unit}-hours, about {made.gpu_hours_patience:.1f} expected with patience,"
        f" {made.gpu_hours_stopping:.1f} with early stopping as well",
        f"on {gpus}: at most {_time(made.days)}, {_time(made.days_patience)} with patience,"
        f" {_time(made.days_stopping)} with early stopping as well",
    ]
    if made.gpu_hours_used:
        lines.append(f"left: {_time(made.days_left)}")
    if made.price is not None:
        hours = (made.gpu_hours, made.gpu_hours_patience, made.gpu_hours_stopping, made.gpu_hours_used)
        most, patient, stopping, spent = (value * made.price for value in hours)
        lines.append(
            f"at {made.price:g} a {unit}-hour: at most {most:.2f}, {patient:.2f} with patience, {stopping:.2f} with early"
            f" stopping as well" + (f", of which {spent:.2f} is spent" if spent else "")
        )
    narrow, wide = made.days_site, made.days
    if made.gpu_hours_used:
        narrow, wide = made.days_left_site, made.days_left
    if unit == "GPU" and narrow > wide * 1.005:
        left = " left" if made.gpu_hours_used else ""
        lines.append(
            f"with parallel_trials {site_parallel} of the site: {_time(narrow)}{left}, because a search then leaves GPUs"
            f" idle at its end; deploy with PARALLEL={made.models[0].parallel}"
        )
    return lines + _grounds(made)


def _grounds(made: BudgetEstimate) -> list[str]:
    """Returns what the numbers rest on."""
    lines = []
    guessed = [model.spec.name for model in made.models if not model.measured]
    known = [f"{model.spec.name} ({model.measured})" for model in made.models if model.measured]
    if guessed:
        lines.append(
            f"estimates: hours_per_run and epochs_with_patience of the spec, and {ASSUMED_SAVING:.0%} of the epochs behind the"
            f" first look saved by early stopping (docs/results.md): {', '.join(guessed)}"
        )
        left = [f"{model.spec.name} {_left(model)}" for model in made.models if not model.measured]
        lines.append(f"epochs that patience leaves: {', '.join(left)}")
    if known:
        lines.append(f"from ended trials: {', '.join(known)}")
    return lines


def _left(model: ModelEstimate) -> str:
    spec = model.spec
    unknown = "" if spec.epochs_with_patience else ", for nothing is known"
    return f"{model.epochs_patience:g} of {spec.epochs}{unknown}"


def _time(days: float) -> str:
    return f"{days:.1f} days" if days >= 1 else f"{24 * days:.1f} h"
