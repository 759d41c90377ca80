"""Optuna's dashboard of one study as a server that only reads: nobody deletes or renames the study through it.

There are two barriers: requests that would write, or that another web page may have caused, are refused
(katib/backend/local/read_only.py), and the dashboard's connections to the database cannot write, whatever a route does.

Its importances are those that the report tests for chance. The dashboard's own go by the trials that completed, a tenth
of which count as good; these also go by stopped trials and count more as good, which named the right parameter more
often in simulated searches (katib/table/importance.py).
"""

import json
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from wsgiref.simple_server import WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from optuna.storages import RDBStorage
from optuna_dashboard import wsgi

from katib.backend.local.read_only import read_only
from katib.backend.local.record import LOCK_TIMEOUT, read
from katib.backend.local.table import read_table
from katib.backend.own_page import listening, serve_until_ended
from katib.errors import EngineError
from katib.table.importance import importances

IMPORTANCES = re.compile(r"/api/studies/\d+/param_importances")


@dataclass(frozen=True)
class DashboardPage:
    """The dashboard of the experiment `name`, which `server` shows."""

    server: WSGIServer
    name: str
    notes = ("its importances are by the test of make report, which also says what is no more than chance",)

    @property
    def title(self) -> str:
        """The experiment and its address."""
        return f"{self.name}: http://localhost:{self.server.server_port}/dashboard"

    def serve(self) -> None:
        """Serves it until SIGINT or SIGTERM."""
        serve_until_ended(self.server)


def serve(database: Path, port: int) -> WSGIServer:
    """Returns a server, on this machine alone, that shows the study in `database`.

    Raises EngineError where the port is taken, and RecordError where the study was not made by this engine.
    """
    read(database.parent)
    server = listening(port, EngineError)
    dashboard = with_report_importances(wsgi(_storage(database)), database.parent)
    server.set_app(read_only(dashboard, server.server_port))
    return server


def with_report_importances(application: WSGIApplication, folder: Path) -> WSGIApplication:
    """Returns `application` with the importances that a report of the search in `folder` tests, if it has any."""
    shares = _Shares(folder)

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if not IMPORTANCES.fullmatch(environment["PATH_INFO"]):
            return application(environment, start)
        body = json.dumps({"param_importances": [shares.current()]}).encode()
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return answer


class _Shares:
    """The importances in the dashboard's form, computed anew when a trial has another value."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._values: dict[str, float | None] | None = None
        self._shares: list[dict[str, object]] = []

    def current(self) -> list[dict[str, object]]:
        table = read_table(self._folder.parent, self._folder.name)
        values = {row.trial: row.value for row in table.rows}
        if values != self._values:
            self._values = values
            try:
                self._shares = [
                    {"name": parameter.name, "importance": parameter.share, "distribution": parameter.distribution}
                    for parameter in importances(table)
                ]
            except ValueError:
                self._shares = []
        return self._shares


def _storage(database: Path) -> RDBStorage:
    """Returns the study's storage, whose connections only query.

    Such a connection may still roll back what a killed engine left half written.
    """

    def only_query(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    return RDBStorage(
        f"sqlite:///{database}",
        engine_kwargs={
            "connect_args": {"timeout": LOCK_TIMEOUT},
            "pool_events": [(only_query, "connect")],
        },
        skip_table_creation=True,
    )
