"""Trials that really train, with our collector, under one disturbance after the other; docs/cluster.md lists them."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from katib.backend.cluster.kinds import EVENT, JOB, POD, TRIAL_LABEL, Object
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster import rig
from tests.cluster.pods import services
from tests.cluster.pods.conftest import Services
from tests.cluster.pods.trial import NAME, PATIENCE, begin, hold, process_of
from tests.cluster.pods.trial_webhook import wrap
from tests.cluster.tools import Tools
from tests.cluster.webhook import Webhook
from tests.katib.services.rig import DbManager

OTHER, SHORT = "other", 24
"""A second search, and the epochs of its trial: more than it trains until it is held after the second."""
SERVICES = "katib.services"
"""The program of the collector and of the early-stopping service."""


def kill(folder: Path, program: str) -> None:
    """Kills the process of a run's program, as soon as there is one."""
    os.kill(process_of(folder.name, program), signal.SIGKILL)


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


@dataclass
class Chaos:
    """What happens to one trial and to all that it needs."""

    place: Tools
    db: DbManager
    katib: Webhook
    trial: str
    folder: Path

    def pod(self) -> str:
        return newest(self.place, self.trial)

    def failing(self, disturb: Callable[[], object]) -> None:
        """Costs the trial one of its tries.

        The controller manager is killed once it has counted the try: its successor knows nothing of the 10, 20, 40 …
        seconds that it waits before the next.
        """

        def failed(found: Object) -> int:
            return int(found.get("status", {}).get("failed", 0))

        before = failed(self.place.cluster.get(JOB, self.trial) or {})
        disturb()
        self.place.first(JOB, "", lambda found: found["metadata"]["name"] == self.trial and failed(found) > before)
        rig.restart("kube-controller-manager")

    def trainer(self) -> None:
        """Kills the trainer four times in a row, as soon as there is one."""
        for _ in range(4):
            self.failing(lambda: kill(self.folder, "trainer"))

    def collector(self) -> None:
        """Kills the collector, and deletes the pod, whose trainer has none any more."""
        kill(self.folder, SERVICES)
        self.failing(lambda: delete(self.place, self.pod()))

    def services(self) -> None:
        """Kills the suggestion and the early-stopping process of every search here, but no collector."""
        ends = ([SERVICES], [f"{SERVICES}.suggestion", "--db-manager"])
        for process in [process for process, words in rig.in_pods() if words[2:4] in ends]:
            os.kill(process, signal.SIGKILL)

    def controller(self) -> None:
        """Deletes the pod while Katib's controller is away, without whose webhook there is no next pod."""
        self.katib.away = True
        self.failing(lambda: delete(self.place, self.pod()))
        refused = lambda found: self.trial in str(found) and "failed calling webhook" in str(found)  # noqa: E731
        self.place.first(EVENT, "", refused)
        self.katib.away = False

    def force(self) -> None:
        """Deletes the pod so that nothing of it can save."""
        self.failing(lambda: delete(self.place, self.pod(), "--force", "--grace-period=0"))

    def power(self) -> None:
        """Ends all that runs on the node at once."""
        self.failing(rig.cut_power)

    def programs(self) -> None:
        """Kills the node's programs, one after the other, and the DNS; pods stay."""
        for program in ("containerd", "kubelet", "kube-controller-manager"):
            rig.restart(program)
        rig.kubectl("-n", "kube-system", "delete", "pod", "-l", "k8s-app=kube-dns", "--grace-period=1", "--wait=false")


def require_each_epoch_once(db: DbManager, folder: Path, *, least: int) -> None:
    """Raises AssertionError where the DB manager's rows are not the run directory's epochs, by time and value."""
    history = json.loads((folder / "summary.json").read_text())["history"]
    rows = sorted((time, float(value)) for time, _, value in db.rows[folder.name])
    assert rows == [(record["time"], round(record[METRIC], 4)) for record in history][: len(rows)]
    assert len(rows) >= least


def test_no_epoch_is_lost_or_doubled_whatever_happens_to_a_trial(
    running: Services, db: DbManager, katib: Webhook, site: Site, runs: Path
) -> None:
    """At the end the DB manager has each epoch of the run directory once, with its time and its value."""
    place = running.tools
    _, trial = begin(place, site, tries=20)
    chaos = Chaos(place, db, katib, trial, runs / NAME / trial)
    disturbances = (
        chaos.programs, chaos.trainer, chaos.collector, chaos.services, chaos.controller, chaos.force, chaos.power,
    )  # fmt: skip
    for disturb in disturbances:
        db.wait_for(trial, len(db.values(trial)) + 1, PATIENCE)
        disturb()
    db.wait_for(trial, len(db.values(trial)) + 1, PATIENCE)
    last = chaos.pod()
    evict(place, last)
    place.kubectl("wait", "--for=delete", f"pod/{last}", "--timeout=300s")
    require_each_epoch_once(db, chaos.folder, least=len(disturbances) + 1)


def test_a_trial_ends_while_the_api_server_and_the_db_manager_are_away_beside_another_search(
    running: Services, db: DbManager, katib: Webhook, site: Site, runs: Path, image: str
) -> None:
    """Both searches train; after the return the ended one has all of its epochs in the database, the other goes on."""
    place = running.tools
    services.start(place, OTHER, image)
    collector = lambda trial: services.collector(image, place, trial.partition("-")[0], trial)  # noqa: E731
    katib.wrap = partial(wrap, packages="packages", rules=True, collector=collector)
    _, lasting = begin(place, site)
    db.wait_for(lasting, 1, PATIENCE)
    _, ending = begin(place, site, epochs=SHORT, name=OTHER)
    summary = runs / OTHER / ending / "summary.json"
    held = hold(ending, summary.parent, 2)
    assert state(summary) == "running"
    db.wait_for(ending, 1, PATIENCE)
    with rig.api_server_away():
        db.away()
        before = len(db.values(lasting))
        os.kill(held, signal.SIGCONT)
        end = time.monotonic() + PATIENCE
        while state(summary) != "finished":
            assert time.monotonic() < end
            time.sleep(0.2)
    db.back()
    rig.restart("kube-controller-manager")  # which by now asks for the API server every half minute only
    place.kubectl("wait", "--for=condition=Complete", f"job/{ending}", "--timeout=300s")
    require_each_epoch_once(db, summary.parent, least=SHORT)
    db.wait_for(lasting, before + 1, PATIENCE)
    pod = newest(place, lasting)
    delete(place, pod)
    require_each_epoch_once(db, runs / NAME / lasting, least=before + 1)


def state(summary: Path) -> str:
    """Returns what a run's summary says that it does."""
    return str(json.loads(summary.read_text())["state"])
