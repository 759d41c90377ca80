"""Serves a dashboard of the experiments on this machine, or Katib's own dashboard of the cluster."""

from typing import Annotated

import typer

from katib.cli._bundles import Where, bundled
from katib.cli.tables import tell
from katib.conclude.stages import search_of


@bundled
def ui(
    where: Where,
    experiment: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPERIMENT", help="name of the experiment, its model, or its spec x.yaml (default: the latest)"
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="of the dashboard on this machine", min=1, max=65535)] = 8080,
) -> None:
    """Serves Optuna's dashboard of EXPERIMENT, read-only, or Katib's UI, on this machine until Ctrl-C.

    It follows a running search.
    """
    backend = where.backend
    with backend.page(experiment and search_of(backend, experiment), port) as page:
        print(f"{page.title} (Ctrl-C ends it)", flush=True)
        tell(page.notes)
        page.serve()
