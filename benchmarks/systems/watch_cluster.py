"""Measures how long the end of an epoch in a pod takes to reach the live page of a cluster.

    python -m pytest -p no:xdist -p tests.cluster.conftest -p tests.cluster.pods.conftest -s \
        benchmarks/systems/watch_cluster.py

On the one-node Kubernetes of the tests (as root, after `make test-cluster`), with a stand-in for Katib. A trial really
trains in a pod, our collector reports its epochs to a stand-in for Katib's DB manager, and `watch` reads that through a
pod that relays to it. The page is asked for as a browser asks for it. Each epoch counts, by the time at which it ended.
On a busy machine, times are upper bounds. SECONDS (120) is a variable of the environment.
"""

import json
import os
import re
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from benchmarks.systems.watch import ADDRESS, cpu, line, served
from katib.backend.cluster.backend import ClusterBackend
from katib.site import Site
from katib.tries import instant
from tests.cluster import rig
from tests.cluster.pods.conftest import Services
from tests.cluster.pods.trial import NAME, PATIENCE, begin
from tests.cluster.tools import Tools
from tests.katib.services.rig import DbManager

LIMIT, SECONDS = 10.0, float(os.environ.get("SECONDS", "120"))
RELAY = """
import socket, sys, threading
def pump(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
server = socket.create_server(("", 6789))
while True:
    here, _ = server.accept()
    there = socket.create_connection((sys.argv[1], int(sys.argv[2])))
    for pair in ((here, there), (there, here)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""
pytestmark = pytest.mark.allow_hosts([rig.HOST, rig.API, "127.0.0.1", "::1"])


@pytest.fixture
def relayed(running: Services, db: DbManager) -> Iterator[Services]:
    """Yields the services of a search, with a pod behind the Service of the DB manager, to which kubectl forwards."""
    made, label = Tools(running.tools.kubeconfig, "kubeflow"), {"app": "relay"}
    container = {
        "name": "relay", "image": "local/base:dev", "command": ["python3", "-c", RELAY, rig.HOST, str(db.port)],
        "ports": [{"containerPort": 6789}],
    }  # fmt: skip
    spec = {"containers": [container], "nodeSelector": {"kubernetes.io/hostname": "node1"}}
    made.make({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "relay", "labels": label}, "spec": spec})
    made.kubectl("patch", "service", "katib-db-manager", "-p", json.dumps({"spec": {"selector": label}}))
    made.kubectl("wait", "--for=condition=Ready", "pod/relay", "--timeout=300s")
    yield running
    made.kubectl("delete", "pod", "relay", "--force", "--grace-period=0")


def test_an_epoch_reaches_the_page(relayed: Services, db: DbManager, site: Site, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    _, trial = begin(relayed.tools, site, epochs=100_000)
    db.wait_for(trial, 1, PATIENCE)
    late: list[float] = []
    with served(tmp_path, "--cluster", "--site", str(file)) as process:
        seen, tag, begun = shown("")
        taken, first = cpu(process.pid), time.time()
        while time.time() < first + SECONDS:
            time.sleep(ClusterBackend.look_seconds)
            epochs, tag, now = shown(tag)
            ends = sorted(stamp for stamp, _, _ in db.rows[trial])
            late += [now - moment.timestamp() for end in ends[seen:epochs] if (moment := instant(end))]
            seen = max(seen, epochs)
        share = 100 * (cpu(process.pid) - taken) / (time.time() - first)
    assert late
    print(f"\n{len(late)} epochs in {time.time() - begun:.0f} s, {share:.1f} % of a core for the server")
    line("from an epoch's end to the page, median", statistics.median(late), "s", LIMIT)
    line("the same, latest", max(late), "s", LIMIT)


def shown(tag: str) -> tuple[int, str, float]:
    """Returns the epochs of the running trial on the page, the page's tag, and when they were there."""
    headers = {"If-None-Match": f'"{tag}"'} if tag else {}
    request = urllib.request.Request(f"{ADDRESS}/state/{NAME}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            text, now = json.dumps(json.load(answer)), time.time()
    except urllib.error.HTTPError as error:
        if error.code != 304:
            raise
        return 0, tag, time.time()
    assert "does not answer" not in text, text
    found = re.search(r"after (\d+) epoch", text)
    return int(found[1]) if found else 0, answer.headers["ETag"].strip('"'), now
