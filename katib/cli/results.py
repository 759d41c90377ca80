"""Prints the trials of an experiment, best on top."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import Context, Json, Out, SiteFile


def results(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="name of the experiment")],
    out: Out = Path("runs"),
    cluster: Annotated[
        bool, typer.Option("--cluster", help="of the cluster rather than of this machine")
    ] = False,
    site: SiteFile = None,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Print the trial table of EXPERIMENT; it may still be running."""
    import json

    from rich.console import Console

    from katib.results.local_table import read_table
    from katib.results.printed import print_table

    if cluster or context is not None:
        from katib.cli.searches import search_name, site_of
        from katib.cluster.client import Cluster
        from katib.results.cluster_table import cluster_table

        table = cluster_table(Cluster(site_of(site).namespace, context), search_name(experiment))
    else:
        table = read_table(out, experiment)
    if as_json:
        print(json.dumps(table.records(), indent=2))
    else:
        print_table(table, Console())
