"""Pause, resume, stop and delete a search. Katib has none of them: all but the last work through the trials' Jobs.

A suspended Job loses its pod, whose preStop hook lets the trainer save; the trial stays Running in Katib and keeps its
place, so that no new one begins. Called by the verbs of these names.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from katib.backend.cluster.answers import AbsentError
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import deployed
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.kinds import (
    EXPERIMENT,
    EXPERIMENT_LABEL,
    JOB,
    OURS,
    POD,
    SELF_REVIEW,
    SUGGESTION,
    TRIAL,
    TRIAL_LABEL,
    Object,
)
from katib.backend.cluster.model import STOPPED, Job, Search, read_job, read_search, read_trial, when
from katib.backend.cluster.status import none_called
from katib.errors import ClusterError

PATIENCE = 300.0
"""Seconds that pods have to save and go; their grace period is 120."""


@dataclass(frozen=True)
class Work:
    """What a search is at: its trials that have not ended, and the Jobs of those."""

    search: Search
    active: frozenset[str]
    jobs: tuple[Job, ...]


def find(cluster: Cluster, name: str) -> Search:
    """Returns the search `name`. Raises ClusterError where there is none, or where it is somebody else's."""
    found = deployed(cluster, name)
    if found is None:
        names = [item["metadata"]["name"] for item in cluster.list(EXPERIMENT, OURS)]
        raise ClusterError(none_called(name, names, cluster.namespace))
    return read_search(found)


def work(cluster: Cluster, search: Search) -> Work:
    """Returns the trials of `search` that have not ended, and their Jobs."""
    only = _only(search)
    trials = [read_trial(found) for found in cluster.list(TRIAL, only)]
    active = frozenset(trial.name for trial in trials if not trial.finished)
    jobs = [job for job in map(read_job, cluster.list(JOB, only)) if job.name in active and not job.finished]
    queued = [job for job in jobs if job.queued]
    if queued:
        raise ClusterError(
            f"job '{queued[0].name}' is admitted by Kueue, which would undo this; stop its queue instead:"
            ' kubectl patch localqueue NAME --type merge -p \'{"spec":{"stopPolicy":"HoldAndDrain"}}\''
        )
    return Work(search, active, tuple(jobs))


def pause(cluster: Cluster, search: Search, say: Callable[[str], None], patience: float = PATIENCE) -> None:
    """Suspends the Job of every trial that has not ended, until no pod of theirs is left. Raises ClusterError.

    Katib may begin another trial while the first ones are being suspended, so it is looked at again until all are.
    """
    if search.finished:
        raise ClusterError(f"experiment '{search.name}' has ended ({search.state}); there is nothing to pause")
    only = _only(search)
    end = time.monotonic() + patience
    with Informer(cluster, {TRIAL: only, JOB: only, POD: f"{only},{TRIAL_LABEL}"}) as informer:
        while True:
            now = work(cluster, search)
            for job in now.jobs:
                if not job.suspended and _suspend(cluster, job.name):
                    say(f"trial '{job.name}': saves and lets its GPU go")
            informer.wait(0)
            objects = informer.objects()
            alive = [
                pod["metadata"]["name"] for pod in objects[POD] if pod["status"].get("phase") in ("Pending", "Running")
            ]
            jobs = {job.name for job in map(read_job, objects[JOB]) if job.suspended}
            active = {trial.name for trial in map(read_trial, objects[TRIAL]) if not trial.finished}
            if informer.complete and not alive and active <= jobs:
                return
            if time.monotonic() > end:
                raise ClusterError(
                    f"experiment '{search.name}': {len(alive)} pods are still there ({', '.join(alive[:3])}); "
                    "its trials are suspended, look again with make status"
                )
            informer.wait(10)


def resume(cluster: Cluster, search: Search, say: Callable[[str], None]) -> int:
    """Lets every suspended trial continue at its checkpoint; returns how many."""
    resumed = 0
    for job in work(cluster, search).jobs:
        if job.suspended and _resume(cluster, job.name):
            say(f"trial '{job.name}': continues at its checkpoint")
            resumed += 1
    return resumed


def stop(cluster: Cluster, search: Search, say: Callable[[str], None], patience: float = PATIENCE) -> None:
    """Ends the search: Katib is told to give up at the next failure, and the running trials' Jobs reach their deadline.

    Katib's webhook takes no change of the spec of a search that has all of its trials (validator.go); those end by
    themselves then. An annotation keeps who did it and when, or the trials would read as past their deadline.
    """
    if search.finished:
        raise ClusterError(f"experiment '{search.name}' has ended already ({search.state})")
    patch: Object = {} if search.stopped else {"metadata": {"annotations": {STOPPED: _signature(cluster)}}}
    if search.trials < search.max_trials:
        patch["spec"] = {"maxFailedTrialCount": 1}
    if patch:
        cluster.merge(EXPERIMENT, search.name, patch)
    only = _only(search)
    end = time.monotonic() + patience
    with Informer(cluster, {TRIAL: only, JOB: only, EXPERIMENT: ""}) as informer:
        while not (now := find(cluster, search.name)).finished or work(cluster, now).jobs:
            for job in work(cluster, now).jobs:
                if _end(cluster, job.name):
                    say(f"trial '{job.name}': saves and ends")
            if time.monotonic() > end:
                raise ClusterError(
                    f"experiment '{search.name}': its trials have ended, and Katib has not noticed after {patience:.0f} s;"
                    " is its controller up? make doctor"
                )
            informer.wait(10)


def delete(cluster: Cluster, search: Search, patience: float = PATIENCE) -> None:
    """Deletes the Experiment that was shown and all that it owns; run folders on the runs claim stay.

    Until its trials and its Suggestion are gone too: a new search of that name would take them for its own. Raises
    ClusterError where Katib does not let go of them.
    """
    cluster.delete(EXPERIMENT, search.name, search.uid)
    end = time.monotonic() + patience
    with Informer(cluster, {EXPERIMENT: OURS, SUGGESTION: "", TRIAL: f"{EXPERIMENT_LABEL}={search.name}"}) as informer:
        while time.monotonic() < end:
            informer.wait(10)
            objects = informer.objects()
            named = [*objects[EXPERIMENT], *objects[SUGGESTION]]
            if informer.complete and not (objects[TRIAL] or any(_called(item, search.name) for item in named)):
                return
    raise ClusterError(
        f"experiment '{search.name}' is marked as deleted, and not gone after {patience:.0f} s;"
        " is Katib's controller up? make doctor"
    )


def wait_until_gone(cluster: Cluster, search: Search, patience: float = PATIENCE) -> None:
    """Returns once no Job and no pod of the deleted `search` is left: a trainer might still write, and Katib would take
    an old Job for that of a new trial with its name. Raises ClusterError.
    """
    end = time.monotonic() + patience
    with Informer(cluster, {JOB: _only(search), POD: _only(search)}) as informer:
        while time.monotonic() < end:
            informer.wait(10)
            if informer.complete and not any(informer.objects().values()):
                return
    raise ClusterError(
        f"pods of '{search.name}' are still there after {patience:.0f} s; run directories were left alone"
    )


def _called(found: Object, name: str) -> bool:
    return bool(found["metadata"]["name"] == name)


def _only(search: Search) -> str:
    return f"{OURS},{EXPERIMENT_LABEL}={search.name}"


def _signature(cluster: Cluster) -> str:
    """Returns `somebody at 2026-11-28T14:05:31Z`, by the name that the API server knows the caller by."""
    try:
        answer = cluster.create(SELF_REVIEW, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        user = answer["status"]["userInfo"]["username"]
    except (ClusterError, KeyError):  # before Kubernetes 1.28
        user = "make stop"
    return f"{user} at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _suspend(cluster: Cluster, job: str) -> bool:
    try:
        cluster.merge(JOB, job, {"spec": {"suspend": True}})
    except AbsentError:  # it has ended meanwhile
        return False
    return True


def _resume(cluster: Cluster, job: str) -> bool:
    """Lets a Job run again, with a deadline that grows by the time since its start.

    Kubernetes compares the deadline with the start before it sets the start anew (syncJob in job_controller.go), and
    would end a trial whose pause was longer than its deadline.
    """
    try:
        found = cluster.get(JOB, job)
        if found is None:
            return False
        spec: Object = {"suspend": False}
        deadline, started = found["spec"].get("activeDeadlineSeconds"), when(found["status"].get("startTime"))
        if deadline and started:
            spec["activeDeadlineSeconds"] = deadline + math.ceil((datetime.now(UTC) - started).total_seconds())
        cluster.merge(JOB, job, {"spec": spec})
    except AbsentError:
        return False
    return True


def _end(cluster: Cluster, job: str) -> bool:
    """Returns a Job that is past its deadline is failed by Kubernetes, its pod ended with grace.

    A suspended one has no clock.
    """
    try:
        found = cluster.get(JOB, job)
        if found is None or (found["spec"].get("activeDeadlineSeconds") == 1 and not found["spec"].get("suspend")):
            return False
        cluster.merge(JOB, job, {"spec": {"activeDeadlineSeconds": 1, "suspend": False}})
    except AbsentError:
        return False
    return True
