"""Trains the best configurations further, from their checkpoints."""

import json
from typing import Annotated

import typer

from katib.cli._bundles import Where, bundled
from katib.cli._declared import command_spec, declared, require_named_model
from katib.cli.options import MOST, Data, Experiment, Json, Notify, Yes
from katib.cli.searches import go_ahead
from katib.cli.tables import tell, trial_table
from katib.conclude.extension import base_of, plan_extension, require_going_on
from katib.conclude.follow_up import find, prepare, propose, search_manifest
from katib.conclude.stages import search_of
from katib.report.extension import print_outcome, print_plan, record


@bundled
def extend(
    where: Where,
    experiment: Experiment,
    epochs: Annotated[int, typer.Option(help="epochs to train to, in all", min=1, max=MOST)],
    data: Data = None,
    top: Annotated[int | None, typer.Option(help="how many configurations (default: 1)", min=1, max=MOST)] = None,
    notify: Notify = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Trains the best configurations of EXPERIMENT to more epochs, as an Experiment of its own.

    The checkpoints of the search stay as they are. The same command resumes it, and says how far it is; with --json it
    starts nothing.
    """
    backend = where.telling(notify)
    name = search_of(backend, experiment)
    named = None
    if spec := command_spec(experiment):
        require_going_on(spec)
        named = declared(where, spec, experiment)
    table, manifest = trial_table(backend, name), named or search_manifest(backend, name)
    follow_up = find(backend, base_of(manifest, name), "extend", epochs)
    if follow_up is None or not (as_json or backend.settled(follow_up.name)):
        plan, refused = plan_extension(table, manifest, epochs, top or 1)
        tell(f"{problem}; it stays as it is" for problem in refused)
        follow_up = propose(plan, manifest, follow_up)
    else:
        tell(follow_up.plan.deviations(top=top))
    if not where.cluster:
        require_named_model(follow_up.manifest, experiment)
    if not as_json and (run := prepare(backend, follow_up, data, named)) is not None:
        print_plan(follow_up)
        follow_up = follow_up.after(go_ahead(run, yes))
    if as_json:
        print(json.dumps(record(follow_up), indent=2))
        return 0
    return print_outcome(follow_up)
