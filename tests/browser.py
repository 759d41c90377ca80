"""Debian's chromium, headless, by the DevTools protocol: opens a page and tells what happened.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

SECONDS = 600
PROGRAM = shutil.which("chromium")
MISSING = "chromium is not installed: apt-get install chromium"
FLAGS = (
    "--headless",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Page:
    """One page of the browser. `events` are all that the browser has told of it so far."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=SECONDS, suppress_origin=True)
        self._number = 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Returns what a method of the protocol answers."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                found: dict[str, Any] = message["result"]
                return found
            self.events.append(message)

    def evaluate(self, expression: str) -> Any:
        """Returns the value of a JavaScript expression, awaited where it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def open(self, file: Path | str, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Load `file`, or an address, in a window of that size, and wait until all of it is there."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=file if isinstance(file, str) else file.resolve().as_uri())
        end = time.monotonic() + SECONDS
        while not self._happened("Page.loadEventFired"):
            assert time.monotonic() < end, f"{file} did not load in {SECONDS} s"
            self.events.append(json.loads(self._socket.recv()))
        self.wait_for_frames()

    def wait_until(self, expression: str, seconds: float = SECONDS) -> Any:
        """Returns the value of a JavaScript expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, f"not true within {seconds} s: {expression}"
            time.sleep(0.05)
        return value

    def wait_for_frames(self) -> None:
        """Until what has happened can be seen."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def complaints(self) -> list[str]:
        """Returns what stands in the console, and exceptions."""
        found = []
        for event in self.events:
            kind, detail = event["method"], event["params"]
            if kind == "Runtime.exceptionThrown" or kind == "Log.entryAdded":
                found.append(json.dumps(detail))
            elif kind == "Runtime.consoleAPICalled" and detail["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(detail["args"]))
        return found

    def requests(self) -> list[str]:
        """Returns every address that was asked for; data URIs lie in the page itself."""
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [detail["request"]["url"] for detail in sent if not detail["request"]["url"].startswith("data:")]

    def screenshot(self, file: Path) -> None:
        """The whole page, not only what is in the window."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, file: Path) -> None:
        """The page as it is printed."""
        printed = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        file.write_bytes(base64.b64decode(printed["data"]))

    def close(self) -> None:
        """Let go of the page."""
        self._socket.close()

    def _happened(self, method: str) -> bool:
        return any(event["method"] == method for event in self.events)


@contextmanager
def browser() -> Iterator[Page]:
    """Yields a browser with one page, on a profile of its own."""
    assert PROGRAM is not None, MISSING
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [PROGRAM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            page = Page(_address(Path(profile) / "DevToolsActivePort", process))
            try:
                yield page
            finally:
                page.close()
        finally:
            process.terminate()
            process.wait(SECONDS)


def _address(active: Path, process: "subprocess.Popen[bytes]") -> str:
    """Of the page's socket: the browser writes its port to a file as soon as it listens."""
    end = time.monotonic() + SECONDS
    while "\n" not in _text(active):
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < end, f"chromium did not listen in {SECONDS} s"
        time.sleep(0.02)
    port = int(_text(active).splitlines()[0])
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=SECONDS) as answer:
            for target in json.loads(answer.read()):
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
        assert time.monotonic() < end, "chromium has no page"
        time.sleep(0.02)


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""
