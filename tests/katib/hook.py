"""A real web server of this machine that keeps what is posted to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Post(NamedTuple):
    path: str
    kind: str
    text: str


class Hook(ThreadingHTTPServer):
    """It answers with `code`, or not before `hangs` is over."""

    daemon_threads = True

    def __init__(self, code: int = 200, *, hangs: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.code, self.posts = code, list[Post]()
        self.goes_on = threading.Event()
        if not hangs:
            self.goes_on.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def texts(self) -> list[str]:
        return [post.text for post in self.posts]


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.posts.append(Post(self.path, self.headers["Content-Type"], body))
        self.server.goes_on.wait(600)
        self.send_response(self.server.code)
        if self.server.code == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def do_GET(self) -> None:
        raise AssertionError("a redirect was followed")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def hook(code: int = 200, *, hangs: bool = False) -> Iterator[Hook]:
    """Yields a server; what hangs goes on at its end."""
    server = Hook(code, hangs=hangs)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.goes_on.set()
        server.shutdown()
        server.server_close()
