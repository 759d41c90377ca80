"""Serves a dashboard of the experiments on this machine, or Katib's own dashboard of the cluster."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.choice import choose_backend
from katib.cli.options import Context, Out, SiteFile
from katib.cli.tables import tell


def ui(
    experiment: Annotated[str | None, typer.Argument(metavar="[EXPERIMENT]", help="default: the latest")] = None,
    out: Out = Path("runs"),
    port: Annotated[int, typer.Option(help="of the dashboard on this machine", min=1, max=65535)] = 8080,
    cluster: Annotated[bool, typer.Option("--cluster", help="Katib's UI rather than the local dashboard")] = False,
    site: SiteFile = None,
    context: Context = None,
) -> None:
    """Serve Optuna's dashboard of EXPERIMENT, read-only, or Katib's UI, on this machine until Ctrl-C.

    It follows a running search.
    """
    with choose_backend(out, site, context, cluster=cluster).page(experiment, port) as page:
        print(f"{page.title} (Ctrl-C ends it)", flush=True)
        tell(page.notes)
        page.serve()
