"""Starts the search of a model on the cluster."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deployment import Deployment, compare
from katib.backend.cluster.searches import manifests
from katib.cli.options import MOST, Context, Epochs, Name, Out, Parallel, Preset, SiteFile, Trials, Yes
from katib.cli.searches import Models, go_ahead, site_of
from katib.manifest.render import Overrides


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
    diffs = compare(cluster, wanted, out, anew=anew)
    deployment = Deployment(cluster, place, diffs, out, context, wait)
    if dry_run or not deployment.due:
        deployment.show()
    else:
        go_ahead(deployment, yes)
