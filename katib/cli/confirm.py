"""Trains the best configurations with three seeds, to see whether they beat the baseline."""

import json
from typing import Annotated

import typer

from katib.cli._bundles import Where, bundled
from katib.cli._declared import command_spec, declared, require_named_model
from katib.cli.options import (
    MOST,
    Data,
    Experiment,
    Json,
    Notify,
    Seeds,
    Yes,
    seeds_of,
    train_limit_of,
    values_by_seed,
)
from katib.cli.searches import go_ahead
from katib.cli.tables import tell, trial_table
from katib.conclude.confirmation import SEEDS, conclude, keep, other_size, plan_confirmation
from katib.conclude.follow_up import find, prepare, propose, search_manifest
from katib.conclude.stages import search_of
from katib.report.confirmation import print_outcome, print_plan, record
from katib.spec import ENDINGS, load_spec


@bundled
def confirm(
    where: Where,
    experiment: Experiment,
    data: Data = None,
    seeds: Seeds = None,
    top: Annotated[int, typer.Option(help="how many configurations", min=1, max=MOST)] = 3,
    baseline: Annotated[str, typer.Option(help="values to beat by seed, 42=3.01,123=2.87 (default: the spec's)")] = "",
    train_limit: Annotated[
        str | None, typer.Option(help="mixtures to train on, or all (default: the search's)")
    ] = None,
    notify: Notify = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Runs the best configurations of EXPERIMENT with each seed, as an Experiment of its own, and states the verdict.

    The same command resumes it, and says how far it is; with --json it starts nothing. With TRAIN_LIMIT it shows
    whether what won still wins on more mixtures.
    """
    wanted, to_beat, size = seeds_of(seeds), values_by_seed(baseline), train_limit_of(train_limit)
    backend = where.telling(notify)
    name = search_of(backend, experiment)
    spec = command_spec(experiment)
    named = declared(where, spec, experiment) if spec else None
    if size is not None:
        size = other_size(search_manifest(backend, name), size)
    # A stage of few mixtures has no baseline; its spec has one, of the whole corpus.
    beaten = load_spec(experiment) if size == "all" and experiment.endswith(ENDINGS) else spec
    if to_beat is None and beaten and beaten.baseline:
        to_beat = beaten.baseline.seeds
    follow_up = find(backend, name, "confirm", size)
    if follow_up is None or not (as_json or backend.settled(follow_up.name)):
        table, manifest = trial_table(backend, name), named or search_manifest(backend, name)
        plan = plan_confirmation(table, manifest, seeds=wanted or SEEDS, top=top, baseline=to_beat, train_limit=size)
        follow_up = propose(plan, manifest, follow_up)
    if not where.cluster:
        require_named_model(follow_up.manifest, experiment)
    if not as_json and (run := prepare(backend, follow_up, data, named)) is not None:
        print_plan(follow_up)
        follow_up = follow_up.after(go_ahead(run, yes))
    tell(follow_up.plan.deviations(wanted, to_beat))
    verdict = conclude(follow_up.plan, follow_up.table)
    elsewhere = follow_up.table is not None and not follow_up.table.venue.run_directories
    if verdict is not None and size is None and elsewhere:
        keep(where.out, name, verdict)
    if as_json:
        print(json.dumps(record(follow_up, verdict), indent=2))
        return 0
    return print_outcome(follow_up, verdict)
