"""A registry on this machine that can do what a push and a pull need: it speaks plain http, with blobs in memory."""

import hashlib
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Registry(ThreadingHTTPServer):
    """A registry: `stored` maps blob and manifest paths to content; a `closed` one asks for a name and a password."""

    def __init__(self, *, closed: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.closed = closed
        self.stored: dict[str, tuple[str, bytes]] = {}
        self.address = f"127.0.0.1:{self.server_port}"


@contextmanager
def running(*, closed: bool = False) -> Iterator[Registry]:
    """Yields a registry that is served by a thread."""
    with Registry(closed=closed) as registry:
        thread = threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield registry
        finally:
            registry.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        if self.server.closed:
            self._answer(401, {"WWW-Authenticate": 'Basic realm="closed"'})
        elif self.path == "/v2/":
            self._answer(200)
        elif self.path in self.server.stored:
            kind, content = self.server.stored[self.path]
            self._answer(200, {"Content-Type": kind, "Docker-Content-Digest": _digest(content)}, content)
        else:
            self._answer(404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answer(202, {"Location": f"{self.path}{secrets.token_hex(8)}"})

    def do_PATCH(self) -> None:
        kept = self.server.stored.get(self.path, ("", b""))[1]
        self.server.stored[self.path] = ("", kept + self._body())
        self._answer(202, {"Location": self.path})

    def do_PUT(self) -> None:
        """Stores the end of an upload, or a manifest, which is stored under its digest too."""
        content, (path, _, query) = self._body(), self.path.partition("?")
        if query:
            content = self.server.stored.pop(path, ("", b""))[1] + content
            path = re.sub(r"uploads/.*", _digest(content), path)
        found = (self.headers.get("Content-Type", "application/octet-stream"), content)
        self.server.stored[path] = found
        self.server.stored[f"{path.rpartition('/')[0]}/{_digest(content)}"] = found
        self._answer(201, {"Location": path, "Docker-Content-Digest": _digest(content)})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _answer(self, status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
