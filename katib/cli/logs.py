"""Prints what a trial on the cluster has printed."""

from contextlib import suppress
from typing import Annotated

import typer

from katib.backend.cluster import logs as source
from katib.cli._bundles import Reached, bundled
from katib.terminal import say


@bundled
def logs(
    reached: Reached,
    trial: Annotated[str, typer.Argument(metavar="TRIAL", help="name of the trial, as status shows it")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="follow new lines and new pods until it ends")] = False,
) -> None:
    """Prints the log of TRIAL, from whichever container has it."""
    cluster = reached.cluster
    with suppress(KeyboardInterrupt):
        for line in source.follow(cluster, trial) if follow else source.read(cluster, trial):
            say(line)
