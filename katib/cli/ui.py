"""Opens the dashboard of the local experiments in the browser."""

import signal
import threading
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
    from katib.local.record import DATABASE
    from katib.results.local_table import experiments, find

    there = experiments(out)
    if experiment is None and not there:
        raise FolderError(f"{out}: no experiment there yet; `make local MODEL=...` starts one")
    name = experiment or max(there, key=lambda name: (out / name / DATABASE).stat().st_mtime)
    database = find(out, name) / DATABASE
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    from optuna_dashboard import wsgi

    class Quiet(WSGIRequestHandler):
        """A line a request is of no use to anybody here."""

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    try:
        server = make_server("127.0.0.1", port, wsgi(f"sqlite:///{database}"), handler_class=Quiet)
    except OSError as error:
        raise EngineError(f"port {port}: {error.strerror}; take another --port") from None

    def end(*_: object) -> None:
        # No exception: wsgiref swallows any that comes in the middle of a request. Not here: shutdown waits for the loop.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with server:
        print(f"{name}: http://localhost:{port}/dashboard (Ctrl-C ends it)", flush=True)
        server.serve_forever()
