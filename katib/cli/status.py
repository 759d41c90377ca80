"""Shows what runs on the cluster: searches and their trials, live."""

import json
import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.status import SELECTORS, Curves, look, progress
from katib.backend.cluster.view import PAGE_SECONDS, print_progress, records, screen
from katib.cli.options import Context, Json, SiteFile
from katib.cli.searches import site_of
from katib.spec import search_name
from katib.terminal import MARGIN, assembled, output

LOG_SECONDS = 10.0
"""The shortest time between two readings of the logs, for which there is no watch."""


def status(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="model or experiment; default: all of ours")] = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="go on showing it, until Ctrl-C")] = False,
    site: SiteFile = None,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Show the searches of the namespace with every trial: epoch, value, node, GPU-hours, and why one failed or waits."""

    cluster = Cluster(site_of(site).namespace, context)
    name = search_name(model) if model else None
    if watch:
        _watch(cluster, name)
        return
    found = look(cluster, Curves(), name)
    if as_json:
        print(json.dumps(records(found), indent=2))
    else:
        print_progress(found, output(), cluster.namespace)


def _watch(cluster: Cluster, name: str | None) -> None:
    """Follows the API server by watches; keeps showing the last state where the server is away."""
    from rich.console import Group
    from rich.live import Live

    out, curves = output(), Curves()
    selectors = dict(SELECTORS)
    with suppress(KeyboardInterrupt), Informer(cluster, selectors) as informer:
        while not informer.complete and informer.problem is None:
            informer.wait(LOG_SECONDS)
        if not informer.complete and informer.problem is not None:
            raise informer.problem
        if not out.live:
            while True:
                found = _progress(cluster, informer, curves, name)
                print_progress(found, out, cluster.namespace, informer.problem)
                informer.wait(LOG_SECONDS * 6)
        begin = time.monotonic()
        with Live(console=out.console, auto_refresh=False, vertical_overflow="crop") as live:
            while True:
                found, page = _progress(cluster, informer, curves, name), time.monotonic() - begin
                width, height = out.size
                made = screen(
                    found,
                    width - MARGIN,
                    height - 1,
                    cluster.namespace,
                    informer.problem,
                    int(page / PAGE_SECONDS),
                )
                live.update(Group(*map(assembled, made)), refresh=True)
                informer.wait(LOG_SECONDS)


def _progress(cluster: Cluster, informer: Any, curves: Any, name: str | None) -> Any:

    return progress(cluster, informer.objects(), curves, name)
