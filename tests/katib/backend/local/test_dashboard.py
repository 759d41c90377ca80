"""The dashboard of `make ui` on a real server: it shows the study, and no request changes it or comes from another
page.
"""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest

from benchmarks.systems.made_experiment import make_experiment
from katib.backend.local import dashboard
from katib.backend.local.read_only import POLICY, read_only
from katib.backend.local.record import DATABASE, read
from katib.backend.local.store import Store
from katib.backend.local.table import read_table
from katib.manifest.experiment import load_experiment
from katib.search.sampler import sampler
from katib.table.importance import importances
from tests.katib.backend.local.rig import manifest

WRITES = [
    ("DELETE", "/api/studies/1", None),
    ("POST", "/api/studies/1/rename", {"study_name": "other"}),
    ("POST", "/api/studies", {"study_name": "other", "directions": ["minimize"]}),
    ("PUT", "/api/studies/1/note", {"body": "x", "version": 1}),
    ("PUT", "/api/studies/1/1/note", {"body": "x", "version": 1}),
    ("POST", "/api/trials/1/tell", {"state": "Fail"}),
    ("POST", "/api/trials/1/user-attrs", {"user_attrs": {"state": "Failed"}}),
    ("POST", "/api/studies/1/1/skip", {}),
    ("POST", "/incompatible-rdb-schema", None),
    ("POST", "/api/artifacts/1", {"file": "data:,x", "filename": "x"}),
    ("PATCH", "/api/studies/1", {}),
    ("OPTIONS", "/api/studies/1", None),
    ("delete", "/api/studies/1", None),
    ("PROPFIND", "/", None),
]


class Page:
    """A client of the server, with headers as a browser sends them."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Status and body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        given = {"Host": f"localhost:{self.port}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request(method, path, json.dumps(body) if body is not None else None, given)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns a search with one trial that runs and has reported one epoch."""
    experiment = load_experiment(json.dumps(manifest()), "test")
    store = Store.create(tmp_path, experiment.identity())
    space = sampler(experiment.search).space
    trial = store.add("test-abcdefgh", dict.fromkeys(space.axes, "1.5"), space)
    store.report(trial, 1, 2.5)
    store.close()
    return tmp_path


@pytest.fixture
def page(folder: Path) -> Iterator[Page]:
    with served(folder) as found:
        yield found


@contextmanager
def served(folder: Path) -> Iterator[Page]:
    with dashboard.serve(folder / DATABASE, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Page(server.server_port)
        finally:
            server.shutdown()
            thread.join()


def test_it_shows_the_study_and_its_trial(page: Page) -> None:
    status, body = page.ask("GET", "/api/studies/1")
    assert status == 200
    assert json.loads(body)["trials"][0]["intermediate_values"] == [{"step": 1, "value": 2.5}]
    assert page.ask("HEAD", "/dashboard")[0] == 200
    status, body = page.ask("GET", "/api/studies", Origin=f"http://localhost:{page.port}")
    assert json.loads(body)["study_summaries"][0]["study_name"] == "test"


def test_no_request_changes_the_study(page: Page, folder: Path) -> None:
    before, written = read(folder), (folder / DATABASE).read_bytes()
    for method, path, body in WRITES:
        status, text = page.ask(method, path, body)
        assert status == 405, (method, path)
        assert text == f"{method}: this dashboard is read-only; nothing is changed or deleted through it\n"
    for header in ("X_HTTP_Method_Override", "X_Method_Override", "X_HTTP_Method"):
        assert page.ask("GET", "/api/studies/1?_method=DELETE", **{header: "DELETE"})[0] == 200
        assert page.ask("POST", "/api/studies/1", {}, **{header: "GET"})[0] == 405
    assert read(folder) == before
    assert (folder / DATABASE).read_bytes() == written


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:{port}"},
        {"Host": "localhost.attacker.example:{port}"},
        {"Host": "localhost:1"},
        {"Host": "localhost"},
        {"Host": "localhost:{port}, attacker.example"},
        {"Host": "localhost:{port}@attacker.example"},
        {"Host": "127.0.0.1.nip.io:{port}"},
        {"Host": "2130706433:{port}"},
        {"Host": "0.0.0.0:{port}"},
        {"Host": ""},
        {"Origin": "http://attacker.example"},
        {"Origin": "https://localhost:{port}"},
        {"Origin": "null"},
    ],
)
def test_a_request_that_another_page_may_have_caused_is_refused(page: Page, headers: dict[str, str]) -> None:
    """DNS rebinding: the page's own name leads to 127.0.0.1, and the browser names it in Host."""
    filled = {name: text.format(port=page.port) for name, text in headers.items()}
    status, text = page.ask("GET", "/api/studies", **filled)
    assert status == 403
    assert "test" not in text


@pytest.mark.parametrize(
    ("port", "host", "status"),
    [
        (8080, "LOCALHOST:8080", "200"),
        (8080, "[::1]:8080", "200"),
        (80, "localhost", "200"),
        (80, "127.0.0.1", "200"),
        (8080, "127.0.0.1", "403"),
        (80, "attacker.example", "403"),
    ],
)
def test_a_browsers_own_spelling_of_this_machine_is_answered(port: int, host: str, status: str) -> None:
    """Host names are the same in any case, and port 80 is left out of them (RFC 9110, 4.2.3 and 7.2)."""
    answered: list[tuple[str, list[tuple[str, str]]]] = []

    def application(environment: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [])
        return [b""]

    def begin(status: str, headers: list[tuple[str, str]], error: object = None, /) -> Callable[[bytes], object]:
        answered.append((status, headers))
        return lambda _: None

    read_only(application, port)({"REQUEST_METHOD": "GET", "HTTP_HOST": host}, begin)
    ((line, headers),) = answered
    assert line.startswith(status)
    if status == "200":
        assert ("Content-Security-Policy", POLICY) in headers


def test_the_server_listens_on_this_machine_alone(folder: Path) -> None:
    with dashboard.serve(folder / DATABASE, 0) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_route_that_writes_would_fail_at_the_database(folder: Path) -> None:
    """Even where a later dashboard has a GET that changes something."""
    with pytest.raises(optuna.exceptions.StorageInternalError):
        dashboard._storage(folder / DATABASE).delete_study(1)
    assert read(folder)[0].name == "test"


def test_its_importances_are_those_of_the_report(tmp_path: Path) -> None:
    """Shares and order; the dashboard's own, by Optuna's evaluator over the completed trials, are others."""
    make_experiment(tmp_path, 14, 2, name="series3-dprnn")
    found = importances(read_table(tmp_path, "series3-dprnn"))
    with served(tmp_path / "series3-dprnn") as page:
        status, body = page.ask("GET", "/api/studies/1/param_importances")
    (shown,) = json.loads(body)["param_importances"]
    assert status == 200
    assert [(one["name"], one["importance"]) for one in shown] == [(one.name, one.share) for one in found]
    assert {one["distribution"] for one in shown} == {"FloatDistribution"}


def test_of_too_few_trials_it_shows_no_importance_as_the_report_does(page: Page) -> None:
    assert json.loads(page.ask("GET", "/api/studies/1/param_importances")[1]) == {"param_importances": [[]]}
