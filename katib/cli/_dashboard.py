"""Optuna's dashboard of one study as a server that only reads: nobody deletes or renames the study through it.

Two barriers: requests other than GET and HEAD, and those that a foreign web page may have caused, are refused before
the dashboard sees them; and its connections to the database cannot write, whatever a route does.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from katib.untrusted import clean

ADDRESS = "127.0.0.1"
HTTP_PORT = 80
"""Which a browser leaves out of the Host."""
READING = ("GET", "HEAD")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; worker-src 'self' blob:; frame-src 'none'; object-src 'none'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""What a browser may do with the page: it draws its own figures, and runs or fetches nothing that a note in the study
holds."""

Environment = dict[str, Any]
Application = Callable[[Environment, Callable[..., Any]], Iterable[bytes]]


def serve(database: Path, port: int) -> WSGIServer:
    """Returns a server on this machine alone that shows the study in `database`.

    Raises EngineError where the port is taken, and where the study is none of this engine.
    """
    from optuna_dashboard import wsgi

    from katib.backend.local.record import read
    from katib.cli._importances import with_ours
    from katib.errors import EngineError

    read(database.parent)
    try:
        server = make_server(ADDRESS, port, lambda *_: (), handler_class=_Quiet)
    except OSError as error:
        raise EngineError(f"port {port}: {error.strerror}; take another --port") from None
    server.set_app(read_only(with_ours(wsgi(_storage(database)), database.parent), server.server_port))
    return server


def read_only(application: Application, port: int) -> Application:
    """Returns `application` for requests that read, made by a page of this server on `port` or by no page.

    405 or 403 for others.
    """
    names = ("localhost", ADDRESS, "[::1]")
    hosts = [f"{name}:{port}" for name in names] + [name for name in names if port == HTTP_PORT]
    origins = [f"http://{host}" for host in hosts]

    def answer(environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        host, origin = environment.get("HTTP_HOST"), environment.get("HTTP_ORIGIN")
        if method not in READING:
            line = (
                f"{clean(method, 100)}: this dashboard only shows the search; nothing is changed or deleted through it"
            )
            return _refusal(start, "405 Method Not Allowed", line)
        if host is None or host.lower() not in hosts:
            return _refusal(
                start,
                "403 Forbidden",
                f"host '{host and clean(host, 100)}': open http://{hosts[0]}/dashboard",
            )
        if origin is not None and origin not in origins:
            return _refusal(
                start,
                "403 Forbidden",
                f"origin '{clean(origin, 100)}': other pages may not read this dashboard",
            )
        return application(environment, _unframed(start))

    return answer


def _unframed(start: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `start` with headers that keep the dashboard out of another page's frame, and its answers out of its
    scripts.
    """

    def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        own = [("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff")]
        return start(status, [*headers, *own, ("Cross-Origin-Resource-Policy", "same-origin")], *rest)

    return started


def _refusal(start: Callable[..., Any], status: str, line: str) -> list[bytes]:
    body = f"{line}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start(status, [*headers, ("Allow", ", ".join(READING))])
    return [body]


def _storage(database: Path) -> Any:
    """Returns the study's storage.

    A connection that only queries may still take back what a killed engine left half written.
    """
    from optuna.storages import RDBStorage

    from katib.backend.local.record import LOCK_SECONDS

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

    timeout = 10
    """Seconds after which a connection that asks nothing is closed: one request is served at a time."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
