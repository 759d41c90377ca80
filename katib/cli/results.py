"""Prints the trials of an experiment, best on top."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import Json, Out


def results(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="name of the experiment")],
    out: Out = Path("runs"),
    as_json: Json = False,
) -> None:
    """Print the trial table of EXPERIMENT; it may still be running."""
    import json

    from rich.console import Console

    from katib.results.table import read_table

    table = read_table(out, experiment)
    if as_json:
        print(json.dumps(table.records(), indent=2))
    else:
        table.print(Console())
