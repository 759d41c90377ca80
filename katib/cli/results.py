"""Prints the trials of an experiment, best on top."""

import sys
from typing import Annotated

import typer

from katib.cli._bundles import Where, bundled
from katib.cli.options import Experiment, Json
from katib.cli.tables import tell, trial_table
from katib.conclude.remarks import remarks
from katib.errors import SepsweepError, nearest
from katib.table.formats import FORMATS, print_table, text
from katib.terminal import output


@bundled
def results(
    where: Where,
    experiment: Experiment,
    format: Annotated[str, typer.Option("--format", help="table, markdown, csv or json")] = "table",
    as_json: Json = False,
) -> None:
    """Prints the trial table of EXPERIMENT; it may still be running."""
    if format not in FORMATS:
        raise SepsweepError(f"--format {format}: {nearest(format, FORMATS)}")
    table = trial_table(where.backend, experiment)
    if as_json:
        format = "json"
    tell(remarks(table, metrics=format in ("csv", "json")))
    if format == "table":
        if table.rows:
            print_table(table, output())
    else:
        sys.stdout.writelines(text(table, format))  # type: ignore[arg-type]  # one of FORMATS
