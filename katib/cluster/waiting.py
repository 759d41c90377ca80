"""Waits for the first trial of an Experiment to train, with a reason for every second. Called by deploy."""

import time
from collections.abc import Callable

from katib.cluster.causes import Cause, why_failed, why_waiting
from katib.cluster.client import Cluster
from katib.cluster.kinds import (
    EXPERIMENT,
    EXPERIMENT_LABEL,
    JOB,
    POD,
    SIDECAR,
    SUGGESTION,
    TRIAL,
    TRIAL_LABEL,
    Kind,
    Object,
)
from katib.cluster.mirror import Mirror
from katib.cluster.model import Pod, Search, read_job, read_pod, read_search, read_trial
from katib.errors import ClusterError

NO_SIDECAR = "warning: pod '{}' has no metrics collector ({}), so Katib will never see its metrics; stop it, then make doctor"


def wait(cluster: Cluster, name: str, seconds: float, say: Callable[[str], None]) -> bool:
    """Until a trial pod of experiment `name` runs, at most `seconds`; each new reason for waiting is said once.

    Whether one runs. Raises ClusterError where the search has failed before that.
    """
    only = f"{EXPERIMENT_LABEL}={name}"
    selectors = {EXPERIMENT: "", SUGGESTION: "", TRIAL: only, JOB: only, POD: f"{only},{TRIAL_LABEL}"}
    began, said = time.monotonic(), ""
    with Mirror(cluster, selectors) as mirror:
        while (left := began + seconds - time.monotonic()) > 0:
            mirror.wait(min(left, 10.0))
            if problem := mirror.problem:
                reason: str | None = str(problem)
            elif not mirror.complete:
                continue
            else:
                reason = _reason(mirror.objects(), name, say)
            if reason is None:
                return True
            if reason != said:
                say(f"{time.monotonic() - began:4.0f} s  {reason}")
                said = reason
    say(f"no trial runs after {seconds:.0f} s; the search goes on waiting: make status shows it")
    return False


def _reason(objects: dict[Kind, list[Object]], name: str, say: Callable[[str], None]) -> str | None:
    """Why nothing trains yet; None where something does."""
    search = _search(objects, name)
    if search.state == "Failed":
        raise ClusterError(f"experiment '{name}' has failed: {search.message or 'see make status'}")
    trials = sorted((read_trial(found) for found in objects[TRIAL]), key=lambda trial: trial.name)
    jobs = {job.name: job for job in map(read_job, objects[JOB])}
    pods: dict[str, list[Pod]] = {}
    for pod in map(read_pod, objects[POD]):
        pods.setdefault(pod.trial, []).append(pod)
        if pod.running and pod.log_container in pod.containers:
            say(f"trial '{pod.trial}' trains on node '{pod.node}'")
            if SIDECAR not in pod.containers:
                say(NO_SIDECAR.format(pod.name, SIDECAR))
            return None
    for trial in trials:
        job, tries = jobs.get(trial.name), pods.get(trial.name, [])
        cause = why_failed(trial, job, tries) if trial.finished else why_waiting(job, tries)
        return f"trial '{trial.name}': {cause or Cause('is about to start')}"
    for found in objects[SUGGESTION]:
        if found["metadata"]["name"] == name:
            return _suggestion(found)
    return "Katib has not taken the experiment up yet (is its controller up? make doctor)"


def _search(objects: dict[Kind, list[Object]], name: str) -> Search:
    found = next((item for item in objects[EXPERIMENT] if item["metadata"]["name"] == name), None)
    if found is None:
        raise ClusterError(f"experiment '{name}' was deleted meanwhile")
    return read_search(found)


def _suggestion(found: Object) -> str:
    conditions = {item["type"]: item for item in (found.get("status") or {}).get("conditions") or []}
    ready = conditions.get("DeploymentReady", {})
    if ready.get("status") == "True":
        return "the suggestion service proposes the first trials"
    detail = f" ({ready['message']})" if ready.get("message") else ""
    return f"the suggestion service starts{detail}"
