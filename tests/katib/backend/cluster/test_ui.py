"""`make ui CLUSTER=1`: who reaches Katib's UI through its guard, and what the UI then gets and answers.

An HTTP server plays the API server with the UI behind it.
"""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from katib.__main__ import main
from katib.backend import own_page
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import MANAGER, OWNER_LABEL
from katib.backend.cluster.ui import CHUNK, MAX_BODY, guard_server
from katib.site import load_site

KEY = "k" * 43
PROXY = "/api/v1/namespaces/kubeflow/services/katib-ui:80/proxy"
INDEX = '<html><base href="/katib/"><script src="/katib/static/main.js"></script><a href="https://x.org/a">x</a></html>'
DELETE = "/katib/delete_experiment/?experimentName=a&namespace=b"
ANSWERS: dict[str, tuple[str, bytes]] = {
    "/katib/fetch_trial_logs/": ("text/html; charset=utf-8", b"<html><script>alert(1)</script>"),
    "/katib/fetch_experiments/": ("application/json", b"[]"),
    "/katib/static/main.js": ("text/javascript", b"x" * (20 * CHUNK + 1)),
}


class ApiServer(ThreadingHTTPServer):
    """The API server: it knows who asks by the token, and rewrites the links of HTML pages."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.status = 200
        self.experiments: tuple[str, ...] = ()
        self.go_on = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def kubeconfig(self, folder: Path) -> Path:
        """Returns a kubeconfig that leads here."""
        path, name = folder / "kubeconfig", "far"
        cluster = {"name": name, "cluster": {"server": f"http://127.0.0.1:{self.server_port}"}}
        user = {"name": name, "user": {"token": "secret"}}
        context = {"name": name, "context": {"cluster": name, "user": name}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [user], "contexts": [context]}
        path.write_text(json.dumps(config | {"current-context": name}))
        return path


class Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        if self.server.status != 200:
            message = {"kind": "Status", "message": 'User "ann" cannot get resource "services/proxy"'}
            return self._tell(self.server.status, "application/json", json.dumps(message).encode())
        path = self.path.removeprefix(PROXY).partition("?")[0]
        if path.startswith("/apis/"):
            name = path.rpartition("/")[2]
            if name in self.server.experiments:
                ours = {"metadata": {"name": name, "labels": {OWNER_LABEL: MANAGER}}}
                return self._tell(200, "application/json", json.dumps(ours).encode())
            absent = {"kind": "Status", "reason": "NotFound", "details": {"name": name}}
            return self._tell(404, "application/json", json.dumps(absent).encode())
        assert path != self.path
        if path == "/katib/fetch_slow/":
            self.server.go_on.wait(600)
        if path == "/katib/static/moved":
            return self._tell(301, "text/plain", b"", Location=f"https://api.org{PROXY}/katib/static/")
        away = f"http://127.0.0.1:{self.server.server_port}{PROXY}/"
        return self._tell(200, *ANSWERS.get(path, ("text/html", re.sub('"/', f'"{away}', INDEX).encode())))

    do_GET = do_HEAD = do_POST = do_DELETE = _any

    def _tell(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        told = {"Content-Type": kind, "Content-Length": str(len(body)), "Set-Cookie": "a=b", **headers}
        for name, text in told.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):
                self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


class Browser:
    """A browser on this machine, which has opened the page of the guard on `port`."""

    def __init__(self, port: int, key: str = KEY) -> None:
        self.port, self.cookie = port, f"other=1; sepsweep-{port}={key}"

    def ask(self, method: str, path: str, body: bytes | None = None, /, **headers: str) -> tuple[int, str, Any]:
        """Returns status, body and headers of the answer; {port} in a header is the guard's."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = {
            "Host": "localhost:{port}",
            "Cookie": self.cookie,
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        connection.request(method, path, body, {name: text.format(port=self.port) for name, text in given.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server
        server.go_on.set()
        server.shutdown()


@pytest.fixture
def browser(api: ApiServer, tmp_path: Path) -> Iterator[Browser]:
    with guard_server(Cluster("kubeflow", config_file=api.kubeconfig(tmp_path)), 0, KEY) as guard:
        assert guard.server_address[0] == "127.0.0.1"
        api.seen.clear()
        thread = threading.Thread(target=guard.serve_forever, args=(0.01,))
        thread.start()
        yield Browser(guard.server_port)
        guard.shutdown()
        thread.join()


OURS = {"Sec_Fetch_Site": "same-origin"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        # DNS rebinding: for the browser it is the page's own origin.
        ("GET", "/katib/", {"Host": "attacker.example:{port}", **OURS}),
        ("POST", "/katib/create_experiment/", {"Host": "127.0.0.1.nip.io:{port}", **OURS}),
        ("GET", DELETE, {"Host": "localhost:1", **OURS}),
        ("GET", DELETE, {"Host": "", **OURS}),
        # A page fetches, submits a form, has an image or leads here; a dashboard on another port; an old browser.
        ("POST", "/katib/create_experiment/", {"Origin": "http://attacker.example", "Sec_Fetch_Site": "cross-site"}),
        ("POST", "/katib/create_experiment/", {"Origin": "http://attacker.example", **OURS}),
        ("POST", "/katib/create_experiment/", {"Origin": "null"}),
        ("GET", DELETE, {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}),
        ("GET", DELETE, {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}),
        ("GET", "/katib/", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}),
        ("GET", DELETE, {"Sec_Fetch_Site": "same-site", "Referer": "http://localhost:8888/"}),
        ("GET", DELETE, {"Referer": "http://localhost:8888/"}),
        ("GET", DELETE, {"Referer": "http://localhost:{port}.attacker.example/"}),
        ("GET", DELETE, {"Referer": "http://localhost:{port}@attacker.example/"}),
        ("GET", DELETE, {"Referer": "http://[/"}),
        # A link in a mail; a program.
        ("GET", DELETE, {"Sec_Fetch_Site": "none"}),
        ("GET", DELETE.replace("delete", "%64elete"), {"Sec_Fetch_Site": "none"}),
        ("GET", DELETE.replace("delete", "/delete"), {"Sec_Fetch_Site": "none"}),
        ("GET", "/katib/a_route_of_a_later_katib/", {"Sec_Fetch_Site": "none"}),
        ("GET", DELETE, {}),
        ("DELETE", DELETE, {}),
        ("POST", "/katib/fetch_experiments/", {}),
    ],
)
def test_what_no_page_of_the_ui_has_asked_for_never_reaches_it(
    method: str, path: str, headers: dict[str, str], api: ApiServer, browser: Browser
) -> None:
    status, text, _ = browser.ask(method, path, b"{}" if method == "POST" else None, **headers)
    assert (status, text.count("\n"), "key" in text) == (403, 1, False)
    assert api.seen == []


def test_its_own_pages_may_do_everything_with_the_rights_of_the_kubeconfig_and_nobody_elses(
    api: ApiServer, browser: Browser
) -> None:
    foreign = {
        "Impersonate_User": "admin",
        "Authorization": "Bearer x",
        "X_Remote_User": "admin",
    }
    told = {"Content_Type": "application/json", "Accept": "application/json", **OURS}
    assert browser.ask("POST", "/katib/create_experiment/", b'{"postData": 1}', **told, **foreign)[0] == 200
    assert browser.ask("DELETE", DELETE, Referer="http://localhost:{port}/katib/")[0] == 200
    assert browser.ask("GET", "/katib/fetch_namespaces?a=%26&b=/../c", Host="[::1]:{port}")[0] == 200
    created, deleted, fetched = api.seen
    assert created[:2] == ("POST", f"{PROXY}/katib/create_experiment/")
    assert created[3] == b'{"postData": 1}'
    passed_on = {name.lower(): text for name, text in created[2].items()}
    ours = {"host", "user-agent", "authorization", "accept", "accept-encoding", "content-type", "content-length"}
    assert set(passed_on) == ours
    assert passed_on["authorization"] == "Bearer secret"
    assert deleted[:2] == ("DELETE", PROXY + DELETE)
    assert fetched[:2] == ("GET", f"{PROXY}/katib/fetch_namespaces?a=%26&b=/../c")


def test_the_page_has_the_links_that_the_ui_has_written_and_may_not_be_framed(browser: Browser) -> None:
    for path in ("/katib/", "/katib/new", "/katib/experiment/sepsweep/series3-dprnn"):
        status, text, headers = browser.ask("GET", path, Sec_Fetch_Site="none")
        assert (status, text) == (200, INDEX)
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Set-Cookie"] is None
    assert browser.ask("HEAD", "/katib/")[:2] == (200, "")
    status, _, headers = browser.ask("GET", "/katib/static/moved", **OURS)
    assert (status, headers["Location"]) == (301, "/katib/static/")


def test_a_browser_without_the_key_reaches_nothing(api: ApiServer, browser: Browser) -> None:
    """Other users of this machine can write any header; the address with the key is printed to one of them alone."""
    for cookie in ("", "sepsweep-{port}=", "sepsweep-{port}=" + KEY[1:], "sepsweep-1=" + KEY, "\xe9=" + KEY):
        for path in ("/katib/", f"{DELETE}&key={KEY}", "/katib/?key=", "/katib/?key=%ff"):
            status, text, _ = browser.ask("GET", path, Cookie=cookie, **OURS)
            assert (status, text.count("\n")) == (403, 1)
    path = "/katib/experiment/sepsweep/series3-dprnn"
    status, _, headers = browser.ask("GET", f"{path}?key={KEY}", Cookie="", Sec_Fetch_Site="none")
    assert (status, headers["Location"], api.seen) == (303, path, [])
    kept, *attributes = headers["Set-Cookie"].split("; ")
    assert attributes == ["Path=/katib/", "HttpOnly", "SameSite=Strict"]
    assert browser.ask("GET", path, Cookie=kept, Sec_Fetch_Site="none")[:2] == (200, INDEX)
    assert browser.ask("GET", f"/katib/?key={KEY}", Cookie="", Sec_Fetch_Site="cross-site")[0] == 403


def test_a_log_that_is_html_is_shown_as_text(browser: Browser) -> None:
    status, text, headers = browser.ask("GET", "/katib/fetch_trial_logs/?trialName=a&namespace=b", **OURS)
    assert (status, text) == (200, ANSWERS["/katib/fetch_trial_logs/"][1].decode())
    assert headers["Content-Type"].startswith("text/plain")


def test_no_path_leads_to_another_object_of_the_api_server(api: ApiServer, browser: Browser) -> None:
    up = "/".join([".."] * 7)
    for path in (f"/katib/{up}/secrets", f"/katib/{up.replace('.', '%2e')}/secrets", "/katib/..%2f..%2fsecrets"):
        assert browser.ask("GET", path, **OURS)[0] == 404
    for path in ("/", "/dashboard_lib.bundle.js", "/katib", "http://10.0.0.1/katib/", "//10.0.0.1/katib/"):
        assert browser.ask("GET", path, **OURS)[0] == 404
    assert api.seen == []
    assert browser.ask("GET", "/katib/fetch_a/%252e%252e/b%3Fc%23d", **OURS)[0] == 200
    assert api.seen[0][1] == f"{PROXY}/katib/fetch_a/%252e%252e/b%3Fc%23d"


def test_an_answer_is_streamed_while_another_is_waited_for(api: ApiServer, browser: Browser) -> None:
    slow = threading.Thread(target=browser.ask, args=("GET", "/katib/fetch_slow/"))
    slow.start()
    status, text, _ = browser.ask("GET", "/katib/static/main.js", **OURS)
    assert (status, len(text)) == (200, 20 * CHUNK + 1)
    assert slow.is_alive()
    api.go_on.set()
    slow.join()


@pytest.mark.parametrize("length", [str(MAX_BODY + 1), "9" * 5000, "-1", "0x1", "1e3", "٣"])
def test_a_request_of_no_sensible_length_is_refused(length: str, api: ApiServer, browser: Browser) -> None:
    with socket.create_connection(("127.0.0.1", browser.port), timeout=30) as client:
        host = f"Host: localhost:{browser.port}\r\nSec-Fetch-Site: same-origin\r\nCookie: {browser.cookie}"
        head = f"POST /katib/create_experiment/ HTTP/1.1\r\n{host}\r\nContent-Length: {length}\r\n\r\n"
        client.sendall(head.encode())
        assert b" 400 " in client.recv(1000)
    assert api.seen == []


def test_a_client_that_takes_nothing_of_an_answer_is_let_go(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is one that asks nothing: neither is a trace in the user's terminal."""
    monkeypatch.setattr(own_page._Quiet, "timeout", 0.1)
    monkeypatch.setitem(ANSWERS, "/katib/static/main.js", ("text/javascript", b"x" * (1 << 24)))
    address = ("127.0.0.1", browser.port)
    with socket.create_connection(address, timeout=30) as idle, socket.create_connection(address, timeout=30) as client:
        host = f"Host: localhost:{browser.port}\r\nSec-Fetch-Site: same-origin\r\nCookie: {browser.cookie}"
        client.sendall(f"GET /katib/static/main.js HTTP/1.1\r\n{host}\r\n\r\n".encode())
        assert idle.recv(1) == b""
        time.sleep(0.5)
        assert 0 < sum(len(piece) for piece in iter(lambda: client.recv(1 << 20), b"")) < 1 << 24
    assert capsys.readouterr().err == ""


def test_an_api_server_that_is_away_is_one_line(api: ApiServer, browser: Browser) -> None:
    api.shutdown()
    api.server_close()
    status, text, _ = browser.ask("GET", "/katib/fetch_experiments/")
    assert (status, text.count("\n")) == (502, 1)
    assert "cannot be reached" in text


@pytest.mark.parametrize(
    ("status", "reason"),
    [(403, 'cannot get resource "services/proxy"; ask the cluster'), (503, "answers 503"), (404, "")],
)
def test_a_ui_that_does_not_answer_is_one_line(
    status: int,
    reason: str,
    api: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig(tmp_path)))
    api.status = status
    assert main(["ui", "--cluster", "--port", "1"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "service 'katib-ui:80' in namespace 'kubeflow'" in err
    assert reason in err


@pytest.mark.parametrize(("there", "name"), [((), "series3-dprnn"), (("dprnn",), "dprnn")])
def test_it_leads_to_the_experiment_and_ctrl_c_ends_it(
    there: tuple[str, ...], name: str, api: ApiServer, tmp_path: Path
) -> None:
    """A model's word is its search, unless an experiment has that very name."""
    api.experiments = there
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    words = [sys.executable, "-m", "katib", "ui", "dprnn", "--cluster", "--port", port, "--context", "far"]
    environment = {"PATH": "/usr/bin:/bin", "KUBECONFIG": str(api.kubeconfig(tmp_path))}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as program:
        try:
            assert program.stdout is not None
            path = f"/katib/experiment/{load_site().namespace}/{name}"
            said = program.stdout.readline()
            found = re.fullmatch(rf"http://localhost:{port}{path}\?key=(\S{{43}}) \(Ctrl-C ends it\)\n", said)
            assert found is not None
            assert Browser(int(port), found[1]).ask("GET", path)[:2] == (200, INDEX)
            with socket.create_connection(("127.0.0.1", int(port))):  # a browser opens some to spare
                program.send_signal(signal.SIGINT)
                assert program.wait(600) == 0
            assert program.stderr is not None
            assert program.stderr.read().count("\n") == 1
        finally:
            program.kill()
