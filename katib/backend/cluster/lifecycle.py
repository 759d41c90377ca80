"""Pauses, resumes, stops and deletes a search. Katib can only delete; the others change the trials' Jobs.

A suspended Job loses its pod, whose preStop hook lets the trainer save; the trial stays Running in Katib and keeps its
slot, so that no new trial starts.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from katib.backend.cluster.acts import act_now, note, patch_of
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
    SUGGESTION,
    TRIAL,
    TRIAL_LABEL,
    Object,
    name_of,
)
from katib.backend.cluster.model import Job, Search, read_job, read_search, read_trial
from katib.backend.cluster.pod import read_pod
from katib.backend.cluster.status import Curves, no_experiment, read_progress
from katib.errors import ClusterError
from katib.text import count
from katib.tries import elapsed

TIMEOUT_SECONDS = 300.0
"""How long pods may take to save and end; their grace period is 120 s."""
SETTLE_SECONDS = 10.0
"""How long Katib may take to start the next trial in a free slot."""


@dataclass(frozen=True)
class Activity:
    """The trials of a search that have not ended, and the Jobs of those."""

    search: Search
    active: frozenset[str]
    jobs: tuple[Job, ...]


def find_search(cluster: Cluster, name: str) -> Search:
    """Returns the search `name`. Raises ClusterError where there is none, or where it is somebody else's."""
    item = deployed(cluster, name)
    if item is None:
        raise ClusterError(no_experiment(name, map(name_of, cluster.list(EXPERIMENT, OURS)), cluster.namespace))
    return read_search(item)


def activity(cluster: Cluster, search: Search, *, ending: bool = False) -> Activity:
    """Returns the trials of `search` that have not ended, and their Jobs.

    Raises ClusterError where Kueue admits these, which suspends and resumes them itself, unless they are `ending`.
    """
    selector = _selector(search)
    trials = [read_trial(item) for item in cluster.list(TRIAL, selector)]
    active = frozenset(trial.name for trial in trials if not trial.finished)
    jobs = [job for job in map(read_job, cluster.list(JOB, selector)) if job.name in active and not job.finished]
    queued = next((job for job in jobs if job.queue), None)
    if queued and not ending:
        raise ClusterError(
            f"job '{queued.name}' is admitted by Kueue, which would undo this; its queue pauses all that it admits:"
            f" kubectl -n {cluster.namespace} patch localqueue {queued.queue} --type merge -p"
            ' \'{"spec":{"stopPolicy":"HoldAndDrain"}}\', and resumes it with "None" there'
        )
    return Activity(search, active, tuple(jobs))


def pause(cluster: Cluster, search: Search, say: Callable[[str], None]) -> None:
    """Suspends the Job of every trial that has not ended, and waits until their pods are gone. Raises ClusterError.

    Katib may start another trial meanwhile, so this repeats until all are suspended; while a slot is free, it waits for
    SETTLE_SECONDS, in which Katib starts the next trial where it can.
    """
    if search.finished:
        raise ClusterError(f"experiment '{search.name}' has ended ({search.state}); there is nothing to pause")
    selector = _selector(search)
    paused, known = False, frozenset({""})  # no trial's name, so that a first look is news
    end = settled = time.monotonic() + TIMEOUT_SECONDS
    with Informer(cluster, {TRIAL: selector, JOB: selector, POD: f"{selector},{TRIAL_LABEL}"}) as informer:
        while True:
            for job in activity(cluster, search).jobs:
                if not job.suspended and _suspend(cluster, job.name):
                    say(f"trial '{job.name}': saves and releases its GPU")
                if not paused:
                    note(cluster, search.name, act_now(cluster, "paused"), say)
                    paused = True
            informer.wait(0)
            objects = informer.objects()
            alive = [pod.name for pod in map(read_pod, objects[POD]) if pod.phase in ("Pending", "Running")]
            suspended = {job.name for job in map(read_job, objects[JOB]) if job.suspended}
            active = frozenset(trial.name for trial in map(read_trial, objects[TRIAL]) if not trial.finished)
            if active != known or not informer.complete:
                known, settled = active, time.monotonic() + SETTLE_SECONDS
            free = _free_slots(search, len(objects[TRIAL]), len(active))
            if informer.complete and not alive and active <= suspended and (not free or time.monotonic() > settled):
                return _require_paused(search, paused, free, say)
            if time.monotonic() > end:
                raise ClusterError(
                    f"experiment '{search.name}': {len(alive)} pods still exist ({', '.join(alive[:3])}); "
                    "its trials are suspended: look again with make status"
                )
            informer.wait(min(10, SETTLE_SECONDS))


def _free_slots(search: Search, trials: int, active: int) -> int:
    """Returns how many trials Katib would start now."""
    left = search.max_trials - trials if search.max_trials else search.parallel
    return max(0, min(search.parallel - active, left))


def _require_paused(search: Search, paused: bool, free: int, say: Callable[[str], None]) -> None:
    """Raises ClusterError where no trial was there to be paused; says what a pause does not hold."""
    if not paused:
        raise ClusterError(
            f"experiment '{search.name}': no trial runs, so nothing is paused;"
            f" pause it once one does: make status MODEL={search.model or search.name}"
        )
    if free:
        slots = f"{count(free, 'slot')} of {search.parallel}"
        say(f"note: {slots} free; a trial that Katib still starts there is not paused")


def resume(cluster: Cluster, search: Search, say: Callable[[str], None]) -> int:
    """Lets every suspended trial resume from its checkpoint, and returns how many there are."""
    resumed = 0
    for job in activity(cluster, search).jobs:
        if job.suspended and _resume(cluster, job.name):
            say(f"trial '{job.name}': resumes from its checkpoint")
            resumed += 1
    if resumed:
        note(cluster, search.name, act_now(cluster, "resumed"), say)
    return resumed


def stop(cluster: Cluster, search: Search, say: Callable[[str], None]) -> None:
    """Ends the search: Katib is to give up at the next failure, and the running trials' Jobs reach their deadline.

    Katib's webhook refuses changes of a search that has all of its trials (validator.go); then the search ends with
    its trials. An annotation records who stopped it and when, so that trials do not read as past their deadline.
    """
    if search.finished:
        raise ClusterError(f"experiment '{search.name}' has already ended ({search.state})")
    _require_end(cluster, search)
    patch: Object = {} if search.stopped else patch_of(act_now(cluster, "stopped"))
    if search.trials < search.max_trials:
        patch["spec"] = {"maxFailedTrialCount": 1}
    if patch:
        cluster.merge(EXPERIMENT, search.name, patch)
    selector = _selector(search)
    end = time.monotonic() + TIMEOUT_SECONDS
    with Informer(cluster, {TRIAL: selector, JOB: selector, EXPERIMENT: ""}) as informer:
        while True:
            current = find_search(cluster, search.name)
            jobs = activity(cluster, current, ending=True).jobs
            waiting = [job for job in jobs if job.queue and job.suspended]
            for job in jobs:
                if _end(cluster, job.name):
                    say(
                        f"trial '{job.name}': {'ends once its queue admits it' if job in waiting else 'saves and ends'}"
                    )
            if current.finished and len(waiting) == len(jobs):
                return
            if time.monotonic() > end:
                raise ClusterError(_not_ended(search.name, len(waiting)))
            informer.wait(10)


def delete(cluster: Cluster, search: Search) -> None:
    """Deletes the Experiment and everything that it owns; run directories on the runs claim stay.

    Waits until its trials and its Suggestion are gone too, since a new search of the same name would adopt them. Raises
    ClusterError where they do not disappear.
    """
    cluster.delete(EXPERIMENT, search.name, search.uid)
    end = time.monotonic() + TIMEOUT_SECONDS
    with Informer(cluster, {EXPERIMENT: OURS, SUGGESTION: "", TRIAL: f"{EXPERIMENT_LABEL}={search.name}"}) as informer:
        while time.monotonic() < end:
            informer.wait(10)
            objects = informer.objects()
            names = {name_of(item) for item in (*objects[EXPERIMENT], *objects[SUGGESTION])}
            if informer.complete and not objects[TRIAL] and search.name not in names:
                return
    raise ClusterError(
        f"experiment '{search.name}' is marked as deleted, but still exists after {TIMEOUT_SECONDS:.0f} s;"
        " is Katib's controller up? make doctor"
    )


def wait_until_gone(cluster: Cluster, search: Search) -> None:
    """Waits until no Job and no pod of the deleted `search` is left. Raises ClusterError where that takes too long.

    Otherwise a trainer might still write, and Katib would take an old Job for that of a new trial with its name.
    """
    end = time.monotonic() + TIMEOUT_SECONDS
    with Informer(cluster, {JOB: _selector(search), POD: _selector(search)}) as informer:
        while time.monotonic() < end:
            informer.wait(10)
            if informer.complete and not any(informer.objects().values()):
                return
    raise ClusterError(
        f"pods of '{search.name}' still exist after {TIMEOUT_SECONDS:.0f} s; the run directories were not touched"
    )


def _require_end(cluster: Cluster, search: Search) -> None:
    """Raises ClusterError where nothing runs and nothing will, since Katib ends a search only when a trial ends."""
    if search.budget is None or activity(cluster, search, ending=True).active:
        return
    (progress,) = read_progress(cluster, Curves(), search.name)
    if progress.hours_used >= search.budget:
        raise ClusterError(
            f"experiment '{search.name}': its budget in GPU-hours is spent, and Katib ends a search only with a trial"
            " that runs; make delete ends it and keeps the run directories, and make deploy GPU_HOURS=… goes on"
        )


def _not_ended(name: str, waiting: int) -> str:
    """Returns what is said of a search that has not ended after TIMEOUT_SECONDS."""
    if waiting:
        return (
            f"experiment '{name}': {waiting} of its trials wait in their Kueue queue and end once they are admitted,"
            f" which has not happened in {TIMEOUT_SECONDS:.0f} s; make delete ends it now and keeps the run directories"
        )
    return (
        f"experiment '{name}': its trials have ended, but Katib has not noticed after {TIMEOUT_SECONDS:.0f} s;"
        " is its controller up? make doctor"
    )


def _selector(search: Search) -> str:
    return f"{OURS},{EXPERIMENT_LABEL}={search.name}"


def _suspend(cluster: Cluster, job: str) -> bool:
    try:
        cluster.merge(JOB, job, {"spec": {"suspend": True}})
    except AbsentError:
        return False  # it has ended in the meantime
    return True


def _resume(cluster: Cluster, job: str) -> bool:
    """Lets a Job run again, with a deadline that is extended by the time since its start.

    Kubernetes compares the deadline with the old start before it sets a new one (syncJob in job_controller.go), and
    would end a trial whose pause was longer than its deadline.
    """
    try:
        item = cluster.get(JOB, job)
        if item is None:
            return False
        spec: Object = {"suspend": False}
        view = read_job(item)
        if view.deadline and view.started:
            spec["activeDeadlineSeconds"] = view.deadline + math.ceil(elapsed(view.started, None, datetime.now(UTC)))
        cluster.merge(JOB, job, {"spec": spec})
    except AbsentError:
        return False
    return True


def _end(cluster: Cluster, job: str) -> bool:
    """Ends a Job: past its deadline, Kubernetes fails it and ends its pod gracefully.

    It must not be suspended, since the deadline of a suspended Job does not run. One that waits in a queue of Kueue,
    which would suspend it again, ends in the second in which it is admitted.
    """
    try:
        item = cluster.get(JOB, job)
        view = read_job(item) if item else None
        if view is None or (view.deadline == 1 and (view.queue or not view.suspended)):
            return False
        cluster.merge(JOB, job, {"spec": {"activeDeadlineSeconds": 1, **({} if view.queue else {"suspend": False})}})
    except AbsentError:
        return False
    return True
