"""The same search on this machine and on a cluster: the verbs that read results say the same of both.

On this machine it is a real store. The cluster is the product's own client with a kubeconfig, against a server that has
Katib's objects at the API's paths, and a DB manager over gRPC; only kubectl, which forwards its port, is a script.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from katib.backend.base import Backend
from katib.backend.choice import choose_backend
from katib.backend.cluster.backend import ClusterBackend
from katib.backend.cluster.kinds import EXPERIMENT, TRIAL
from katib.backend.local.backend import LocalBackend
from katib.backend.local.record import MANIFEST, Effort
from katib.backend.local.store import Store
from katib.errors import SepsweepError
from katib.manifest.experiment import load_experiment
from katib.search.space import Space
from katib.site import load_site
from katib.watch.screen import Screens
from katib.yaml_reader import read_yaml
from tests.katib.conclude.made import BEST, manifest
from tests.katib.services.rig import DbManager
from tests.verbs import katib

NAME, CONTEXT = "series3-dprnn", "fake"
TRIALS = {
    f"{NAME}-aaaaaaaa": ("Succeeded", "0.001", (1.0, 3.0, 2.0)),
    f"{NAME}-bbbbbbbb": ("Succeeded", "0.002", (1.0, 2.0, 4.0)),
    f"{NAME}-cccccccc": ("EarlyStopped", "0.004", (0.5, 0.25)),
    f"{NAME}-dddddddd": ("Failed", "0.009", ()),
}
"""State, learning rate and values by epoch."""


@dataclass(frozen=True)
class Place:
    """Where the search is: the options of a verb that reads it there, and its backend."""

    words: tuple[str, ...]
    backend: Backend
    out: Path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    folder = tmp_path_factory.mktemp("both")
    document = manifest(trials=4)
    make_store(folder / "here" / NAME, document)
    manager, server = DbManager(), api_server(document)
    for name, (_, _, values) in TRIALS.items():
        if values:
            manager.put(name, list(values))
    kubectl, config = folder / "bin" / "kubectl", folder / "kubeconfig"
    kubectl.parent.mkdir()
    kubectl.write_text(f"#!/bin/sh\necho Forwarding from 127.0.0.1:{manager.port}\nexec sleep 60\n")
    kubectl.chmod(0o755)
    config.write_text(json.dumps(kubeconfig(server.server_port)))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PATH", f"{kubectl.parent}:/usr/bin:/bin")
        environment.setenv("KUBECONFIG", str(config))
        here, away = folder / "here", folder / "away"
        yield {
            "local": Place(("--out", str(here)), choose_backend(here, cluster=False), here),
            "cluster": Place(
                ("--out", str(away), "--context", CONTEXT), choose_backend(away, None, CONTEXT, cluster=False), away
            ),
        }
    manager.away()
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["local", "cluster"])
def place(request: pytest.FixtureRequest, places: dict[str, Place]) -> Place:
    return places[request.param]


def make_store(folder: Path, document: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text(json.dumps(document))
    experiment = load_experiment(json.dumps(document), NAME)
    store, space = Store.create(folder, experiment.identity()), Space.of(experiment.search.parameters)
    for name, (state, lr, values) in TRIALS.items():
        trial = store.add(name, {**BEST, "lr": lr}, space)
        for epoch, value in enumerate(values, 1):
            trial = store.report(trial, epoch, value)
        store.update(trial, state=state, effort=Effort(seconds=7200.0, starts=1, gpu=True))
    store.close()


def trial_object(name: str, state: str, lr: str, values: tuple[float, ...]) -> dict[str, Any]:
    """As Katib's controller leaves it after two hours."""
    conditions = [{"type": kind, "status": "True"} for kind in ("Created", "Running", state)]
    status: dict[str, Any] = {
        "conditions": conditions,
        "startTime": "2026-11-24T09:30:00Z",
        "completionTime": "2026-11-24T11:30:00Z",
    }
    if values:
        result = {"max": str(max(values)), "min": str(min(values)), "latest": str(values[-1])}
        status["observation"] = {"metrics": [{"name": "val_si_snr", **result}]}
    return {
        "metadata": {"name": name, "labels": {"katib.kubeflow.org/experiment": NAME}},
        "spec": {
            "objective": {"objectiveMetricName": "val_si_snr"},
            "parameterAssignments": [{"name": key, "value": value} for key, value in {**BEST, "lr": lr}.items()],
        },
        "status": status,
    }


def api_server(document: dict[str, Any]) -> ThreadingHTTPServer:
    """Returns a server that answers for one Experiment and its Trials, and lists nothing of any other kind."""
    namespace = load_site().namespace
    absent = {"code": 404, "reason": "NotFound", "details": {"name": "it"}}
    experiment = {**document, "metadata": {**document["metadata"], "uid": "1"}}
    named = {EXPERIMENT.path(namespace, NAME): experiment}
    listed = {
        EXPERIMENT.path(namespace): [experiment],
        TRIAL.path(namespace): [trial_object(name, *fields) for name, fields in TRIALS.items()],
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            missing = EXPERIMENT.path(namespace) in path and path not in (*named, *listed)
            body = named.get(path) or {"metadata": {"resourceVersion": "1"}, "items": listed.get(path, [])}
            data = json.dumps(absent if missing else body).encode()
            self.send_response(404 if missing else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": CONTEXT, "user": {"token": "x"}}],
        "current-context": CONTEXT,
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
    }


def test_a_context_alone_means_the_cluster(places: dict[str, Place], tmp_path: Path) -> None:
    assert isinstance(places["local"].backend, LocalBackend)
    assert isinstance(places["cluster"].backend, ClusterBackend)
    assert isinstance(choose_backend(tmp_path, cluster=True), ClusterBackend)


def test_a_backend_knows_what_it_has(place: Place) -> None:
    """The manifest that it returns is one that can be run, wherever it comes from."""
    for asked in (place.backend.has, place.backend.begun, place.backend.settled):
        assert (asked(NAME), asked("other")) == (True, False)
    assert place.backend.manifest("other") is None
    text = place.backend.manifest(NAME)
    assert text is not None
    assert load_experiment(text, "x").search == load_experiment(json.dumps(manifest(trials=4)), "x").search
    assert read_yaml(text)["metadata"]["name"] == NAME
    with pytest.raises(SepsweepError, match="other"):
        place.backend.table("other")


def test_results_are_the_same(places: dict[str, Place]) -> None:
    same = ("trial", "state", "assignments", "val_si_snr", "best_epoch", "epochs", "seconds", "gpu_hours")
    records = {}
    for name, place in places.items():
        done = katib("results", NAME, "--json", *place.words)
        assert done.returncode == 0, done.stderr
        records[name] = [{key: record[key] for key in same} for record in json.loads(done.stdout)]
    assert records["local"] == records["cluster"]
    assert [record["val_si_snr"] for record in records["local"]] == [4.0, 3.0, 0.5, None]


def test_the_best_configurations_are_the_same(places: dict[str, Place]) -> None:
    found = {name: katib("best", "dprnn", "--json", *place.words) for name, place in places.items()}
    assert [done.returncode for done in found.values()] == [0, 0]
    assert found["local"].stdout == found["cluster"].stdout


def test_the_confirmation_that_follows_is_the_same(places: dict[str, Place]) -> None:
    found = {name: katib("confirm", NAME, "--json", *place.words) for name, place in places.items()}
    assert [(done.returncode, done.stderr) for done in found.values()] == [(0, ""), (0, "")]
    assert found["local"].stdout == found["cluster"].stdout
    assert json.loads(found["local"].stdout)["runs_to_go"] == 7


def test_what_was_used_is_the_same(places: dict[str, Place]) -> None:
    found = {name: katib("plan", "dprnn", *place.words) for name, place in places.items()}
    assert [done.returncode for done in found.values()] == [0, 0]
    # Only of the cluster it is known from its site where the corpus lies.
    *lines, corpus = found["cluster"].stdout.splitlines()
    assert (found["local"].stdout.splitlines(), corpus) == (lines, "corpus not checked: make corpus-check DATA=…")
    assert "used" in found["local"].stdout


def test_the_log_has_the_same_entry_and_a_command_that_finds_the_search(places: dict[str, Place]) -> None:
    entries = {}
    for name, place in places.items():
        file = place.out / "LOG.md"
        done = katib("log", NAME, "--file", str(file), *place.words)
        assert done.returncode == 0, done.stderr
        entries[name] = file.read_text().splitlines()
    (local,), (cluster,) = ([line for line in lines if "Spec: " in line] for lines in entries.values())
    assert local == cluster
    for name, words in (("local", f"make confirm EXPERIMENT={NAME}"), ("cluster", f"EXPERIMENT={NAME} CLUSTER=1")):
        assert any(line.endswith(words) for line in entries[name]), entries[name]


def test_the_report_is_written(place: Place) -> None:
    done = katib("report", NAME, *place.words)
    assert done.returncode == 0, done.stderr
    assert f"report: {place.out / NAME / 'report.html'}" in done.stdout


def test_its_page_leads_to_the_search(place: Place) -> None:
    with place.backend.page(NAME, 8123 if isinstance(place.backend, ClusterBackend) else 0) as page:
        assert NAME in page.title
        assert "http://localhost:" in page.title
        assert page.notes


def test_the_live_page_shows_the_same(places: dict[str, Place]) -> None:
    """All but the sections of times, which the local store has no record of here."""
    shown = {}
    for name, place in places.items():
        screen = (Screens(place.backend, Path("nosuch")).all(60) or {})[NAME]
        state = screen.look(60)
        assert state is not None
        shown[name] = {section.id: section.html for section in state.sections}
        assert "4 of 4" in shown[name]["strip"]
        assert "4.00 dB" in shown[name]["strip"]
    assert shown["local"]["notes"] == shown["cluster"]["notes"]
