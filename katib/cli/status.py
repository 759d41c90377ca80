"""What runs on the cluster: searches and their trials, live."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from katib.cli.options import Context, Json, SiteFile

if TYPE_CHECKING:
    from katib.cluster.client import Cluster

LOG_SECONDS = 10.0
"""The shortest time between two readings of the logs, for which there is no watch."""


def status(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="model or experiment; default: all of ours")
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="go on showing it, until Ctrl-C")] = False,
    site: SiteFile = None,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Show the searches of the namespace with every trial: epoch, SI-SNR, node, GPU-hours, and why one failed or waits."""
    import json

    from rich.console import Console

    from katib.cli.searches import search_name, site_of
    from katib.cluster.client import Cluster
    from katib.cluster.status import Curves, look
    from katib.cluster.view import print_progress, records

    cluster = Cluster(site_of(site).namespace, context)
    name = search_name(model) if model else None
    if watch:
        _watch(cluster, name)
        return
    found = look(cluster, Curves(), name)
    if as_json:
        print(json.dumps(records(found), indent=2))
    else:
        print_progress(found, Console(), cluster.namespace)


def _watch(cluster: "Cluster", name: str | None) -> None:
    """Follows the API server by watches; goes on showing the last state where the server is away."""
    from contextlib import suppress

    from rich.console import Console
    from rich.live import Live

    from katib.cluster.mirror import Mirror
    from katib.cluster.status import SELECTORS, Curves
    from katib.cluster.view import print_progress, table

    console, curves = Console(), Curves()
    selectors = dict(SELECTORS)
    with suppress(KeyboardInterrupt), Mirror(cluster, selectors) as mirror:
        while not mirror.complete and mirror.problem is None:
            mirror.wait(LOG_SECONDS)
        if not mirror.complete and mirror.problem is not None:
            raise mirror.problem
        if not console.is_terminal:
            while True:
                print_progress(
                    _progress(cluster, mirror, curves, name), console, cluster.namespace, mirror.problem
                )
                mirror.wait(LOG_SECONDS * 6)
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                found = _progress(cluster, mirror, curves, name)
                live.update(table(found, console, cluster.namespace, mirror.problem), refresh=True)
                mirror.wait(LOG_SECONDS)


def _progress(cluster: "Cluster", mirror: Any, curves: Any, name: str | None) -> Any:
    from katib.cluster.status import progress

    return progress(cluster, mirror.objects(), curves, name)
