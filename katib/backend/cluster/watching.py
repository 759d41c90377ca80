"""Shows the progress of searches live, from watches of the API server, with its last state while that is away."""

import time
from contextlib import suppress

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.status import SELECTORS, Curves, progress_of
from katib.backend.cluster.telling import Telling
from katib.backend.cluster.view import print_progress, screen
from katib.notify import Notifier, Recipient
from katib.terminal import MARGIN, PAGE_SECONDS, Output, assembled, say

LOG_SECONDS = 10.0
"""The shortest time between two reads of the logs, which cannot be watched."""
PRINT_SECONDS = 60.0
"""The longest time between two tables in a file or a pipe."""


def watch(cluster: Cluster, name: str | None, out: Output, notify: Recipient | None) -> None:
    """Shows all our searches, or the one called `name`, until Ctrl-C, and tells `notify` of their events.

    Raises ClusterError where there is no search of that name, or where the server cannot be reached at first.
    """
    telling = None if notify is None else Telling(Notifier(notify))
    with suppress(KeyboardInterrupt), Informer(cluster, SELECTORS) as informer:
        _watch(cluster, informer, name, out, telling)
    if telling and (problem := telling.close(say)):
        say(f"note: {problem}")


def _watch(cluster: Cluster, informer: Informer, name: str | None, out: Output, telling: Telling | None) -> None:
    curves = Curves()
    while not informer.complete:
        if informer.problem is not None:
            raise informer.problem
        informer.wait(LOG_SECONDS)
    if out.live:
        _draw(cluster, informer, curves, name, out, telling)
    while True:
        searches = progress_of(cluster, informer.objects(), curves, name)
        if telling and (problem := telling.look(searches)):
            say(f"note: {problem}")
        print_progress(searches, out, cluster.namespace, informer.problem)
        informer.wait(PRINT_SECONDS)


def _draw(
    cluster: Cluster, informer: Informer, curves: Curves, name: str | None, out: Output, telling: Telling | None
) -> None:
    """Redraws the terminal after each change."""
    from rich.console import Group
    from rich.live import Live

    start = time.monotonic()
    with Live(console=out.console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            searches = progress_of(cluster, informer.objects(), curves, name)
            if telling and (problem := telling.look(searches)):
                live.console.print(f"note: {problem}")
            page = int((time.monotonic() - start) / PAGE_SECONDS)
            columns, rows = out.size
            lines = screen(
                searches,
                columns - MARGIN,
                rows - 1,
                cluster.namespace,
                informer.problem,
                page,
                curves=out.blocks,
            )
            live.update(Group(*map(assembled, lines)), refresh=True)
            informer.wait(LOG_SECONDS)
