"""A WSGI application that is only read, by pages of this machine.

Requests other than GET and HEAD, and those that a foreign web page may have caused, are refused before the application
sees them.
"""

from collections.abc import Callable, Iterable
from types import TracebackType
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from katib.untrusted import clean

ADDRESS = "127.0.0.1"
HTTP_PORT = 80
"""The port that a browser leaves out of the Host header."""
READING = ("GET", "HEAD")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; worker-src 'self' blob:; frame-src 'none'; object-src 'none'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
"""What a browser may do with the page: it draws its own figures, and neither runs nor fetches anything that a note in
the study holds."""

_ErrorInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


def read_only(application: WSGIApplication, port: int) -> WSGIApplication:
    """Returns `application` for reading requests that a page of this server on `port`, or no page, has made.

    Other requests are answered with 405 or 403.
    """
    names = ("localhost", ADDRESS, "[::1]")
    hosts = [f"{name}:{port}" for name in names] + [name for name in names if port == HTTP_PORT]
    origins = [f"http://{host}" for host in hosts]

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        host, origin = environment.get("HTTP_HOST"), environment.get("HTTP_ORIGIN")
        if method not in READING:
            line = f"{clean(method, 100)}: this dashboard is read-only; nothing is changed or deleted through it"
            return _refusal(start, "405 Method Not Allowed", line)
        if host is None or host.lower() not in hosts:
            line = f"host '{host and clean(host, 100)}': open http://{hosts[0]}/dashboard"
            return _refusal(start, "403 Forbidden", line)
        if origin is not None and origin not in origins:
            line = f"origin '{clean(origin, 100)}': other pages may not read this dashboard"
            return _refusal(start, "403 Forbidden", line)
        return application(environment, _unframed(start))

    return answer


def _unframed(start: StartResponse) -> StartResponse:
    """Returns `start` with headers that forbid another page to frame this one and its scripts to read the answers."""

    def started(
        status: str, headers: list[tuple[str, str]], error: _ErrorInfo | None = None, /
    ) -> Callable[[bytes], object]:
        own = [("Content-Security-Policy", POLICY), ("X-Content-Type-Options", "nosniff")]
        return start(status, [*headers, *own, ("Cross-Origin-Resource-Policy", "same-origin")], error)

    return started


def _refusal(start: StartResponse, status: str, line: str) -> list[bytes]:
    body = f"{line}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start(status, [*headers, ("Allow", ", ".join(READING))])
    return [body]
