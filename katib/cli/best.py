"""Prints the most promising configurations of a search, estimated from all its trials."""

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from katib.cli._bundles import Where, bundled
from katib.cli.options import MOST, Experiment, Json
from katib.cli.tables import tell, trial_table
from katib.conclude.confirmation import next_step, nothing_to_go_by
from katib.conclude.remarks import remarks
from katib.conclude.selection import candidates, seed_noise
from katib.report.candidates import print_candidates
from katib.terminal import print_words


@bundled
def best(
    where: Where,
    experiment: Experiment,
    top: Annotated[int, typer.Option(help="how many", min=1, max=MOST)] = 3,
    as_json: Json = False,
) -> int:
    """Prints the candidates of EXPERIMENT: the estimated mean over seeds, beside what its trial has reached."""
    backend = where.backend
    table = trial_table(backend, experiment)
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
        print_words(*next_step(table, where.out))
    return 0
