"""A real search, watched in a real browser while it runs, is killed and goes on.

The pictures are kept in build/watch/, for a look at them.
"""

import signal
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from katib.backend.local.backend import LocalBackend
from katib.backend.own_page import ManyServer, listening
from katib.errors import PageError
from katib.watch.screen import Screens
from katib.watch.server import Application
from tests.browser import MISSING, PROGRAM, Page
from tests.katib.backend.local.rig import Rig, manifest, read_until
from tests.katib.report.test_linked import CONTRAST
from tests.ports import free_port

pytestmark = [pytest.mark.skipif(PROGRAM is None, reason=MISSING), pytest.mark.long]
PICTURES = Path("build/watch")
# Each trial waits after its third epoch until it is ended, once.
ONCE = ("--at", "3", "--hang", "--once", "/runs/test/${trialParameters.name}/waited")
SEARCH = manifest("--epochs", "6", *ONCE, values=("5", "3"), parallelTrialCount=2)


def text(section: str, part: str) -> str:
    """Returns the expression that a section shows this."""
    return f"(document.getElementById('{section}')?.textContent ?? '').includes('{part}')"


def served(rig: Rig, port: int) -> "subprocess.Popen[str]":
    """Returns the process of the page, which listens."""
    process = rig.begin("watch", "--port", str(port))
    read_until(process, f"http://localhost:{port}/")
    return process


def test_a_search_is_followed_through_a_kill_to_its_end(rig: Rig, reader: Page) -> None:
    port = free_port()
    process = served(rig, port)
    reader.open(f"http://localhost:{port}/")
    reader.wait_until(text("searches", "no search here yet"))
    engine = rig.start(SEARCH)
    read_until(engine, "epoch 1")
    reader.wait_until(text("strip", "2 running"))
    read_until(engine, "epoch 3")
    reader.wait_until(text("running", "after 3 epochs"))
    reader.wait_until(text("events", "new best"))
    for scheme in ("dark", "light"):
        reader.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        found = reader.evaluate(CONTRAST)
        assert {"bar lane best", "bar lane s-Running", "line s-Running thick"} & set(found), found
        assert {kind: ratio for kind, ratio in found.items() if ratio < (4.5 if kind == "text" else 3.0)} == {}
    reader.evaluate("document.querySelector('input.filter').focus()")

    engine.send_signal(signal.SIGKILL)
    engine.wait()
    reader.wait_until(text("strip", "stands still"))
    engine = rig.start(SEARCH)
    reader.wait_until(text("strip", "2 of 2"))
    assert engine.wait() == 0
    reader.wait_until(text("events", "finished 6 epochs, 11.00 dB"))
    assert reader.evaluate("document.activeElement.className") == "filter"
    assert reader.evaluate("document.querySelectorAll('#trials tbody tr').length") == 2
    assert {line.split("/")[2] for line in reader.requests()} == {f"localhost:{port}"}
    assert reader.complaints() == []

    process.send_signal(signal.SIGINT)
    assert process.wait() == 0
    reader.wait_until("document.getElementById('pulse').className === 'away'")
    assert reader.evaluate(text("strip", "2 of 2"))
    served(rig, port)
    reader.wait_until("document.getElementById('pulse').className === 'muted'")

    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, width, dark in (("live", 1280, False), ("live-dark", 1280, True), ("live-phone", 390, False)):
        reader.open(f"http://localhost:{port}/search/test", width=width, dark=dark)
        reader.wait_until(text("belief", "What the model believes"))
        assert reader.evaluate("document.documentElement.scrollWidth") == width
        reader.screenshot(PICTURES / f"{name}.png")
    reader.evaluate("document.querySelector('#all tbody tr').click()")
    reader.wait_until("!document.getElementById('compare').hidden")
    assert reader.complaints() == []


def test_an_answer_that_never_comes_is_told_and_asked_for_again(rig: Rig, reader: Page) -> None:
    """As behind a tunnel that has died: the page waits for a minute, here for a moment."""
    answers = threading.Event()

    def application(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environment["PATH_INFO"].startswith("/state/"):
            answers.wait()
        return page(environment, start)

    server = listening(0, PageError, ManyServer)
    page = Application(Screens(LocalBackend(rig.folder), rig.folder), server.server_port)
    server.set_app(application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    soon = "const timeout = AbortSignal.timeout; AbortSignal.timeout = (wait) => timeout.call(AbortSignal, wait / 300);"
    reader.call("Page.addScriptToEvaluateOnNewDocument", source=soon)
    try:
        reader.open(f"http://localhost:{server.server_port}/")
        reader.wait_until("document.getElementById('pulse').textContent.startsWith('the watch does not answer')", 60)
        answers.set()
        reader.wait_until("document.getElementById('pulse').textContent === 'live, read-only'", 60)
    finally:
        answers.set()
        server.shutdown()
        server.server_close()
