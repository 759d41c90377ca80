"""How deploy waits, for objects that do not change: what it says, and how it ends."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import (
    EXPERIMENT,
    EXPERIMENT_LABEL,
    JOB,
    POD,
    SUGGESTION,
    TRIAL,
    TRIAL_LABEL,
    Kind,
    Object,
)
from katib.backend.cluster.waiting import wait
from katib.errors import ClusterError
from tests.katib.backend.cluster.test_plan_and_causes import ended, running

NAME = "series3-dprnn"
TRIAL_NAME = f"{NAME}-abcdefgh"
METRIC_LINE = "2026-11-28T10:00:00.000000Z val_si_snr=-1.2500"
DENIED = "PermissionError: [Errno 13] Permission denied: '/runs/series3-dprnn'"


class Still(Cluster):
    """A namespace in which nothing changes; `logs` are by pod."""

    def __init__(self, logs: dict[str, str], **objects: list[Object]) -> None:
        self.namespace, self.logs = "test", logs
        self.objects = objects

    def list_at(
        self, kind: Kind, selector: str = "", namespace: str | None = None, fields: str = ""
    ) -> tuple[Sequence[Object], str]:
        return self.objects.get(kind.plural, []), "1"

    def watch(self, kind: Kind, version: str, selector: str = "") -> Iterator[Object]:
        time.sleep(0.2)
        yield from ()

    def log(self, pod: str, container: str, limit_bytes: int) -> str:
        if pod not in self.logs:
            raise ClusterError("the node does not answer")
        return self.logs[pod]


def object_of(kind: str, name: str, owner: str, **more: Any) -> Object:
    labels = {EXPERIMENT_LABEL: NAME, TRIAL_LABEL: TRIAL_NAME}
    owners = [{"uid": owner, "controller": True}]
    return {
        "metadata": {"name": name, "uid": f"{kind}-uid", "labels": labels, "ownerReferences": owners},
        **more,
    }


def pod(name: str, owner: str = "job-uid", at: int = 0, **status: Any) -> Object:
    containers = [{"name": "trainer"}, {"name": "metrics-logger-and-collector"}]
    found = object_of("pod", name, owner, spec={"containers": containers, "nodeName": "node1"}, status=status)
    found["metadata"] |= {"uid": name, "creationTimestamp": f"2026-11-28T10:00:0{at}Z"}
    return found


def namespace(logs: dict[str, str], *pods: Object, owner: str = "u", state: str = "Running") -> Still:
    trial_status = {"conditions": [{"type": state, "status": "True"}]}
    trial = object_of("trial", TRIAL_NAME, owner, spec={}, status=trial_status)
    kinds = {
        EXPERIMENT: [running()],
        TRIAL: [trial],
        JOB: [object_of("job", TRIAL_NAME, "trial-uid", spec={})],
    }
    kinds |= {POD: list(pods), SUGGESTION: []}
    return Still(logs, **{kind.plural: found for kind, found in kinds.items()})


@pytest.mark.parametrize("line", [METRIC_LINE, "unprocessed validation mixtures: 0.05 dB SI-SNR"])
def test_a_trial_trains_once_its_log_says_so(line: str) -> None:
    said: list[str] = []
    assert wait(namespace({"a": line}, pod("a", phase="Running")), NAME, 20, said.append)
    assert said == [f"trial '{TRIAL_NAME}' trains on node 'node1'"]


@pytest.mark.parametrize(
    ("logs", "words"),
    [
        ({"a": "dprnn (paper), 2,633,729 parameters, on cuda:0"}, "does not train yet"),
        ({}, "its log cannot be read: the node does not answer"),
        (
            {"a": "waits for room: /runs/x cannot be written (No space left on device); tries again every 30 s"},
            "waits for room: /runs/x cannot be written",
        ),
    ],
)
def test_a_running_container_is_not_training_yet(logs: dict[str, str], words: str) -> None:
    said: list[str] = []
    assert not wait(namespace(logs, pod("a", phase="Running")), NAME, 1, said.append)
    assert words in said[0]
    assert "trains on" not in "".join(said)


@pytest.mark.parametrize("owner", ["of the one before", "u"])
def test_an_old_trial_of_a_deleted_experiment_of_the_same_name_is_not_announced(owner: str) -> None:
    """Neither its trial is, nor its pod where a new trial has the old name."""
    old = pod("a", owner="job-uid" if owner != "u" else "old-job", phase="Running")
    said: list[str] = []
    assert not wait(namespace({"a": METRIC_LINE}, old, owner=owner), NAME, 1, said.append)
    assert "trains on" not in "".join(said)


def test_the_failure_of_a_first_try_is_said_at_once_and_makes_deploy_fail() -> None:
    """The runs volume belongs to root: the next try waits, and would fail for the same reason."""
    said: list[str] = []
    tries = (pod("a", **ended(1)), pod("b", at=1, phase="Pending"))
    cluster = namespace({"a": f"Traceback (most recent call last):\n{DENIED}"}, *tries)
    with pytest.raises(ClusterError, match=r"no trial trains after 1 s: .*Permission denied: '/runs"):
        wait(cluster, NAME, 1, said.append)
    assert f"try 1 ended: {DENIED} (exit code 1)" in said[0]
    assert "chown" in said[0]


def test_a_failed_search_makes_deploy_fail_with_the_cause_of_its_trials() -> None:
    cluster = namespace({"a": DENIED}, pod("a", **ended(1)), state="Failed")
    cluster.objects[EXPERIMENT.plural][0]["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    with pytest.raises(ClusterError, match=r"has failed: .*Permission denied"):
        wait(cluster, NAME, 20, print)


def test_a_claim_that_never_gets_a_volume_is_the_reason_of_a_pod_that_waits_for_it() -> None:
    """The scheduler does not mention a claim that is bound with its first pod; the claim's own event does."""
    waits = pod("one", phase="Pending")
    del waits["spec"]["nodeName"]
    waits["spec"]["volumes"] = [{"persistentVolumeClaim": {"claimName": "sepsweep-runs"}}]
    failed = {"type": "Warning", "reason": "ProvisioningFailed", "message": "no room in the pool"}
    found = namespace({}, waits)
    found.objects |= {"events": [failed], "storageclasses": []}
    claim = {"metadata": {"name": "runs"}, "spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Pending"}}
    found.get = lambda kind, name, namespace=None: claim  # type: ignore[method-assign]
    said: list[str] = []
    assert not wait(found, NAME, 0.5, said.append)
    assert "claim 'sepsweep-runs' has no volume: ProvisioningFailed: no room in the pool" in said[0]
    claim["status"] = {"phase": "Bound"}
    said.clear()
    assert not wait(found, NAME, 0.5, said.append)
    assert "waits for the scheduler" in said[0]
