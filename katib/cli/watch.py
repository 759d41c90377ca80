"""Serves one live page of all searches, here or on the cluster: how far they are, what happened, what comes."""

from typing import Annotated

import typer

from katib.cli._bundles import Where, bundled
from katib.cli.options import MOST
from katib.errors import FolderError
from katib.terminal import say
from katib.watch.screen import Screens
from katib.watch.server import WatchServer


@bundled
def watch(
    where: Where,
    port: Annotated[int, typer.Option(help="of the page on this machine", min=1, max=65535)] = 8090,
    price: Annotated[float | None, typer.Option(help="of a GPU-hour, in any currency", min=0.0, max=MOST)] = None,
) -> None:
    """Serves a live, read-only page of every search below OUT, or of the namespace, on this machine until Ctrl-C.

    It asks nothing of the network, changes nothing, and may be started and ended at any time.
    """
    if where.out.exists() and not where.out.is_dir():
        raise FolderError(f"--out {where.out}: is no folder; name that of the runs, such as runs")
    with WatchServer(Screens(where.backend, where.out, price), port) as server:
        if not (where.cluster or where.out.exists()):
            say(f"note: {where.out}: there is no such folder yet; the page fills when a search begins in it")
        print(f"{server.address}/ (Ctrl-C ends it; the searches go on)", flush=True)
        server.serve()
