"""The page as an application that is only read.

It answers six kinds of paths. Only the name of a search in one is looked up, among those that the backend has listed,
so that no path of a request reaches the file system.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIServer
from wsgiref.types import StartResponse, WSGIEnvironment

from katib.backend.own_page import ManyServer, foreign, listening, origins, plain, serve_until_ended, unframed
from katib.errors import PageError
from katib.manifest.render import TEMPLATES
from katib.report.document import page_template
from katib.untrusted import clean
from katib.watch.screen import Screen, Screens, State
from katib.watch.sections import Section, html, notes

READING = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FIRST_PAINT, A_LOOK = 0.3, 15.0
"""Seconds for which the page, and later one of its requests, wait for a look at the search."""
FILES = {
    "/watch.js": ("text/javascript", ("linked.js", "trials.js", "watch.js")),
    "/watch.css": ("text/css", ("report.css", "draw.css", "watch.css")),
}
ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    b'<path d="M1 13 5 7l3 3 7-8" fill="none" stroke="#1a7fc4" stroke-width="2.5"/></svg>'
)


@dataclass(frozen=True)
class Answer:
    """What a request is answered with."""

    body: bytes
    kind: str = "text/html"
    status: str = "200 OK"
    tag: str = ""


class WatchServer:
    """The server of the page. Used as a context manager."""

    def __init__(self, screens: Screens, port: int) -> None:
        """Raises PageError where the port is taken."""
        self._server: WSGIServer = listening(port, PageError, ManyServer)
        self._server.set_app(Application(screens, self.port))
        self._screens = screens

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.server_port

    @property
    def address(self) -> str:
        """The address of the page."""
        return origins(self.port)[0]

    def __enter__(self) -> "WatchServer":
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.server_close()

    def serve(self) -> None:
        """Serves it until SIGINT or SIGTERM."""
        self._screens.all(0)
        serve_until_ended(self._server)


class Application:
    """The WSGI application of the searches in `screens`, for the browsers that know it by `port`."""

    def __init__(self, screens: Screens, port: int) -> None:
        self._screens, self._port = screens, port
        self._files = {path: _file(kind, names) for path, (kind, names) in FILES.items()}
        self._files["/icon.svg"] = Answer(ICON, "image/svg+xml", tag="icon")
        self._template = page_template("watch.html.j2")
        # A page that an earlier version has sent loads itself anew.
        self._build = sha256("".join(file.tag for file in self._files.values()).encode()).hexdigest()[:12]

    def __call__(self, environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        start, method = unframed(start, POLICY), environment["REQUEST_METHOD"]
        if method not in READING:
            line = f"{clean(method, 100)}: this page is read-only; nothing is changed through it"
            return plain(start, "405 Method Not Allowed", line, ("Allow", ", ".join(READING)))
        if reason := foreign(environment, self._port, "/"):
            return plain(start, "403 Forbidden", reason)
        answer = self._answer(environment["PATH_INFO"], parse_qs(environment.get("QUERY_STRING", "")))
        if answer is None:
            return plain(start, "404 Not Found", f"no such page: open {origins(self._port)[0]}/")
        headers = [("Cache-Control", "no-cache"), ("Referrer-Policy", "no-referrer")]
        headers += [("ETag", f'"{answer.tag}"')] if answer.tag else []
        if answer.tag and f'"{answer.tag}"' in environment.get("HTTP_IF_NONE_MATCH", ""):
            start("304 Not Modified", headers)
            return []
        headers += [
            ("Content-Type", f"{answer.kind}; charset=utf-8"),
            ("Content-Length", str(len(answer.body))),
        ]
        start(answer.status, headers)
        return [] if method == "HEAD" else [answer.body]

    def _answer(self, path: str, query: Mapping[str, list[str]]) -> Answer | None:
        if path in self._files:
            return self._files[path]
        until = time.monotonic() + FIRST_PAINT
        screens = self._screens.all(FIRST_PAINT if path == "/" else A_LOOK)
        if path == "/":
            return self._page(screens, next(iter(screens), "") if screens else "", until)
        kind, _, name = path[1:].partition("/")
        if kind not in ("search", "state") or (name and name not in (screens or {})):
            return None
        return self._page(screens, name, until) if kind == "search" else self._state(screens, name, query)

    def _page(self, screens: Mapping[str, Screen] | None, name: str, until: float) -> Answer:
        """Returns the whole page, with what is known of the search by `until` on the monotonic clock."""
        state = self._seen(screens, name, max(0.0, until - time.monotonic()))
        text = self._template.render(
            name=name,
            sections=state.sections,
            build=self._build,
            tag="",
            milliseconds=int(1000 * self._screens.seconds),
        )
        return Answer(text.encode())

    def _state(self, screens: Mapping[str, Screen] | None, name: str, query: Mapping[str, list[str]]) -> Answer:
        """Returns the sections, those alone with their HTML that the page does not have yet (`have`)."""
        state, have = self._seen(screens, name, A_LOOK), set(query.get("have", [""])[0].split(","))
        document = {
            "build": self._build,
            "title": f"{state.headline} · {name}" if state.headline else name or "Sepsweep",
            "sections": [
                {"id": section.id, "tag": section.tag} | ({} if section.tag in have else {"html": section.html})
                for section in state.sections
            ],
        }
        return Answer(json.dumps(document).encode(), "application/json", tag=f"{self._build}-{state.tag}")

    def _seen(self, screens: Mapping[str, Screen] | None, name: str, patience: float) -> State:
        """Returns the state of a search, with the list of all of them before it."""
        known = screens or {}
        lines = [self._screens.problem] if self._screens.problem else []
        if not known and not lines:
            lines = ["reading …" if screens is None else "no search here yet; `make local MODEL=…` starts one"]
        state = known[name].look(patience) if name in known else State(())
        if state is None:
            state = State([notes([f"{name}: reading …"])])
        listed = html("searches", screens=known, chosen=name, lines=lines)
        return replace(state, sections=(Section("searches", listed), *state.sections))


def _file(kind: str, names: Iterable[str]) -> Answer:
    body = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names).encode()
    return Answer(body, kind, tag=sha256(body).hexdigest()[:16])
