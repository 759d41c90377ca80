"""What the live page answers: to whom, to what, and what it shows where something is missing, damaged or hostile."""

import html
import json
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIEnvironment

import pytest

from benchmarks.systems.made_experiment import make_experiment
from katib.backend.base import Backend
from katib.backend.local.backend import LocalBackend
from katib.backend.local.record import DATABASE, MANIFEST
from katib.conclude.confirmation import keep
from katib.conclude.verdict import judge
from katib.errors import ClusterError
from katib.table.trial_table import CLUSTER, TrialTable
from katib.watch import screen
from katib.watch.depth import Depth
from katib.watch.outcome import Outcome
from katib.watch.screen import Screens
from katib.watch.sections import PARTS
from katib.watch.server import Application, WatchServer
from tests.katib.report.simulated import row, searched, table
from tests.ports import free_port
from tests.verbs import katib

PORT, NAME = 8123, "made"
NOWHERE = Path("nosuch")
UPDATE = Outcome.update


class Browser:
    """Asks the application as a browser of this machine does."""

    def __init__(self, backend: Any, price: float | None = None, out: Path = NOWHERE) -> None:
        self.application = Application(Screens(backend, out, price), PORT)
        self.status, self.headers = "", dict[str, str]()

    def ask(self, path: str, method: str = "GET", query: str = "", **headers: str) -> str:
        """Returns the body of the answer."""
        environment: WSGIEnvironment = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}
        environment |= {"HTTP_HOST": f"localhost:{PORT}", **headers}

        def start(status: str, headers: Any, error: Any = None, /) -> Any:
            self.status, self.headers = status, dict(headers)

        return b"".join(self.application(environment, start)).decode()

    def sections(self, name: str = NAME) -> dict[str, str]:
        """Returns the HTML of each section."""
        document = json.loads(self.ask(f"/state/{name}"))
        return {section["id"]: section["html"] for section in document["sections"]}


class Fake:
    """A backend of tables in memory."""

    look_seconds = 0.0

    def __init__(self, *tables: TrialTable, lines: list[str] | None = None) -> None:
        self.tables = {table.identity.name: table for table in tables}
        self.lines = lines or []
        self.reads = 0
        self.away = ""

    def experiments(self) -> list[str]:
        if self.away:
            raise ClusterError(self.away)
        return list(self.tables)

    def version(self, experiment: str) -> None:
        return None

    def table(self, experiment: str) -> TrialTable:
        self.reads += 1
        if self.away:
            raise ClusterError(self.away)
        return self.tables[experiment]

    def corpus_check(self) -> str:
        return ""

    def halted(self, experiment: str) -> str:
        return ""

    def last_lines(self, experiment: str, trial: str, most: int) -> list[str]:
        return self.lines[-most:]


@pytest.fixture(autouse=True)
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow sections have a test of their own, and would go on in the next test."""
    monkeypatch.setattr(Depth, "update", lambda self, table, verdict: None)
    monkeypatch.setattr(Outcome, "update", lambda self, table: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the runs folder of a search of 30 trials. Not to be changed."""
    folder = tmp_path_factory.mktemp("watched")
    make_experiment(folder, 30, 5, name=NAME)
    return folder


@pytest.fixture
def browser(made: Path) -> Browser:
    return Browser(LocalBackend(made))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "delete", "PROPFIND"])
def test_it_only_reads(browser: Browser, method: str) -> None:
    assert "read-only" in browser.ask("/", method)
    assert browser.status == "405 Method Not Allowed"
    assert browser.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "localhost:1", "", f"127.0.0.1.nip.io:{PORT}"]
)
def test_another_host_is_answered_with_nothing_of_the_search(browser: Browser, host: str) -> None:
    for path in ("/", f"/state/{NAME}", "/watch.js"):
        assert NAME not in browser.ask(path, HTTP_HOST=host)
        assert browser.status == "403 Forbidden"


def test_another_page_is_refused_and_its_own_is_not(browser: Browser) -> None:
    browser.ask("/", HTTP_ORIGIN="https://evil.example")
    assert browser.status == "403 Forbidden"
    for host in (f"127.0.0.1:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"):
        browser.ask("/", HTTP_HOST=host)
        assert browser.status == "200 OK"


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", f"/search/../{NAME}", f"/state/{NAME}/{DATABASE}", f"/{NAME}/{MANIFEST}", "/search/nosuch", "//", "",
     "/state/..", "/search/" + "x" * 5000, "/search/\x00", f"/search/{NAME}/", "/templates/watch.js", "/watch.js/"],
)  # fmt: skip
def test_no_path_leads_to_a_file(browser: Browser, path: str) -> None:
    assert browser.ask(path) == f"no such page: open http://localhost:{PORT}/\n"
    assert browser.status == "404 Not Found"


def test_nothing_of_the_page_comes_from_elsewhere_or_is_inline(browser: Browser) -> None:
    text = browser.ask("/")
    policy = browser.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "style=" not in text
    assert "<style" not in text
    assert text.count("<script") - text.count('<script type="application/json"') == 1
    assert browser.headers["X-Content-Type-Options"] == "nosniff"
    assert browser.ask("/", "HEAD") == ""
    assert int(browser.headers["Content-Length"]) > 1000


def test_a_page_that_has_it_all_costs_nothing(browser: Browser) -> None:
    first = json.loads(browser.ask(f"/state/{NAME}"))
    tag = browser.headers["ETag"]
    assert browser.ask(f"/state/{NAME}", HTTP_IF_NONE_MATCH=tag) == ""
    assert browser.status == "304 Not Modified"
    have = ",".join(section["tag"] for section in first["sections"][1:])
    again = json.loads(browser.ask(f"/state/{NAME}", query=f"have={have}"))
    assert [section["id"] for section in again["sections"] if "html" in section] == [first["sections"][0]["id"]]


def test_the_page_is_whole_without_a_script(browser: Browser) -> None:
    # A page does not wait for a first look that takes long, as on a busy machine.
    browser.sections()
    text = browser.ask("/")
    for part in ("30 of 30", "Events", "failed: diverged", "made-00000009", "val_si_snr"):
        assert part in text.replace('<span class="prefix">made-</span>', "made-"), part


def test_nothing_of_the_study_is_changed(made: Path, browser: Browser) -> None:
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    browser.sections()
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


def test_names_reasons_and_lines_with_html_are_text(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>\"'</script>"
    failed = row(1, [1.0], state="Failed", reason=evil, fix=evil, ended=1e9, trial=evil, node=evil)
    fake = Fake(table(failed, replace(row(2, [1.0, 2.0]), assignments={evil: evil})), lines=[evil] * 12)
    text = "".join(Browser(fake).sections("series3-sepformer").values())
    assert "onerror=alert" in text
    assert "<img" not in text
    assert text.count("</script") == text.count('<script type="application/json" id="trials-data">') == 1
    assert "its last 10 lines" in text


def test_a_search_that_cannot_be_read_any_more_stays_with_what_was_seen() -> None:
    fake = Fake(table(row(1, [1.0, 2.0])))
    browser = Browser(fake)
    assert "2.00 dB" in browser.sections("series3-sepformer")["strip"]
    fake.away = "cluster away"
    found = browser.sections("series3-sepformer")
    assert "2.00 dB" in found["strip"]
    assert "cluster away; what follows is what was there at" in found["notes"]
    fake.away = ""
    assert "away" not in "".join(browser.sections("series3-sepformer").values())


def test_a_cluster_that_was_never_reached_is_named() -> None:
    fake = Fake()
    fake.away = "the API server does not answer"
    assert "the API server does not answer" in Browser(fake).ask("/")


def test_a_folder_without_a_search_says_how_one_starts(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nosuch"):
        assert "no search here yet; `make local MODEL=…` starts one" in Browser(LocalBackend(folder)).ask("/")


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0" + b"x" * 5000, b"not a database"])
def test_a_damaged_study_shows_what_its_runs_have_written(made: Path, tmp_path: Path, damage: bytes) -> None:
    shutil.copytree(made, tmp_path / "runs")
    (tmp_path / "runs" / NAME / DATABASE).write_bytes(damage)
    found = Browser(LocalBackend(tmp_path / "runs")).sections()
    assert "what follows is what its runs have written themselves" in found["notes"]
    assert "made-" in found["all"]
    (tmp_path / "runs" / NAME / MANIFEST).unlink()
    found = Browser(LocalBackend(tmp_path / "runs")).sections()
    assert "cannot be read" in found["notes"]
    assert "strip" not in found


def test_a_study_that_is_being_written_is_read_as_it_was(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "runs")
    writer = sqlite3.connect(tmp_path / "runs" / NAME / DATABASE)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM trial_intermediate_values")
    try:
        assert "30 of 30" in Browser(LocalBackend(tmp_path / "runs")).sections()["strip"]
    finally:
        writer.rollback()
        writer.close()


def test_trials_without_a_metric_or_a_time_are_listed() -> None:
    rows = [
        row(1, [], state="MetricsUnavailable", started=None),
        row(2, [], state="Created", started=None, seconds=0.0),
        row(3, [float("nan")], state="Running"),
    ]
    found = Browser(Fake(table(*rows))).sections("series3-sepformer")
    assert "none yet" in found["strip"]
    assert "00000003" in found["all"]


def test_ten_megabytes_of_output_give_ten_lines(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "runs")
    run = tmp_path / "runs" / NAME / f"{NAME}-00000009"
    run.mkdir(exist_ok=True)
    (run / "output.log").write_text("x" * 99 + "\n" + ("y" * 99 + "\n") * 105_000 + "the last one\n")
    found = Browser(LocalBackend(tmp_path / "runs")).sections()["events"]
    assert "the last one</pre>" in found
    assert len(found) < 60_000


def test_a_changed_study_alone_is_read_again(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(made, tmp_path / "runs")
    backend, reads = LocalBackend(tmp_path / "runs"), list[str]()
    read = LocalBackend.table
    monkeypatch.setattr(LocalBackend, "look_seconds", 0.0)
    monkeypatch.setattr(LocalBackend, "table", lambda self, name: reads.append(name) or read(self, name))
    browser = Browser(backend)
    for _ in range(5):
        browser.sections()
    assert len(reads) == 1
    (tmp_path / "runs" / NAME / DATABASE).touch()
    browser.sections()
    assert len(reads) == 2


def test_what_runs_is_shown_before_the_long_table_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    late = [replace(part, build=lambda view: str(go_on.wait(600))) if part.id == "lanes" else part for part in PARTS]
    monkeypatch.setattr(screen, "PARTS", late)
    browser = Browser(Fake(table(*(row(number, [1.0], state="Running") for number in range(1, 130)))))
    try:
        assert list(browser.sections("series3-sepformer")) == ["searches", "notes", "strip", "running"]
    finally:
        go_on.set()


def test_all_of_2000_trials_are_in_the_table_and_in_what_its_script_knows() -> None:
    found = shown(Browser(Fake(table(*(row(number, [1.0]) for number in range(2000))))), "all")
    assert found.count("<tr data-trial=") + found.count('<tr class="best" data-trial=') == 2000
    known = found.partition('id="trials-data">')[2].partition("</script>")[0]
    assert len(json.loads(known)["trials"]) == 2000
    assert "of 2000 trials" not in found


def test_a_search_that_has_ended_shows_what_it_came_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outcome, "update", UPDATE)
    rows = [row(number, [float(number)], lr=number / 1000) for number in range(1, 5)]
    search = table(*rows, venue=CLUSTER)
    browser = Browser(Fake(search), out=tmp_path)
    assert "Not confirmed yet" in shown(browser, "outcome")
    settings = search.rows[3].assignments
    verdict = judge(settings, {7: 5.0, 8: 5.1}, others=[], baseline={42: 3.0, 43: 3.1}, seen=())
    keep(tmp_path, search.identity.name, verdict)
    browser = Browser(Fake(search), out=tmp_path)
    assert verdict.sentence in html.unescape(shown(browser, "outcome"))
    assert "<svg" in browser.sections(search.identity.name)["seeds"]


def shown(browser: Browser, section: str) -> str:
    """Returns a section of the page that follows the others."""
    until = time.monotonic() + 600
    while section not in (found := browser.sections("series3-sepformer")) and time.monotonic() < until:
        time.sleep(0.05)
    return found[section]


def test_a_price_tells_the_cost() -> None:
    fake = Fake(table(row(1, [1.0] * 12), row(2, [2.0], state="Running")))
    assert "cost: 4.33 of about" in Browser(fake, price=2.0).sections("series3-sepformer")["strip"]


def test_a_port_in_use_is_one_line(made: Path) -> None:
    with WatchServer(Screens(LocalBackend(made), made), 0) as server:
        done = katib("watch", "--out", str(made), "--port", str(server.port))
    assert done.returncode == 2
    assert done.stderr == f"error: port {server.port}: Address already in use; take another --port\n"


def test_a_file_for_the_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = katib("watch", "--out", str(tmp_path / "file"), "--port", "8090")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: --out {tmp_path / 'file'}: is no folder; name that of the runs, such as runs\n"


def test_each_backend_lists_its_searches(made: Path) -> None:
    backend: Backend = LocalBackend(made)
    assert list(backend.experiments()) == [NAME]
    assert backend.version(NAME) != backend.version("nosuch")
    assert backend.last_lines(NAME, "nosuch", 10) == []


def test_the_report_and_what_the_model_believes_follow() -> None:
    told = list[int]()
    depth = Depth(lambda: told.append(1), NOWHERE)
    depth.build(searched(20, epochs=10))
    found = {section.id: section.html for section in depth.sections}
    assert list(found) == ["belief", "parallel", "history", "curves", "slices", "importance", "cost", "provenance"]
    assert "Ten more trials promise about +" in found["belief"]
    assert found["belief"].count("data-trial=") == 5
    assert told
    assert depth.belief.slices
    depth.build(table(row(1, [1.0])))
    assert "Too few trials have ended" in {section.id: section.html for section in depth.sections}["belief"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WatchServer, "serve", lambda _: None)
    port = free_port()
    done = katib("watch", "--out", str(tmp_path / "rnus"), "--port", str(port))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"note: {tmp_path / 'rnus'}: there is no such folder yet; the page fills when a search begins in it\n"
        f"http://localhost:{port}/ (Ctrl-C ends it; the searches go on)\n"
    )


def test_before_the_first_epoch_there_are_no_headings_without_a_figure() -> None:
    depth = Depth(lambda: None, NOWHERE)
    depth.build(table(row(1, [], state="Created", started=None, seconds=0.0, gpu_hours=0.0)))
    assert [section.id for section in depth.sections] == ["provenance"]
