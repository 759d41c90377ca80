"""Starts the search of a model on the cluster."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.cluster import deploying
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import DeployDiff
from katib.backend.cluster.searches import manifests
from katib.cli.options import MOST, Context, Epochs, Name, Out, Parallel, Preset, SiteFile, Trials, Yes
from katib.cli.searches import Models, confirm, print_results, say, site_of
from katib.manifest.render import Overrides
from katib.site import Site
from katib.terminal import print_words


def deploy(
    model: Models,
    preset: Preset = None,
    name: Name = None,
    trials: Trials = None,
    epochs: Epochs = None,
    parallel: Parallel = None,
    site: SiteFile = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="stop after the server's dry run")] = False,
    wait: Annotated[int, typer.Option(help="seconds to wait for the first trial to train", min=0, max=MOST)] = 600,
    out: Out = Path("runs"),
    anew: Annotated[bool, typer.Option("--anew", help="continue nothing of a search that was deleted")] = False,
) -> None:
    """Check the search of MODEL and the cluster, show what changes, ask, apply, and wait for the first trial.

    A search that has failed or was stopped continues from its run directories, and so does one that was deleted where
    OUT has its table.
    """
    place = site_of(site)
    overrides = Overrides(preset=preset, name=name, trials=trials, epochs=epochs, parallel=parallel)
    wanted = manifests(model, place, overrides)
    cluster = Cluster(place.namespace, context)
    diffs = deploying.prepare(cluster, wanted, out, say, anew=anew)
    apply(cluster, place, diffs, yes=yes, dry_run=dry_run, wait=wait, out=out, context=context)


def apply(
    cluster: Cluster,
    site: Site,
    diffs: list[DeployDiff],
    *,
    yes: bool,
    dry_run: bool = False,
    wait: int = 0,
    out: Path = Path("runs"),
    context: str | None = None,
) -> None:
    """Examines the cluster, shows what changes, asks, applies it, and waits at most `wait` seconds for the first trial.

    Deploys what confirm and arch have planned as well.
    """
    due = [item for item in diffs if item.action != "nothing"]
    for item in diffs:
        if item.action == "nothing":
            print_words(*deploying.unchanged(cluster, item), indent=4)
    if not due:
        return
    results = deploying.examined(cluster, site, due)
    print_results(results, all_of_them=False)
    deploying.require_fit(results)
    for item in due:
        deploying.try_out(cluster, item)
        print_words(*deploying.summary(cluster, item, out), indent=4)
    if dry_run:
        return
    confirm("Apply?", yes)
    deploying.apply(cluster, due, out, say, wait=wait, context=context)
    print("watch it with: make status, or python -m katib status -w")
