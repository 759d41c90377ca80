"""GPU-hours of a trial through what happens to its pods: never fewer than before, and what a sum by hand says.

The record is kept by the suggestion service's own bookkeeping, against an API server; what it did not see is part of
the walk.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from katib.backend.cluster.hours import hours
from katib.backend.cluster.kinds import EXPERIMENT_LABEL, TRIAL_LABEL
from katib.backend.cluster.model import owned_by, read_search
from katib.manifest.gpu_hours import gpu_hours
from katib.services.bookkeeping import follow
from katib.services.objects import TrialObject
from katib.services.spending import seconds_of
from tests.katib.backend.cluster.test_plan_and_causes import running
from tests.katib.services.rig import METRIC, DbManager, TrialServer

START = datetime(2026, 11, 28, 10, tzinfo=UTC)
SEARCH = running()
NAME = SEARCH["metadata"]["name"]
TRIAL = f"{NAME}-abcdefgh"


def at(hours: float) -> str:
    return (START + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class World:
    """A trial, its Job and its pods, as the API server has them."""

    api: TrialServer
    db: DbManager
    job: dict[str, Any] = field(default_factory=lambda: {"metadata": {"name": TRIAL}, "spec": {}})
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.trial = self.api.add_trial(TRIAL, NAME, "Created", "Running")
        self.trial["metadata"]["labels"][TRIAL_LABEL] = TRIAL
        self.trial["spec"] = {"objective": {"objectiveMetricName": METRIC}}
        self.trial["status"]["startTime"] = at(0)

    def begin(self, pod: str, hour: float) -> None:
        """A pod's container starts."""
        state = {"name": "trainer", "state": {"running": {"startedAt": at(hour)}}}
        self.pods[pod] = {
            "metadata": {
                "name": f"{TRIAL}-{pod}",
                "creationTimestamp": at(hour),
                "labels": {TRIAL_LABEL: TRIAL, EXPERIMENT_LABEL: NAME},
            },
            "spec": {"nodeName": "node", "containers": [{"name": "trainer"}]},
            "status": {"phase": "Running", "startTime": at(hour), "containerStatuses": [state]},
        }
        self.seen("ADDED", pod)

    def end(self, pod: str, hour: float, phase: str = "Failed") -> None:
        """Its container ends, and its kubelet says so."""
        status = self.pods[pod]["status"]
        start = status["containerStatuses"][0]["state"]["running"]["startedAt"]
        status["phase"] = phase
        ended = {"terminated": {"startedAt": start, "finishedAt": at(hour), "exitCode": 0}}
        status["containerStatuses"][0]["state"] = ended
        self.seen("MODIFIED", pod)

    def gone(self, pod: str) -> None:
        """The pod is no longer there."""
        found = self.pods.pop(pod)
        self.look([{"type": "DELETED", "object": found}])

    def seen(self, kind: str, pod: str) -> None:
        self.look([{"type": kind, "object": self.pods[pod]}])

    def look(self, events: Sequence[dict[str, Any]] = ()) -> None:
        """The bookkeeper lists and watches; with no events it was away until now."""
        self.api.pods, self.api.pod_events = list(self.pods.values()), list(events)
        follow(self.api.api, NAME, lambda trial, metric: self.db_values())

    def db_values(self) -> list[float]:
        return [float(value) for value in self.db.values(TRIAL)]

    def ended(self, hour: float) -> None:
        """Katib has noticed the end of the Job."""
        self.trial["status"]["completionTime"] = at(hour)
        conditions = self.trial["status"]["conditions"]
        conditions[-1]["status"] = "False"
        conditions.append({"type": "Succeeded", "status": "True"})

    def hours(self, now: float) -> float:
        search = read_search(SEARCH)
        (trial,), jobs, pods = owned_by(search, [self.trial], [self.job] if self.job else [], self.pods.values())
        moment = START + timedelta(hours=now)
        return hours(trial, search, jobs.get(TRIAL), pods.get(TRIAL, []), moment)

    def both(self, now: float) -> float:
        """As the table has them, and as the services count them for a budget."""
        found = self.hours(now)
        seconds = seconds_of(TrialObject(self.trial), START + timedelta(hours=now))
        assert gpu_hours(seconds, read_search(SEARCH).gpus) == pytest.approx(found)
        return found


@pytest.fixture
def world(cluster: TrialServer, db: DbManager) -> World:
    return World(cluster, db)


def test_hours_stay_spent_through_drain_pause_resume_end_and_the_jobs_ttl(world: World) -> None:
    seen = [world.both(0.5)]
    world.begin("aaaaa", 1)
    seen.append(world.both(3))  # running: 3 - 1
    world.end("aaaaa", 4)
    seen.append(world.both(4))  # drained at 4
    world.gone("aaaaa")
    seen.append(world.both(5))  # waits for a node
    world.begin("bbbbb", 6)
    seen.append(world.both(8))  # 3 + (8 - 6)
    world.end("bbbbb", 9)
    world.job["spec"]["suspend"] = True
    world.gone("bbbbb")
    seen += [world.both(9), world.both(20)]  # paused over night
    world.job["spec"]["suspend"] = False
    seen.append(world.both(20.5))
    world.begin("ccccc", 21)
    seen.append(world.both(22))  # 3 + 3 + 1
    world.end("ccccc", 23, "Succeeded")
    world.ended(23)
    seen.append(world.both(24))  # 3 + 3 + 2
    world.gone("ccccc")
    world.job = {}
    seen.append(world.both(200))  # all gone but the trial
    assert seen == pytest.approx([0, 2, 3, 3, 5, 6, 6, 6, 7, 8, 8])


def test_a_pod_that_was_killed_unseen_counts_to_the_next_one(world: World) -> None:
    """Force-deleted while the suggestion service was away, twice: no second of it is known to have been idle."""
    world.begin("aaaaa", 1)
    del world.pods["aaaaa"]
    assert world.hours(3) == pytest.approx(2)
    world.begin("bbbbb", 4)
    assert world.hours(5) == pytest.approx(3 + 1)
    del world.pods["bbbbb"]
    world.trial["status"]["conditions"].append({"type": "EarlyStopped", "status": "True"})
    world.trial["status"]["completionTime"] = at(7)
    assert world.hours(9) == pytest.approx(3 + 3)
    world.look()
    assert world.hours(99) == pytest.approx(3 + 3)


def test_a_pause_ends_the_count_of_a_pod_that_nobody_saw_end(world: World) -> None:
    world.begin("aaaaa", 1)
    del world.pods["aaaaa"]
    world.job["spec"]["suspend"] = True
    suspended = {"type": "Suspended", "status": "True", "lastTransitionTime": at(2)}
    world.job["status"] = {"conditions": [suspended]}
    assert world.hours(9) == pytest.approx(1)


def test_the_record_tells_the_last_epoch_of_a_trial_without_a_pod(world: World) -> None:
    """Epochs and value as the DB manager has them when a try ends; a manager that is away leaves those of before."""
    search = read_search(SEARCH)
    world.begin("aaaaa", 1)
    world.db.put(TRIAL, [1.5, 2.5, 2.25])
    world.end("aaaaa", 2)
    world.gone("aaaaa")
    (trial,), _, _ = owned_by(search, [world.trial], [], [])
    assert (trial.record.epochs, trial.record.last) == (3, 2.25)
    assert trial.state == "Running"


def test_of_a_trial_that_nobody_kept_the_record_of_its_whole_time_counts(world: World) -> None:
    """Beside Katib's own suggestion service, its pods and its Job gone."""
    world.ended(6)
    world.job = {}
    assert world.hours(100) == pytest.approx(6)


def test_a_record_is_written_only_where_there_is_news(world: World) -> None:
    world.begin("aaaaa", 1)
    patches = sum(request.startswith("PATCH") for request in world.api.requests)
    for _ in range(3):
        world.seen("MODIFIED", "aaaaa")
    assert sum(request.startswith("PATCH") for request in world.api.requests) == patches == 1
