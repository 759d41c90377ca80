"""Prints the most promising configurations of a search, estimated from all its trials."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from katib.backend.choice import choose_backend
from katib.cli.options import MOST, Context, Json, OfCluster, Out, SiteFile
from katib.cli.tables import tell, trial_table
from katib.conclude.confirmation import next_step, nothing_to_go_by
from katib.conclude.remarks import remarks
from katib.conclude.selection import candidates, seed_noise
from katib.report.candidates import print_candidates
from katib.spec import search_name
from katib.terminal import print_words


def best(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="name of the experiment, or a model")],
    out: Out = Path("runs"),
    top: Annotated[int, typer.Option(help="how many", min=1, max=MOST)] = 3,
    cluster: OfCluster = False,
    site: SiteFile = None,
    context: Context = None,
    as_json: Json = False,
) -> int:
    """Print the candidates of EXPERIMENT: what each is estimated to reach over seeds, beside what its trial reached."""
    name = search_name(experiment)
    table = trial_table(choose_backend(out, site, context, cluster=cluster), name)
    noise = seed_noise(table)
    found = candidates(table, top, noise)
    if as_json:
        print(json.dumps([asdict(candidate) for candidate in found], indent=2))
    if not found:
        print(f"error: {nothing_to_go_by(table)}", file=sys.stderr)
        return 1
    if not as_json:
        print_candidates(table, found, noise)
        tell(remarks(table))
        print_words(*next_step(table, out))
    return 0
