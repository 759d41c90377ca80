"""Opens the dashboard of the local experiments in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import Out


def ui(
    experiment: Annotated[
        str | None, typer.Argument(metavar="[EXPERIMENT]", help="default: the latest")
    ] = None,
    out: Out = Path("runs"),
    port: Annotated[int, typer.Option(help="of the dashboard on this machine", min=1, max=65535)] = 8080,
) -> None:
    """Serve Optuna's dashboard of EXPERIMENT on this machine until Ctrl-C; it follows a search that runs."""
    from katib.errors import EngineError, FolderError
    from katib.local.store import DATABASE
    from katib.results.table import experiments, find

    there = experiments(out)
    if experiment is None and not there:
        raise FolderError(f"{out}: no experiment there yet; `make local MODEL=...` starts one")
    name = experiment or max(there, key=lambda name: (out / name / DATABASE).stat().st_mtime)
    database = find(out, name) / DATABASE
    from optuna_dashboard import run_server

    print(f"{name}: http://localhost:{port}/dashboard (Ctrl-C ends it)", flush=True)
    try:
        run_server(f"sqlite:///{database}", port=port)
    except OSError as error:
        raise EngineError(f"port {port}: {error.strerror}; take another --port") from None
    except KeyboardInterrupt:
        return
