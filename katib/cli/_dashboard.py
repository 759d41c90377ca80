"""Optuna's dashboard of one study as a server that only reads: nobody deletes or renames the study through it.

Two barriers: requests other than GET and HEAD, and those that a foreign web page may have caused, are refused before the
dashboard sees them; and its connections to the database cannot write, whatever a route does.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

ADDRESS = "127.0.0.1"
READING = ("GET", "HEAD")

Environment = dict[str, Any]
Application = Callable[[Environment, Callable[..., Any]], Iterable[bytes]]


def serve(database: Path, port: int) -> WSGIServer:
    """A server on this machine alone that shows the study in `database`. Raises EngineError where the port is taken."""
    from optuna_dashboard import wsgi

    from katib.errors import EngineError

    try:
        server = make_server(ADDRESS, port, lambda *_: (), handler_class=_Quiet)
    except OSError as error:
        raise EngineError(f"port {port}: {error.strerror}; take another --port") from None
    server.set_app(read_only(wsgi(_storage(database)), server.server_port))
    return server


def read_only(application: Application, port: int) -> Application:
    """`application` for requests that read, made by a page of this server on `port` or by no page; 405 or 403 for others."""
    hosts = [f"{name}:{port}" for name in ("localhost", ADDRESS)]
    origins = [f"http://{host}" for host in hosts]

    def answer(environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        host, origin = environment.get("HTTP_HOST"), environment.get("HTTP_ORIGIN")
        if method not in READING:
            line = f"{method}: this dashboard only shows the search; nothing is changed or deleted through it"
            return _refusal(start, "405 Method Not Allowed", line)
        if host not in hosts:
            return _refusal(start, "403 Forbidden", f"host '{host}': open http://{hosts[0]}/dashboard")
        if origin is not None and origin not in origins:
            return _refusal(
                start, "403 Forbidden", f"origin '{origin}': other pages may not read this dashboard"
            )
        return application(environment, start)

    return answer


def _refusal(start: Callable[..., Any], status: str, line: str) -> list[bytes]:
    body = f"{line}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start(status, [*headers, ("Allow", ", ".join(READING))])
    return [body]


def _storage(database: Path) -> Any:
    """The study's storage. A connection that only queries may still take back what a killed engine left half written."""
    from optuna.storages import RDBStorage

    from katib.local.record import LOCK_SECONDS

    def only_query(connection: Any, _: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    return RDBStorage(
        f"sqlite:///{database}",
        engine_kwargs={
            "connect_args": {"timeout": LOCK_SECONDS},
            "pool_events": [(only_query, "connect")],
        },
        skip_table_creation=True,
    )


class _Quiet(WSGIRequestHandler):
    """A handler that prints nothing: a line a request is of no use to anybody here."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
