"""What searches will take: runs, GPU-hours, days and money, beside what has been used."""

import json
from pathlib import Path
from typing import Annotated

import typer

from katib.backend.base import Backend
from katib.budget.estimate import plan as planned
from katib.budget.record import record
from katib.budget.view import print_estimate
from katib.cli._bundles import Where, bundled
from katib.cli.options import MOST, Json, Parallel
from katib.cli.tables import tell, trial_table
from katib.corpus_checks import corpus_line, folder_line
from katib.errors import SepsweepError
from katib.manifest.object import Manifest
from katib.report.provenance import corpus_of
from katib.site import load_site, with_gpus
from katib.spec import Spec, load_spec, models, stages_of
from katib.table.origin import fits
from katib.table.trial_table import TrialTable
from katib.terminal import print_words


@bundled
def plan(
    where: Where,
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="one search; default: the four of Series 3 together")
    ] = "all",
    gpus: Annotated[int, typer.Option(help="GPUs that trials share", min=1, max=MOST)] = 1,
    price: Annotated[float | None, typer.Option(help="of a GPU-hour, in any currency", min=0.0, max=MOST)] = None,
    parallel: Parallel = None,
    data: Annotated[Path | None, typer.Option(help="folder of the corpus, to say whether it was checked")] = None,
    as_json: Json = False,
) -> None:
    """Shows what the search of MODEL will take at most and by expectation, and what it has taken so far."""
    site = load_site(where.site)
    specs = [search for one in models(model) for search in stages_of(load_spec(one))]
    tables = _tables(where.backend, specs, alone=len(models(model)) == 1)
    unit = next((found.device for found in tables.values() if any(row.gpu_hours for row in found.rows)), "GPU")
    estimate = planned(
        specs,
        tables,
        gpus=gpus,
        gpus_per_trial={spec.name: with_gpus(site, spec.gpus).resources.gpus for spec in specs},
        trials_per_gpu=site.resources.trials_per_gpu,
        site_parallel=site.parallel_trials,
        price=price,
        parallel=parallel,
    )
    if as_json:
        print(json.dumps(record(estimate) | {"unit": f"{unit}-hours"}, indent=2))
    else:
        print_estimate(estimate, site.parallel_trials, unit)
        of_runs = [corpus_line(where.out, corpus_of(table)) for table in tables.values()]
        trained = any(spec.command is None for spec in specs)
        first = [_before(where, data)] if trained and (data or not any(of_runs)) else []
        print_words(*filter(None, dict.fromkeys([*first, *of_runs])), indent=2)


def _before(where: Where, data: Path | None) -> str:
    """Returns what is known of the corpus on which a search would begin; empty where no place of it is known.

    Raises FolderError where the folder `data` has no corpus.
    """
    if data is not None:
        from katib.backend.local.launch import require_corpus  # loads what runs trials

        require_corpus(data)
        return folder_line(where.out, data)
    try:
        return where.backend.corpus_check()
    except SepsweepError:
        return ""  # that the cluster is away was said with the tables


def _tables(backend: Backend, specs: list[Spec], *, alone: bool) -> dict[str, TrialTable]:
    """Returns the tables of those `specs` that have been run with their own settings, by name of experiment."""
    found, notes = {}, []
    for spec in specs:
        try:
            if not backend.has(spec.name):
                continue
            table = trial_table(backend, spec.name)
        except SepsweepError as error:
            notes.append(f"what has been used so far is unknown: {error}")
            continue
        if not fits(spec, Manifest(table.identity.spec)) or table.budget is None or table.budget.epochs != spec.epochs:
            notes.append(
                f"experiment '{spec.name}' was run with settings that its spec does not have; its trials are not "
                "counted"
            )
            continue
        if not alone and table.device == "process" and any(row.gpu_hours for row in table.rows):
            notes.append(
                f"experiment '{spec.name}' ran on processors, whose hours are not those of a GPU; they are not "
                f"counted here (python -m katib plan {spec.trained} has them)"
            )
            continue
        found[spec.name] = table
    tell(dict.fromkeys(notes))  # a cluster that is away is away for all of them
    return found
