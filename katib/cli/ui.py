"""Serves a dashboard of the experiments on this machine, or Katib's own of the cluster."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import Context, Out, SiteFile


def ui(
    experiment: Annotated[str | None, typer.Argument(metavar="[EXPERIMENT]", help="default: the latest")] = None,
    out: Out = Path("runs"),
    port: Annotated[int, typer.Option(help="of the dashboard on this machine", min=1, max=65535)] = 8080,
    cluster: Annotated[bool, typer.Option("--cluster", help="Katib's UI rather than the local dashboard")] = False,
    site: SiteFile = None,
    context: Context = None,
) -> None:
    """Serve Optuna's dashboard of EXPERIMENT, read-only, or Katib's UI, on this machine until Ctrl-C.

    It follows a search that runs.
    """
    if cluster or context is not None:
        _of_the_cluster(experiment, port, site, context)
        return
    from katib.backend.local.record import DATABASE
    from katib.backend.local.table import experiments, find
    from katib.cli._dashboard import serve
    from katib.errors import FolderError

    there = experiments(out)
    if experiment is None and not there:
        raise FolderError(f"{out}: no experiment there yet; `make local MODEL=...` starts one")
    name = experiment or max(there, key=lambda name: (out / name / DATABASE).stat().st_mtime)
    database = find(out, name) / DATABASE
    server = serve(database, port)

    def end(*_: object) -> None:
        # No exception: wsgiref swallows any that comes in the middle of a request. Not here: shutdown waits for the
        # loop.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with server:
        print(f"{name}: http://localhost:{port}/dashboard (Ctrl-C ends it)", flush=True)
        print(
            "its importances are those of make report, which also says what chance alone would reach",
            flush=True,
        )
        server.serve_forever()


def _of_the_cluster(experiment: str | None, port: int, site: Path | None, context: str | None) -> None:
    """Katib's UI through a forwarded port, on this machine alone: it asks nobody who they are, and deletes on a GET as
    well, so that filtering methods would not make it safe.
    """
    from contextlib import suppress

    from katib.backend.cluster.kubectl import forwarded
    from katib.cli.searches import search_name, site_of
    from katib.errors import ClusterError

    place = f"experiment/{site_of(site).namespace}/{search_name(experiment)}" if experiment else ""
    with (
        suppress(KeyboardInterrupt),
        forwarded("katib-ui", 80, "kubeflow", port=port, context=context) as (_, lines),
    ):
        print(f"http://localhost:{port}/katib/{place} (Ctrl-C ends it)", flush=True)
        print(
            "note: Katib's UI can create and delete experiments, and asks nobody who they are",
            file=sys.stderr,
        )
        *_, last = ["it has ended", *lines]  # a line a connection, until there is no more
        raise ClusterError(f"kubectl port-forward katib-ui: {last.strip()}; start it again")
