"""Writes the report of an experiment as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import Context, Out, SiteFile


def report(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="name of the experiment")],
    out: Out = Path("runs"),
    cluster: Annotated[
        bool, typer.Option("--cluster", help="of the cluster rather than of this machine")
    ] = False,
    site: SiteFile = None,
    context: Context = None,
) -> None:
    """Write OUT/EXPERIMENT/report.html, which opens without network; the experiment may still be running."""
    from katib.results.confirmation import find_verdict
    from katib.results.local_table import read_table
    from katib.results.report.audio import listen
    from katib.results.report.page import page, write
    from katib.results.report.summary import conclude

    if cluster or context is not None:
        from katib.cli.searches import search_name, site_of
        from katib.cluster.client import Cluster
        from katib.results.cluster_table import cluster_table

        table = cluster_table(Cluster(site_of(site).namespace, context), search_name(experiment))
    else:
        table = read_table(out, experiment)
    where = "" if out == Path("runs") else f" OUT={out}"
    folder = out / table.identity.name
    runs = folder / table.best.trial if table.best and table.backend == "local" else None
    conclusion = conclude(table, find_verdict(out, table.identity.name), where)
    file = write(page(table, conclusion, listen(table.best, runs), where), folder)
    print(f"{conclusion.sentence}\n{file}: {file.stat().st_size / 1e6:.1f} MB")
