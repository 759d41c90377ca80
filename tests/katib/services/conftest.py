"""What the tests of the services share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katib.services.early_stopping import HEALTH, EarlyStopping
from katib.services.server import start
from katib.services.stubs import rpc
from tests.katib.services.pod import Pod, Pods
from tests.katib.services.rig import DbManager, TrialServer


@pytest.fixture
def db() -> Iterator[DbManager]:
    manager = DbManager()
    yield manager
    manager.away()


@pytest.fixture
def cluster() -> Iterator[TrialServer]:
    server = TrialServer()
    yield server
    server.close()


@pytest.fixture
def pods(tmp_path: Path, db: DbManager) -> Iterator[Pods]:
    made: list[Pod] = []

    def make(**settings: Any) -> Pod:
        made.append(Pod(tmp_path / f"pod-{len(made)}", db, **settings))
        return made[-1]

    yield make
    for pod in made:
        pod.close()


@pytest.fixture
def stopper(cluster: TrialServer, db: DbManager) -> Iterator[str]:
    """Yields the early-stopping service, with three trials that come to 6 dB at step 4 and the trial t."""
    cluster.add_experiment("search", {"start_step": "3"})
    for letter in "abc":
        cluster.add_trial(f"search-{letter}", "search", "Running", "Succeeded")
        db.put(f"search-{letter}", [3, 4, 5, 6, 6])
    cluster.add_trial("t", "search", "Created", "Running")
    service = EarlyStopping(cluster.api, db.address)
    server, port = start(0, HEALTH, lambda to: rpc.add_EarlyStoppingServicer_to_server(service, to))
    yield f"127.0.0.1:{port}"
    server.stop(None)
