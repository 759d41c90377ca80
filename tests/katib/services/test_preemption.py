"""Kueue is told how much work each trial would lose: who has just saved goes first, and who waits preempts nobody."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from katib.services.kubernetes_api import AbsentError
from katib.services.objects import BOOST, QUEUE_LABEL
from katib.services.preemption import MOST, boost, tell
from tests.katib.services.rig import TrialServer

NAME, NOW = "sweep", datetime(2026, 11, 29, 12, tzinfo=UTC)
SAVED = {"sweep-a": 1, "sweep-b": 12, "sweep-c": 40}
"""Minutes since the last epoch of each trial."""


def ago(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def saved(trial: str, metric: str, since: datetime) -> datetime | None:
    assert metric
    minutes = SAVED.get(trial)
    last = None if minutes is None else NOW - timedelta(minutes=minutes)
    return last if last is not None and last > since else None


def workload(job: str, *conditions: str, **annotations: str) -> dict[str, Any]:
    """Returns a Workload as Kueue makes it."""
    held = [{"type": kind, "status": "True"} for kind in conditions]
    metadata: dict[str, Any] = {
        "name": f"job-{job}",
        "resourceVersion": "7",
        "ownerReferences": [{"kind": "Job", "name": job}],
    }
    found: dict[str, Any] = {"metadata": metadata, "status": {"conditions": held}}
    if annotations:
        metadata["annotations"] = {key.replace("__", "/"): text for key, text in annotations.items()}
    return found


@pytest.fixture
def queued(cluster: TrialServer) -> TrialServer:
    """Returns a cluster in which Kueue admits the trials of a search; each has run for an hour."""
    cluster.add_experiment(NAME, {})
    labels = {"kueue.x-k8s.io/queue-name": "gpus"}
    template = {"trialSpec": {"metadata": {"labels": labels}}}
    cluster.objects[f"experiments/{NAME}"]["spec"]["trialTemplate"] = template
    for trial in (*SAVED, "sweep-d", "sweep-e"):
        cluster.add_trial(trial, NAME, "Running")
        begun = {"state": {"running": {"startedAt": ago(3 if trial == "sweep-d" else 60)}}}
        pod = {"metadata": {"name": f"{trial}-x", "labels": {"katib.kubeflow.org/trial": trial}}}
        if trial != "sweep-e":
            cluster.pods.append({**pod, "status": {"phase": "Running", "containerStatuses": [begun]}})
    return cluster


@pytest.mark.parametrize("version", ["v1beta2", "v1beta1"])
def test_the_trial_that_saved_last_has_the_lowest_priority(queued: TrialServer, version: str) -> None:
    """40 minutes after its last epoch a trial has saved within the epoch, twice."""
    other = {"metadata": {"name": "other", "ownerReferences": [{"kind": "RayJob", "name": "sweep-a"}]}}
    queued.workloads[version] = [
        *(workload(trial, "Admitted") for trial in ("sweep-a", "sweep-b", "sweep-c", "sweep-d")),
        workload("sweep-e", "QuotaReserved", **{BOOST.replace("/", "__"): "10"}),
        workload("somebody", "Admitted"),
        other,
    ]
    assert tell(queued.api, NAME, saved, NOW)
    boosts = {item["metadata"]["name"]: item["metadata"].get("annotations", {}) for item in queued.workloads[version]}
    assert {name: found[BOOST] for name, found in boosts.items() if found} == {
        "job-sweep-b": "10",
        "job-sweep-c": "10",
        "job-sweep-e": "0",
    }
    queued.requests.clear()
    assert tell(queued.api, NAME, saved, NOW)
    assert not [request for request in queued.requests if request.startswith("PATCH")]


def test_a_search_that_no_queue_admits_is_left_alone_once_a_trial_runs(queued: TrialServer) -> None:
    del queued.objects[f"experiments/{NAME}"]["spec"]["trialTemplate"]
    queued.objects["jobs/sweep-a"] = {"metadata": {"name": "sweep-a"}}
    assert not tell(queued.api, NAME, saved, NOW)
    queued.pods.clear()
    assert tell(queued.api, NAME, saved, NOW)


def test_a_queue_that_takes_the_trials_by_default_is_told_as_one_that_the_search_names(queued: TrialServer) -> None:
    """Kueue's webhook gives the label to each Job of a namespace with a queue `default`, and the search has none."""
    del queued.objects[f"experiments/{NAME}"]["spec"]["trialTemplate"]
    queued.objects["jobs/sweep-b"] = {"metadata": {"name": "sweep-b", "labels": {QUEUE_LABEL: "default"}}}
    queued.workloads["v1beta2"] = [workload("sweep-b", "Admitted")]
    assert tell(queued.api, NAME, saved, NOW)
    assert queued.workloads["v1beta2"][0]["metadata"]["annotations"] == {BOOST: "10"}


def test_without_kueue_nothing_is_told(queued: TrialServer) -> None:
    with pytest.raises(AbsentError, match="Kueue is not installed"):
        tell(queued.api, NAME, saved, NOW)


@pytest.mark.parametrize(("minutes", "wanted"), [(-5, 0), (0, 0), (4.9, 0), (5, 5), (14.9, 10), (600, MOST)])
def test_the_boost_is_bounded_and_has_steps(minutes: float, wanted: int) -> None:
    assert boost(timedelta(minutes=minutes)) == wanted
