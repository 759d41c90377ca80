"""Prints the trials of an experiment, best on top."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from katib.backend.choice import choose_backend
from katib.cli.options import Context, Json, OfCluster, Out, SiteFile
from katib.cli.tables import tell, trial_table
from katib.conclude.remarks import remarks
from katib.errors import SepsweepError, nearest
from katib.table.formats import FORMATS, print_table, text
from katib.terminal import output


def results(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="name of the experiment")],
    out: Out = Path("runs"),
    format: Annotated[str, typer.Option("--format", help="table, markdown, csv or json")] = "table",
    cluster: OfCluster = False,
    site: SiteFile = None,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Print the trial table of EXPERIMENT; it may still be running."""
    if format not in FORMATS:
        raise SepsweepError(f"--format {format}: {nearest(format, FORMATS)}")
    table = trial_table(choose_backend(out, site, context, cluster=cluster), experiment)
    if as_json:
        format = "json"
    tell(remarks(table, metrics=format in ("csv", "json")))
    if format == "table":
        if table.rows:
            print_table(table, output())
    else:
        sys.stdout.writelines(text(table, format))  # type: ignore[arg-type]  # one of FORMATS
