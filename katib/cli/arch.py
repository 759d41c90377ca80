"""Trains the architectures of the next phase with the best settings: result against cost."""

import json
from typing import Annotated

import typer

from katib.cli._bundles import Where, bundled
from katib.cli._declared import command_spec, declared, require_named_model
from katib.cli.options import Data, Json, Model, Notify, Seeds, Yes, seeds_of
from katib.cli.searches import go_ahead
from katib.cli.tables import tell, trial_table
from katib.conclude.architecture import (
    chosen,
    own_value,
    plan_architecture,
    require_architectures,
    require_model,
    require_phase,
    swept,
)
from katib.conclude.confirmation import SEEDS, find_verdict
from katib.conclude.follow_up import find, prepare, propose, search_manifest
from katib.conclude.sizes import SIZES
from katib.conclude.stages import search_of
from katib.errors import SpecError
from katib.report.architecture import print_outcome, print_plan, record
from katib.spec import load_spec


@bundled
def arch(
    where: Where,
    model: Model,
    experiment: Annotated[
        str | None, typer.Option(help="search whose best hyperparameters are used (default: the model's)")
    ] = None,
    data: Data = None,
    seeds: Seeds = None,
    notify: Notify = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Runs each architecture of MODEL's next phase with three seeds, as an Experiment of its own.

    Then a table and a plot of the result against parameters, multiply-adds and step time. The same command resumes it;
    with --json it starts nothing.
    """
    spec, phase, wanted = load_spec(model), require_phase(model), seeds_of(seeds)
    backend, named = where.telling(notify), None
    name = search_of(backend, experiment) if experiment else spec.name
    kept, problems = where.out / name / SIZES, []
    if own_spec := command_spec(model):
        if name != own_spec.name:
            raise SpecError(
                f"--experiment {name}: {model} declares the command of '{own_spec.name}' alone; leave it out"
            )
        named = declared(where, own_spec, model, phase.field)
    follow_up = find(backend, name, "arch")
    if follow_up is None or not (as_json or backend.settled(follow_up.name)):
        table, manifest = trial_table(backend, name), named or search_manifest(backend, name)
        require_model(table, spec.model)
        require_named_model(manifest, model)
        verdict, runs = find_verdict(where.out, table), wanted or SEEDS
        own, problem = own_value(spec, manifest, chosen(table, verdict), phase.field, kept)
        problems.append(problem)
        plan = plan_architecture(table, manifest, phase.field, phase.texts, seeds=runs, verdict=verdict, own=own)
        require_architectures(plan, manifest, kept)
        follow_up = propose(plan, manifest, follow_up)
    require_named_model(follow_up.manifest, model)
    if not as_json and (run := prepare(backend, follow_up, data, named)) is not None:
        print_plan(follow_up)
        follow_up = follow_up.after(go_ahead(run, yes))
    tell(follow_up.plan.deviations(wanted))
    variants, problem = swept(backend, follow_up, kept)
    tell(dict.fromkeys(filter(None, [*problems, problem])))
    if as_json:
        print(json.dumps(record(follow_up, variants), indent=2))
        return 0
    return print_outcome(follow_up, variants, where.out)
