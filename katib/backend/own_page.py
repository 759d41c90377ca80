"""Serves a page on this machine alone, to browsers that this page, or no page, leads here.

A browser sends requests to every address of its own machine on behalf of any page; what they may reach is therefore
guarded by the names that only the browser itself writes into a request (Host, Origin).
"""

import io
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from katib.errors import SepsweepError
from katib.untrusted import clean

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ADDRESS = "127.0.0.1"
HTTP_PORT = 80
"""The port that a browser leaves out of the Host header."""
MAX_THREADS = 32

_ErrorInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class PageServer(WSGIServer):
    """A server whose clients may come and go: that one of them says nothing, or leaves, is no trace of ours."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Prints the trace of an error of this program."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class ManyServer(ThreadingMixIn, PageServer):
    """A server that answers several requests at a time, and waits for none of them when it ends."""

    daemon_threads = True
    block_on_close = False
    free = threading.BoundedSemaphore(MAX_THREADS)

    def process_request(self, request: object, client_address: object) -> None:
        """Starts a thread for a request, as soon as there are few enough."""
        self.free.acquire()
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Answers a request in its thread."""
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self.free.release()


def listening(port: int, error: type[SepsweepError], kind: type[PageServer] = PageServer) -> PageServer:
    """Returns a server of the class `kind` on this machine, still without an application.

    Raises `error` where the port is taken.
    """
    try:
        return make_server(ADDRESS, port, lambda *_: (), server_class=kind, handler_class=_Quiet)
    except OSError as cause:
        raise error(f"port {port}: {cause.strerror}; take another --port") from None


def serve_until_ended(server: WSGIServer) -> None:
    """Serves until SIGINT or SIGTERM."""

    def end(*_: object) -> None:
        # This is no exception, since wsgiref swallows any that comes in the middle of a request, and has a thread of
        # its own, since shutdown waits for the loop that it is called from.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    server.serve_forever()


def origins(port: int) -> Sequence[str]:
    """Returns the origins that a browser of this machine knows the server on `port` by."""
    names = ("localhost", ADDRESS, "[::1]")
    hosts = [f"{name}:{port}" for name in names] + [name for name in names if port == HTTP_PORT]
    return [f"http://{host}" for host in hosts]


def foreign(environment: WSGIEnvironment, port: int, start_page: str) -> str | None:
    """Returns a line that says why a request is not meant for the server on `port`, or is another page's; else None.

    Under DNS rebinding a page's own name leads to this machine, and the browser names it in Host.
    """
    ours = origins(port)
    host, origin = environment.get("HTTP_HOST"), environment.get("HTTP_ORIGIN")
    if host is None or f"http://{host.lower()}" not in ours:
        return f"host '{clean(host or '', 100)}': open {ours[0]}{start_page}"
    if origin is not None and origin not in ours:
        return f"origin '{clean(origin, 100)}': other pages may not read this one"
    return None


def unframed(start: StartResponse, policy: str) -> StartResponse:
    """Returns `start` with headers that forbid another page to frame this one and its scripts to read the answers.

    `policy` is the Content-Security-Policy.
    """

    def started(
        status: str, headers: list[tuple[str, str]], error: _ErrorInfo | None = None, /
    ) -> Callable[[bytes], object]:
        own = [("Content-Security-Policy", policy), ("X-Content-Type-Options", "nosniff")]
        return start(status, [*headers, *own, ("Cross-Origin-Resource-Policy", "same-origin")], error)

    return started


def plain(start: StartResponse, status: str, line: str, *headers: tuple[str, str]) -> list[bytes]:
    """Returns the body of an answer that is one line, started with this status and these headers."""
    body = f"{line}\n".encode()
    start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers])
    return [body]


class _Answer(io.BufferedIOBase):
    """What is sent to a client; one that takes no more of it has left, of which wsgiref prints no trace."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def write(self, data: "ReadableBuffer", /) -> int:
        """Sends all of `data` and returns its size. Raises ConnectionAbortedError where it is not taken in time."""
        try:
            self._connection.sendall(data)
        except TimeoutError:
            raise ConnectionAbortedError from None
        return memoryview(data).nbytes


class _Quiet(WSGIRequestHandler):
    """A handler that prints nothing: one line per request is of no use to anybody here."""

    timeout = 10
    """Seconds after which a connection that asks nothing, or takes nothing of its answer, is closed."""

    def setup(self) -> None:
        """Prepares a connection."""
        super().setup()
        self.wfile = _Answer(self.connection)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""
