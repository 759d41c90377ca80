"""As much of W&B's server as its SDK needs: it answers, and remembers what was reported."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

PROJECT = {"id": "P", "name": "sepsweep", "entity": {"id": "E", "name": "team"}}
VIEWER = {"id": "V", "entity": "team", "username": "u", "email": "", "flags": "{}", "teams": {"edges": []}}
SERVER: dict[str, Any] = {"cliVersionInfo": {}, "latestLocalVersionInfo": None, "features": []}


class WandbServer(ThreadingHTTPServer):
    """Keeps runs by name as the SDK has reported them; requests with `silent_on` in their path are never answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.silent_on: str | None = None
        self.closing = threading.Event()
        self.runs: list[dict[str, Any]] = []
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.alerts: list[dict[str, Any]] = []
        self.exit_codes: list[int] = []
        self.files: list[str] = []
        self.ended, self.asked = threading.Event(), threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        """What a training needs to report to this server."""
        return {
            "WANDB_BASE_URL": f"http://127.0.0.1:{self.server_port}",
            "WANDB_API_KEY": KEY,
            "WANDB_PROJECT": "sepsweep",
            "WANDB_RUN_GROUP": "exp",
        }

    def graphql(self, name: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertBucket" in query:
            self.runs.append(variables)
            bucket = {"id": "B", "name": variables["name"], "displayName": variables["displayName"]}
            bucket |= {"config": "{}", "project": PROJECT, "historyLineCount": len(self.history)}
            return {"upsertBucket": {"bucket": bucket, "inserted": len(self.runs) == 1}}
        if name == "RunResumeStatus":
            return {"model": PROJECT | {"bucket": self._resume_status() if self.runs else None}}
        if "Alert" in name:
            self.alerts.append(variables)
        if name == "CreateRunFiles":
            self.files += variables["files"]
            return {"createRunFiles": {"runID": "B", "uploadHeaders": [], "files": []}}
        return {"viewer": VIEWER, "serverInfo": SERVER}

    def _resume_status(self) -> dict[str, Any]:
        tail = json.dumps([json.dumps(row) for row in self.history[-1:]])
        counts = {"historyLineCount": len(self.history), "eventsLineCount": 0, "logLineCount": 0}
        texts = {"summaryMetrics": json.dumps(self.summary), "historyTail": tail, "eventsTail": "[]"}
        name = self.runs[0]["name"]
        texts |= {"wandbConfig": json.dumps({"t": 1}), "config": "{}"}
        return {"id": "B", "name": name, "displayName": name, "tags": []} | counts | texts

    def stream(self, message: dict[str, Any]) -> None:
        """Part of the run's files."""
        for file, part in (message.get("files") or {}).items():
            rows = [json.loads(line) for line in part["content"]]
            if file == "wandb-history.jsonl":
                assert part["offset"] == len(self.history)
                self.history += rows
            elif file == "wandb-summary.json":
                self.summary = rows[-1]
        if message.get("complete"):
            self.exit_codes.append(message["exitcode"])
            self.ended.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def log_message(self, format: str, *args: object) -> None:
        """The tests' output stays clean."""

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        message = json.loads(body)
        if self.path == "/graphql":
            name = message.get("operationName") or ""
            self._answer({"data": self.server.graphql(name, message["query"], message.get("variables") or {})})
        else:
            self._answer({}, before=lambda: self.server.stream(message))

    def _answer(self, content: dict[str, Any], before: Any = lambda: None) -> None:
        self.server.asked.set()
        if self.server.silent_on is not None and self.server.silent_on in self.path:
            self.server.closing.wait()
            return
        before()
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


KEY = "0123456789abcdef0123456789abcdef01234567"


Server = TypeVar("Server", bound=WandbServer)


@contextmanager
def wandb_server(kind: Callable[[], Server] = WandbServer) -> Iterator[Server]:  # type: ignore[assignment]
    """Yields a running server."""
    with kind() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()
