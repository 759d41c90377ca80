"""Runs real trials in two namespaces with searches of one name under random faults, and compares them epoch by epoch.

    python -m pytest -p no:xdist -p tests.cluster.conftest -p tests.cluster.pods.conftest -s \
        benchmarks/robustness/two_namespaces.py

On the one-node Kubernetes of the tests (as root, after `make test-cluster`), with a stand-in for Katib's controller,
which puts the trials of both into each request, as Katib does. TRIALS (110), FAULTS (20) and SEED are variables of the
environment. Each row of the database must be an epoch of a run directory, once, and each epoch must have a row.
"""

import json
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from katib.backend.cluster.kinds import EXPERIMENT, JOB, NAMESPACE
from katib.services.stubs import pb
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster import rig
from tests.cluster.pods import services
from tests.cluster.pods.conftest import SECURITY, Services
from tests.cluster.pods.test_chaos import delete, evict, kill, newest
from tests.cluster.pods.trial import NAME, PATIENCE, shortened
from tests.cluster.pods.trial_webhook import wrap
from tests.cluster.search import Katib
from tests.cluster.tools import Tools, manifest
from tests.cluster.webhook import Webhook
from tests.katib.services.rig import Condition, DbManager, experiment, point, trial

TRIALS, FAULTS, SEED = (
    int(os.environ.get(name, value)) for name, value in (("TRIALS", 110), ("FAULTS", 20), ("SEED", 1))
)
EPOCHS, PARALLEL = 3, 2
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
pytestmark = pytest.mark.allow_hosts([rig.HOST, rig.API, "127.0.0.1", "::1"])


class Half:
    """The search of one namespace, and what Katib's controller does for it."""

    def __init__(self, tools: Tools, site: Site, image: str, runs: Path, luck: random.Random) -> None:
        tools.cluster.merge(NAMESPACE, tools.namespace, {"metadata": {"labels": {SECURITY: "baseline"}}})
        tools.cluster.apply(EXPERIMENT, manifest(site, "demo", name=NAME, epochs=EPOCHS, trials=TRIALS))
        self.tools, self.runs, self.luck = tools, runs / NAME, luck
        self.katib = shortened(Katib(tools, NAME), tries=9)
        self.stub = Services(tools, services.start(tools, NAME, image)).suggestion()
        self.assignments: dict[str, Any] = {}
        self.running: set[str] = set()

    def proceed(self, other: "Half", most: int) -> bool:
        """Marks the trials that have ended, and begins another one where a slot is free; returns whether it did."""
        for name in sorted(self.running):
            job = self.tools.cluster.get(JOB, name) or {}
            ended = {item["type"] for item in job.get("status", {}).get("conditions", []) if item["status"] == "True"}
            if state := "Succeeded" if "Complete" in ended else "Failed" if "Failed" in ended else "":
                self.katib.state(name, state, 1.0 if state == "Succeeded" else None)
                self.running.remove(name)
        if len(self.running) == PARALLEL or len(self.assignments) == most:
            return False
        trials = [*other.described(), *self.described()]
        request = pb.GetSuggestionsRequest(
            experiment=experiment(NAME, settings={"random_state": "1"}),
            trials=trials,
            current_request_number=1,
            total_request_number=len(self.assignments) + 1,
        )
        (item,) = self.stub.GetSuggestions(request, timeout=PATIENCE, wait_for_ready=True).parameter_assignments
        name = f"{NAME}-{''.join(self.luck.choices(LETTERS, k=8))}"
        self.assignments[name] = item
        self.running.add(self.katib.trial(name, assignments=point(item)))
        return True

    def described(self) -> list[object]:
        """Returns the trials as a request of Katib has them."""
        ends = {name: Condition.RUNNING if name in self.running else Condition.SUCCEEDED for name in self.assignments}
        return [trial(name, item, ends[name], None) for name, item in self.assignments.items()]


@pytest.fixture
def halves(
    place: Tools, site: Site, runs: Path, claim_folders: dict[str, Path], db: DbManager, image: str, katib: Webhook
) -> Iterator[list[Half]]:
    """Yields the two searches."""
    luck, folder = random.Random(SEED), runs.with_name(f"{runs.name}-b")
    folder.mkdir()
    os.chown(folder, site.user.uid, site.user.gid)
    other_site = site.model_copy(update={"namespace": f"{site.namespace}-b"})
    other = Tools(place.kubeconfig, other_site.namespace)
    other.prepare(other_site, claim_folders | {site.claims.runs: folder})
    by_namespace = {tools.namespace: tools for tools in (place, other)}

    def wrapped(pod: dict[str, Any]) -> dict[str, Any]:
        tools = by_namespace[pod["metadata"]["namespace"]]
        collector = lambda name: services.collector(image, tools, NAME, name)  # noqa: E731
        return wrap(pod, "packages", rules=True, collector=collector)

    katib.wrap = wrapped
    yield [Half(place, site, image, runs, luck), Half(other, other_site, image, folder, luck)]
    other.kubectl("delete", "jobs", "--all", "--cascade=foreground", "--timeout=300s")
    other.end()
    shutil.rmtree(folder)


def faults(halves: list[Half], db: DbManager, luck: random.Random) -> dict[str, Callable[[], object]]:
    """Returns what can happen, by name; a pod is that of a trial which runs."""
    half = luck.choice([half for half in halves if half.running])
    name = luck.choice(sorted(half.running))
    tools, folder = half.tools, half.runs / name

    def away() -> None:
        db.away()
        time.sleep(5)
        db.back()

    def server() -> None:
        with rig.api_server_away():
            time.sleep(3)

    def collector() -> None:
        kill(folder, "katib.services")
        delete(tools, newest(tools, name))

    label = f"katib.kubeflow.org/deployment={NAME}-bayesianoptimization"
    dns = ("-n", "kube-system", "delete", "pod", "-l", "k8s-app=kube-dns", "--grace-period=1", "--wait=false")
    return {
        "pod deleted": lambda: delete(tools, newest(tools, name)),
        "pod deleted by force": lambda: delete(tools, newest(tools, name), "--force", "--grace-period=0"),
        "pod evicted": lambda: evict(tools, newest(tools, name)),
        "trainer killed": lambda: kill(folder, "trainer"),
        "collector killed": collector,
        "services killed": lambda: tools.kubectl("delete", "pod", "-l", label, "--force", "--grace-period=0"),
        "DB manager away": away,
        "API server away": server,
        "kubelet restarted": lambda: rig.restart("kubelet"),
        "containerd restarted": lambda: rig.restart("containerd"),
        "controller manager restarted": lambda: rig.restart("kube-controller-manager"),
        "DNS restarted": lambda: rig.kubectl(*dns),
    }


def test_summary_and_database_agree_epoch_by_epoch(halves: list[Half], db: DbManager) -> None:
    luck, begin, happened = random.Random(SEED), time.monotonic(), Counter[str]()
    due = sorted(luck.sample(range(2, TRIALS), FAULTS))
    while any(len(half.assignments) < TRIALS // 2 or half.running for half in halves):
        for half, other in (halves, halves[::-1]):
            half.proceed(other, TRIALS // 2)
        begun = sum(len(half.assignments) for half in halves)
        while due and begun > due[0] and any(half.running for half in halves):
            name, disturb = luck.choice(sorted(faults(halves, db, luck).items()))
            try:
                disturb()
            except (RuntimeError, ValueError, OSError) as error:  # the pod or the process has just ended
                print(f"{name} came too late: {str(error)[:80]}", flush=True)
                continue
            due.pop(0)
            happened[name] += 1
            print(f"{time.monotonic() - begin:5.0f} s  {begun} trials begun  {name}", flush=True)
        time.sleep(0.5)
    epochs, wrong = 0, []
    for half in halves:
        for name in half.assignments:
            history = json.loads((half.runs / name / "summary.json").read_text())["history"]
            expected = [(record["time"], round(record[METRIC], 4)) for record in history]
            rows = sorted((time, float(value)) for time, _, value in db.rows[name])
            epochs += len(expected)
            if rows != expected or len(expected) != EPOCHS:
                wrong.append(f"{name}: {rows} in the database, {expected} in the run directory")
    took = time.monotonic() - begin
    print(f"{TRIALS} trials, {epochs} epochs, {sum(happened.values())} faults {dict(happened)}, {took:.0f} s")
    assert not wrong, "\n".join(wrong)
