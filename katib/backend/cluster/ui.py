"""Katib's own UI on a port of this machine, behind a guard.

The UI does not ask users who they are, creates experiments by POST and deletes them by a GET too, so whoever reaches it
may run containers in any namespace. The guard answers only what its own pages ask for, and what a user types who reads,
in a browser that has opened the address with the key. It reaches the UI through the API server, with the caller's
credentials, so that no other port leads past it. The routes are those of katib/cmd/ui/v1beta1/main.go (Katib v0.19).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit
from wsgiref.simple_server import WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import KATIB_UI
from katib.backend.own_page import ManyServer, foreign, listening, origins, plain, serve_until_ended, unframed
from katib.errors import ClusterError
from katib.untrusted import clean

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

ROOT = "/katib/"
PAGE = re.compile(r"/katib/(new|experiment/.+)?")
"""The paths that are answered with the one HTML page of the UI."""
READ = re.compile(rf"{PAGE.pattern}|/katib/fetch_\w+/?")
"""The paths that only read: they may be typed. All others, also those of a later Katib, are for the UI's own pages."""
METHODS = ("GET", "HEAD", "POST", "DELETE")
PASSED_ON = {"HTTP_ACCEPT": "Accept", "CONTENT_TYPE": "Content-Type", "HTTP_IF_MODIFIED_SINCE": "If-Modified-Since"}
"""The headers that reach the API server: neither cookies of other pages nor a header that asks for another's rights."""
PASSED_BACK = ("Content-Type", "Content-Length", "Cache-Control", "Last-Modified", "Location")
POLICY = "frame-ancestors 'none'; object-src 'none'"
MAX_BODY, MAX_DIGITS, CHUNK = 4 << 20, 12, 1 << 16
"""Bytes of a request (an object may have 1.5 MiB in etcd), digits of their number, bytes of a piece of an answer."""


@dataclass(frozen=True)
class KatibPage:
    """Katib's own UI, opened at `path` with `key`."""

    server: WSGIServer
    path: str
    key: str
    notes = ("Katib's UI can create and delete experiments of every namespace; the key in its address is yours alone",)

    @property
    def title(self) -> str:
        """Its address."""
        return f"{origins(self.server.server_port)[0]}{ROOT}{self.path}?key={self.key}"

    def serve(self) -> None:
        """Serves it until SIGINT or SIGTERM."""
        serve_until_ended(self.server)


def guard_server(cluster: Cluster, port: int, key: str) -> WSGIServer:
    """Returns the server of the UI that runs in the namespace of `cluster`, for browsers that know `key`.

    Raises ClusterError where the UI cannot be reached, or the port is taken.
    """
    cluster.serves(KATIB_UI, ROOT)
    server = listening(port, ClusterError, ManyServer)
    server.set_app(guarded(Relay(cluster), server.server_port, key))
    return server


def guarded(application: WSGIApplication, port: int, key: str) -> WSGIApplication:
    """Returns `application` for its own pages, and for what may be typed, in browsers that know `key`.

    A page that is asked for with the key leaves it as a cookie, which no other site's request carries. Other requests
    are answered with 403, 404 or 405.
    """
    cookie = f"sepsweep-{port}={key}"

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path, method = environment["PATH_INFO"], environment["REQUEST_METHOD"]
        if line := foreign(environment, port, ROOT) or _unasked(environment, port):
            return plain(start, "403 Forbidden", line)
        if not path.startswith(ROOT) or {".", ".."} & set(path.split("/")):
            return plain(start, "404 Not Found", f"not a page of Katib's UI: open {origins(port)[0]}{ROOT}")
        if method not in METHODS:
            allow = ("Allow", ", ".join(METHODS))
            return plain(start, "405 Method Not Allowed", f"{clean(method, 100)}: Katib's UI has no use for it", allow)
        if PAGE.fullmatch(path) and _has(parse_qs(environment.get("QUERY_STRING", "")).get("key", []), key):
            kept = ("Set-Cookie", f"{cookie}; Path={ROOT}; HttpOnly; SameSite=Strict")
            once = ("Cache-Control", "no-store")
            return plain(start, "303 See Other", "the key is kept", kept, once, ("Location", _quoted(path)))
        if not _has(environment.get("HTTP_COOKIE", "").split(";"), cookie):
            return plain(start, "403 Forbidden", "this browser has no key: open the address that was printed")
        return application(environment, unframed(start, POLICY))

    return answer


def _has(texts: Sequence[str], secret: str) -> bool:
    """Returns whether one of the texts is the secret, in a time that does not tell how much of it is right."""
    return any(compare_digest(text.strip().encode(), secret.encode()) for text in texts)


def _quoted(path: str) -> str:
    return quote(path.encode("latin-1"), safe="/:@,;=+~")


def _unasked(environment: WSGIEnvironment, port: int) -> str | None:
    """Returns a line that says why no page of ours has made a request, and why it must have; else None."""
    origin, referer = environment.get("HTTP_ORIGIN"), environment.get("HTTP_REFERER")
    # Browsers have sent it since 2023 (Fetch Metadata); a page cannot set it.
    site = environment.get("HTTP_SEC_FETCH_SITE")
    if site is None and (source := origin or (referer and _origin(referer))):
        site = "same-origin" if source in origins(port) else "cross-site"
    if site == "same-origin":
        return None
    if site not in (None, "none"):
        return f"another page has made this request ({clean(site, 100)}): type the address of Katib's UI instead"
    if environment["REQUEST_METHOD"] in ("GET", "HEAD") and READ.fullmatch(environment["PATH_INFO"]):
        return None
    return "only the pages of Katib's UI may change something, and no page of it has made this request"


def _origin(address: str) -> str:
    try:
        found = urlsplit(address)
    except ValueError:
        return address
    return f"{found.scheme}://{found.netloc}"


@dataclass(frozen=True)
class Relay:
    """The UI of Katib as a WSGI application: each request is sent on, and each answer streamed back."""

    cluster: Cluster

    def __call__(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answers a request: with 400 for a body that is not as long as it says, and 502 where the UI is away."""
        length = environment.get("CONTENT_LENGTH") or "0"
        size = int(length) if length.isascii() and length.isdecimal() and len(length) < MAX_DIGITS else MAX_BODY + 1
        if size > MAX_BODY or "HTTP_TRANSFER_ENCODING" in environment:
            return plain(start, "400 Bad Request", f"a request may have {MAX_BODY} bytes, and says how many it has")
        headers = {name: environment[key] for key, name in PASSED_ON.items() if environment.get(key)}
        path, method = environment["PATH_INFO"], environment["REQUEST_METHOD"]
        query = environment.get("QUERY_STRING")
        target = f"{_quoted(path)}?{query}" if query else _quoted(path)
        try:
            body = environment["wsgi.input"].read(size)
        except OSError:
            body = b""
        if len(body) < size:
            return plain(start, "400 Bad Request", f"the request ends after {len(body)} of its {size} bytes")
        try:
            answer = self.cluster.relay(KATIB_UI, method, target, headers, body)
            return self._told(answer, path, start)
        except ClusterError as error:
            return plain(start, "502 Bad Gateway", str(error))

    def _told(self, answer: "HTTPResponse", path: str, start: StartResponse) -> Iterable[bytes]:
        """Returns the pieces of an answer, with the links of the page as the UI has written them.

        The API server puts its own path to the UI before each of them (k8s.io/apimachinery, pkg/util/proxy). HTML from
        another path, such as the log of a trial, is no page of the UI, and shown as text.
        """
        told = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
        away = self.cluster.relay_path(KATIB_UI)
        if "Location" in told:
            told["Location"] = told["Location"].rpartition(away)[2]
        body: Iterable[bytes] = _pieces(answer)
        if told.get("Content-Type", "").startswith("text/html"):
            if PAGE.fullmatch(path):
                html = re.sub(rb'"[^"\s<>]*' + re.escape(away.encode()), b'"', b"".join(body))
                body, told["Content-Length"] = [html], str(len(html))
            else:
                told["Content-Type"] = "text/plain; charset=utf-8"
        start(f"{answer.status} {answer.reason or 'Unknown'}", list(told.items()))
        return body


def _pieces(answer: "HTTPResponse") -> Iterator[bytes]:
    """Yields an answer as it arrives, and ends the connection where it breaks off."""
    from urllib3.exceptions import HTTPError

    try:
        yield from answer.stream(CHUNK, decode_content=False)
    except (HTTPError, OSError):
        raise ConnectionAbortedError from None
    finally:
        answer.close()
