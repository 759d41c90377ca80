"""Plays Katib's controller: creates the trials of an Experiment and writes their states."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from katib.backend.cluster.doctor.trial import trial_job
from katib.backend.cluster.kinds import (
    EXPERIMENT,
    JOB,
    POD,
    PROPOSED_LABEL,
    PROPOSER,
    SUGGESTION,
    TRIAL,
    TRIAL_LABEL,
    Object,
)
from katib.trial import CONTINUES_LABEL
from tests.cluster.tools import Tools, bury_all

NAME = "series3-dprnn"
ASSIGNMENTS = {"lr": "0.001", "weight_decay": "1e-05", "grad_clip_norm": "5", "lr_factor": "0.5"}


class Katib:
    """The trials of an Experiment that is already applied."""

    def __init__(self, tools: Tools, experiment: str) -> None:
        self.tools = tools
        found = tools.cluster.get(EXPERIMENT, experiment)
        assert found is not None
        self.experiment = found
        self.name = experiment

    def trial(
        self, name: str, *, job: bool = True, assignments: Mapping[str, str] = ASSIGNMENTS, continues: str = ""
    ) -> str:
        """Creates a trial with its Job, which is running as far as Katib knows, and returns its name.

        One that `continues` another has the label that a suggestion gives it, which Katib's webhook puts on its pods.
        """
        labels = {**self.experiment["metadata"]["labels"], "katib.kubeflow.org/experiment": self.name}
        labels |= {PROPOSED_LABEL: PROPOSER, **({CONTINUES_LABEL: continues} if continues else {})}
        owner = {"apiVersion": "kubeflow.org/v1beta1", "controller": True, "blockOwnerDeletion": True}
        of_experiment = {
            **owner,
            "kind": "Experiment",
            "name": self.name,
            "uid": self.experiment["metadata"]["uid"],
        }
        spec = {
            "objective": self.experiment["spec"]["objective"],
            "parameterAssignments": [{"name": key, "value": value} for key, value in assignments.items()],
        }
        metadata = {
            "name": name,
            "namespace": self.tools.namespace,
            "labels": labels,
            "ownerReferences": [of_experiment],
        }
        body: dict[str, Any] = {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Trial",
            "metadata": metadata,
            "spec": spec,
        }
        made = self.tools.cluster.create(TRIAL, body)
        self.state(name, "Running")
        if job:
            body = trial_job(self.experiment, name)
            if continues:
                body["spec"]["template"]["metadata"]["labels"][CONTINUES_LABEL] = continues
            body["metadata"]["ownerReferences"] = [
                {**owner, "kind": "Trial", "name": name, "uid": made["metadata"]["uid"]}
            ]
            self.tools.cluster.create(JOB, body)
        self.count()
        return name

    def suggestion(self, requests: int = 2) -> None:
        """Creates the Suggestion that Katib makes for the Experiment, with a Deployment that is not ready."""
        body = {
            "apiVersion": "kubeflow.org/v1beta1",
            "kind": "Suggestion",
            "metadata": {"name": self.name, "labels": self.experiment["metadata"]["labels"]},
            "spec": {"requests": requests},
        }
        self.tools.cluster.create(SUGGESTION, body)
        waits = {**_condition("DeploymentReady", False), "message": "Deployment is not ready"}
        self.tools.status(SUGGESTION, self.name, {"conditions": [_condition("Created"), waits]})

    def state(self, trial: str, state: str, value: float | None = None, hours: float = 1.0) -> None:
        """Writes the trial's condition and, with `value`, its observation (max is the value, latest a bit lower)."""
        now = datetime.now(UTC)
        begin, end = (
            (now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        conditions = [_condition("Created"), _condition("Running", state in ("Running", "EarlyStopped"))]
        status: dict[str, Any] = {"startTime": begin, "conditions": conditions}
        if state != "Running":
            conditions.append(_condition(state))
            status["completionTime"] = end
        if value is not None:
            metric = {
                "name": "val_si_snr",
                "max": str(value),
                "min": str(value - 3),
                "latest": str(value - 0.5),
            }
            status["observation"] = {"metrics": [metric]}
        self.tools.status(TRIAL, trial, status)

    def count(self, **status: Any) -> None:
        """Writes the counters of the Experiment's status, and its conditions."""
        trials = len(self.tools.cluster.list(TRIAL, f"katib.kubeflow.org/experiment={self.name}"))
        self.tools.status(EXPERIMENT, self.name, {"trials": trials, "conditions": [_condition("Running")], **status})

    def end(self, state: str) -> None:
        """Ends the Experiment."""
        self.count(conditions=[_condition("Running", False), _condition(state)])

    def pod(self, trial: str, after: str = "") -> Object:
        """Creates the pod that the Job controller makes for the trial; `after` is the name of the one before."""
        return self.tools.first(POD, f"{TRIAL_LABEL}={trial}", lambda pod: pod["metadata"]["name"] != after)

    def train(self, trial: str) -> Object:
        """Makes the trial's pod run."""
        pod = self.pod(trial)
        self.tools.run(pod)
        return pod


def _condition(kind: str, true: bool = True) -> dict[str, str]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": kind, "status": "True" if true else "False", "lastTransitionTime": now, "lastUpdateTime": now,
            "reason": f"Trial{kind}", "message": f"is {kind}"}  # fmt: skip


def as_json(text: str) -> Any:
    """Returns what a verb printed with --json."""
    return json.loads(text)


def in_background(work: Callable[[], object]) -> threading.Thread:
    """Runs in a thread what the test plays while a verb runs."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def bury(tools: Tools, count: int) -> None:
    """Plays a kubelet with pods that are being deleted: it reports them as gone."""
    gone = 0
    end = time.monotonic() + 300
    while gone < count and time.monotonic() < end:
        gone += _bury(tools)
        time.sleep(0.1)


@contextmanager
def burying(tools: Tools) -> Iterator[None]:
    """Plays such a kubelet meanwhile."""
    done = threading.Event()

    def run() -> None:
        while not done.wait(0.1):
            _bury(tools)

    thread = in_background(run)
    try:
        yield
    finally:
        done.set()
        thread.join(60)


def _bury(tools: Tools) -> int:
    """Returns how many pods that are being deleted it has reported as gone."""
    deleted = [pod for pod in tools.cluster.list(POD) if "deletionTimestamp" in pod["metadata"]]
    bury_all(tools.cluster, deleted)
    return len(deleted)
