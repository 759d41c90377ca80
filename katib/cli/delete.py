"""Deletes a search from the cluster once its results are on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.cluster import deleting, lifecycle
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import deployed
from katib.cli._bundles import Reached, bundled
from katib.cli.options import Name, Out, Yes
from katib.cli.searches import SearchName, confirm
from katib.cli.tables import tell
from katib.site import Site
from katib.spec import search_name
from katib.terminal import print_words, say


@bundled
def delete(
    reached: Reached,
    model: SearchName,
    name: Name = None,
    out: Out = Path("runs"),
    runs: Annotated[
        bool, typer.Option("--runs", help="remove its checkpoints and summaries from the runs claim too")
    ] = False,
    unsaved: Annotated[
        bool, typer.Option("--unsaved", help="delete although epochs of some trials cannot be saved first")
    ] = False,
    yes: Yes = False,
) -> None:
    """Writes the trial table of MODEL to OUT, then deletes the Experiment with its trials, Jobs and pods."""
    cluster = reached.cluster
    experiment = name or search_name(model)
    if runs and deployed(cluster, experiment) is None:
        _delete_leftovers(cluster, reached.described, experiment, yes=yes)
        return
    search = lifecycle.find_search(cluster, experiment)
    saved = deleting.save(cluster, search, say, context=reached.context, unsaved=unsaved)
    tell(saved.table.notes)
    print_words(*deleting.summary(cluster, search, saved, out, runs=runs))
    confirm("Delete?", yes)
    if deleting.unfinished(saved):  # epochs may have ended while the question was open
        saved = deleting.save(cluster, search, say, context=reached.context, unsaved=unsaved)
    deleting.delete(cluster, search, saved, out, say)
    say("deleted")
    if runs:
        deleting.remove_runs(cluster, search, saved)
        say("run directories removed")


def _delete_leftovers(cluster: Cluster, site: Site, experiment: str, *, yes: bool) -> None:
    """Removes the run directories of an experiment that was deleted."""
    say(f"experiment '{experiment}' does not exist; reads what it has left on claim '{site.claims.runs}'")
    directories = deleting.leftovers(cluster, site, experiment)
    print_words(*deleting.leftovers_summary(directories, site, experiment))
    confirm("Delete?", yes)
    deleting.remove_leftovers(cluster, site, experiment)
    say("run directories removed")
