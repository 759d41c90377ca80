"""A trial that really trains, with our collector, under one disturbance after the other; docs/cluster.md lists them."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from katib.backend.cluster.kinds import POD, TRIAL_LABEL
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster import rig
from tests.cluster.pods.conftest import PATIENCE, Services
from tests.cluster.pods.trial import NAME, begin
from tests.cluster.tools import Tools
from tests.katib.services.rig import DbManager

MORE = 1
"""The epochs that must follow after each disturbance."""


def kill(folder: Path, program: str) -> None:
    """Kills the oldest process of a program that has the run's name in a word; the trainer's readers are younger."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if program.encode() in words and any(folder.name.encode() in word for word in words):
            found.append(int(entry.name))
    os.kill(min(found), signal.SIGKILL)


def evict(place: Tools, pod: str) -> None:
    """Asks the API server to evict a pod, as `kubectl drain` does."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": place.namespace}}
    path = f"/api/v1/namespaces/{place.namespace}/pods/{pod}/eviction"
    place.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def delete(place: Tools, pod: str, *words: str) -> None:
    """Deletes a pod and waits until it is gone."""
    place.kubectl("delete", "pod", pod, "--timeout=300s", *words)


def newest(place: Tools, trial: str) -> str:
    """Returns the name of the trial's newest pod."""
    pods = place.cluster.list(POD, f"{TRIAL_LABEL}={trial}")
    return str(max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])["metadata"]["name"])


def test_no_epoch_is_lost_or_doubled_whatever_happens_to_a_trial(
    running: Services, db: DbManager, site: Site, runs: Path
) -> None:
    """At the end the DB manager has each epoch of the run directory once, with its time and its value."""
    place = running.tools
    _, trial = begin(place, site, tries=9)
    folder = runs / NAME / trial

    def collector() -> None:
        kill(folder, "katib.services")
        delete(place, newest(place, trial))

    def programs() -> None:
        for program in ("containerd", "kubelet", "kube-controller-manager"):
            rig.restart(program)
        rig.kubectl("-n", "kube-system", "delete", "pod", "-l", "k8s-app=kube-dns", "--grace-period=1", "--wait=false")

    disturbances: list[Callable[[], object]] = [programs, lambda: kill(folder, "trainer"), collector]
    for disturb in disturbances:
        db.wait_for(trial, len(db.values(trial)) + MORE, PATIENCE)
        disturb()
    db.wait_for(trial, len(db.values(trial)) + MORE, PATIENCE)
    last = newest(place, trial)
    evict(place, last)
    place.kubectl("wait", "--for=delete", f"pod/{last}", "--timeout=300s")
    history = json.loads((folder / "summary.json").read_text())["history"]
    rows = sorted((time, float(value)) for time, _, value in db.rows[trial])
    expected = [(record["time"], round(record[METRIC], 4)) for record in history]
    assert rows == expected[: len(rows)]
    assert len(rows) >= MORE * (len(disturbances) + 1)
