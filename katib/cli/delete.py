"""Deletes a search from the cluster, after its results are on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import Context, Name, Out, SiteFile, Yes
from katib.cli.searches import SearchName


def delete(
    model: SearchName,
    name: Name = None,
    out: Out = Path("runs"),
    runs: Annotated[
        bool, typer.Option("--runs", help="remove its checkpoints and summaries from the runs claim too")
    ] = False,
    site: SiteFile = None,
    context: Context = None,
    yes: Yes = False,
) -> None:
    """Write the trial table of MODEL to OUT, then delete the Experiment with its trials, Jobs and pods."""
    import sys

    from katib.cli.searches import confirm, search_name, site_of
    from katib.cluster import lifecycle
    from katib.cluster.client import Cluster
    from katib.results import export
    from katib.results.cluster_table import cluster_table

    place = site_of(site)
    cluster = Cluster(place.namespace, context)
    search = lifecycle.find(cluster, name or search_name(model))
    table = cluster_table(cluster, search.name, context=context)
    for note in table.notes:
        print(f"note: {note}", file=sys.stderr)
    active = sum(row.state in ("Created", "Running") for row in table.rows)
    print(f"delete: experiment '{search.name}' in namespace '{place.namespace}' on {cluster.server}")
    print(
        f"  {len(table.rows)} trials and their pods go, with their metrics in Katib's database; {active} of them still run"
    )
    gone = (
        "and all its run directories on the runs claim"
        if runs
        else "checkpoints and summaries on the runs claim stay"
    )
    print(f"  {gone}; its trial table is written to {out / search.name / export.JSON} and .csv first")
    confirm("Delete?", yes)
    for path in export.write(table, out / search.name):
        print(f"written: {path}")
    lifecycle.delete(cluster, search)
    print("deleted")
    if runs:
        lifecycle.wait_until_gone(cluster, search)
        lifecycle.clean_runs(cluster, place, search.name)
        print("run directories removed")
