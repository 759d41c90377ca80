"""Prints what a trial on the cluster has printed."""

from contextlib import suppress
from typing import Annotated

import typer

from katib.backend.cluster import logs as source
from katib.backend.cluster.client import Cluster
from katib.cli.options import Context, SiteFile
from katib.cli.searches import site_of
from katib.terminal import say


def logs(
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="name of the trial, as status shows it")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="follow new lines and new pods until it ends")] = False,
    site: SiteFile = None,
    context: Context = None,
) -> None:
    """Print the log of TRIAL, from whichever container has it."""
    cluster = Cluster(site_of(site).namespace, context)
    with suppress(KeyboardInterrupt):
        for line in source.follow(cluster, trial) if follow else source.read(cluster, trial):
            say(line)
