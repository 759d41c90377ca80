"""A real search, watched in a real browser while it runs, is killed and goes on.

The pictures are kept in build/watch/, for a look at them.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import MISSING, PROGRAM, Page, browser
from tests.katib.backend.local.rig import Rig, manifest, read_until

pytestmark = [pytest.mark.skipif(PROGRAM is None, reason=MISSING), pytest.mark.long]
PICTURES = Path("build/watch")
VALUES = ("1", "5", "3")
SEARCH = manifest("--epochs", "6", "--seconds", "0.25", values=VALUES, parallelTrialCount=2)


@pytest.fixture(scope="module")
def reader() -> Iterator[Page]:
    with browser() as page:
        yield page


def text(section: str, part: str) -> str:
    """Returns the expression that a section shows this."""
    return f"(document.getElementById('{section}')?.textContent ?? '').includes('{part}')"


def served(rig: Rig, port: int = 0) -> str:
    """Returns the address of the page, from a process of its own."""
    words = ["--port", str(port)] if port else ["--port", str(free_port())]
    line = read_until(rig.begin("watch", *words), "http://")[-1]
    return line.split()[0]


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_search_is_followed_through_a_kill_to_its_end(rig: Rig, reader: Page) -> None:
    address = served(rig)
    reader.open(address)
    reader.wait_until(text("searches", "no search here yet"))
    engine = rig.start(SEARCH)
    read_until(engine, "epoch 1")
    reader.wait_until(text("strip", "2 running"))
    read_until(engine, "epoch 3")
    reader.wait_until(text("events", "new best"))
    reader.evaluate("document.querySelector('input.filter').focus()")

    engine.send_signal(signal.SIGKILL)
    engine.wait()
    reader.wait_until(text("strip", "stands still"))
    engine = rig.start(SEARCH)
    reader.wait_until(text("strip", "3 of 3"))
    assert engine.wait() == 0
    reader.wait_until(text("events", "finished 6 epochs, 11.00 dB"))
    assert reader.evaluate("document.activeElement.className") == "filter"
    assert reader.evaluate("document.querySelectorAll('#trials tbody tr').length") == 3
    PICTURES.mkdir(parents=True, exist_ok=True)
    reader.screenshot(PICTURES / "live.png")
    assert reader.complaints() == []
    assert {line.split("/")[2] for line in reader.requests()} == {address.split("/")[2]}
