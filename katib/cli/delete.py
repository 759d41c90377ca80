"""Deletes a search from the cluster once its results are on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.cluster import lifecycle, run_directories
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import deployed
from katib.backend.cluster.model import Search
from katib.backend.cluster.saving import Saving, saving
from katib.backend.cluster.searches import any_manifest
from katib.cli.options import Context, Name, Out, SiteFile, Yes
from katib.cli.searches import SearchName, confirm, say, site_of
from katib.cli.tables import tell
from katib.errors import ClusterError
from katib.site import Site
from katib.spec import search_name
from katib.table import export
from katib.terminal import print_words


def delete(
    model: SearchName,
    name: Name = None,
    out: Out = Path("runs"),
    runs: Annotated[
        bool, typer.Option("--runs", help="remove its checkpoints and summaries from the runs claim too")
    ] = False,
    unsaved: Annotated[
        bool, typer.Option("--unsaved", help="delete although epochs of some trials cannot be saved first")
    ] = False,
    site: SiteFile = None,
    context: Context = None,
    yes: Yes = False,
) -> None:
    """Write the trial table of MODEL to OUT, then delete the Experiment with its trials, Jobs and pods."""
    place = site_of(site)
    cluster = Cluster(place.namespace, context)
    experiment = name or search_name(model)
    if runs and deployed(cluster, experiment) is None:
        _delete_leftovers(cluster, place, experiment, yes=yes)
        return
    search = lifecycle.find(cluster, experiment)
    found = saving(cluster, search.name, say, context=context)
    tell(found.table.notes)
    if not unsaved:
        found.require_whole(f"experiment '{search.name}' is not deleted")
    _show(search, found, cluster, out, runs=runs)
    confirm("Delete?", yes)
    if any(row.state in ("Created", "Running") for row in found.table.rows):
        found = saving(cluster, search.name, say, context=context)  # epochs that ended while it was asked
        if not unsaved:
            found.require_whole(f"experiment '{search.name}' is not deleted")
    for path in export.write(found.table, out / search.name):
        print(f"written: {path}")
    lifecycle.delete(cluster, search)
    print("deleted")
    if runs:
        lifecycle.wait_until_gone(cluster, search)
        run_directories.remove(cluster, found.manifest, search.name)
        print("run directories removed")


def _show(search: Search, found: Saving, cluster: Cluster, out: Path, *, runs: bool) -> None:

    rows = found.table.rows
    active = sum(row.state in ("Created", "Running") for row in rows)
    print_words(f"delete: experiment '{search.name}' in namespace '{cluster.namespace}' on {cluster.server}")
    print_words(
        f"  {len(rows)} trials and their pods go, with their metrics in Katib's database; {active} of them still run"
    )
    gone = (
        "and all its run directories on the runs claim" if runs else "checkpoints and summaries on the runs claim stay"
    )
    print_words(f"  {gone}; its trial table is written to {out / search.name / export.JSON} and .csv first")
    for line in found.unsaved:
        print_words(f"  NOT saved: trial {line}; {found.why}")


def _delete_leftovers(cluster: Cluster, site: Site, experiment: str, *, yes: bool) -> None:
    """Removes the run directories of an experiment that is there no more."""
    manifest = any_manifest(site)
    say(f"experiment '{experiment}' is not there; looks at what it left on claim '{site.claims.runs}'")
    found = run_directories.read(cluster, manifest, experiment)
    if not found:
        raise ClusterError(
            f"there is neither an experiment '{experiment}' of ours in namespace '{cluster.namespace}'"
            f" nor a run directory of it on claim '{site.claims.runs}'"
        )
    size = sum(item.bytes for item in found)
    print_words(
        f"delete: {len(found)} run directories of '{experiment}' on claim '{site.claims.runs}', {size / 1e9:.2f} GB"
    )
    for item in found:
        print_words(f"  {item.trial}: {item.epochs} epochs, {item.state or 'no summary'}, {item.bytes / 1e6:.1f} MB")
    confirm("Delete?", yes)
    run_directories.remove(cluster, manifest, experiment)
    print_words("run directories removed")
