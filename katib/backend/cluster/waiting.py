"""Waits for the first trial of an Experiment to train, and says at any time why none does yet.

A trial trains once it has printed a metric line, or the line that our trainer prints before the first batch; a
container that merely runs may be about to fail on a volume that it cannot write to.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf

from katib.backend.causes import Cause
from katib.backend.cluster.causes import (
    clean,
    combined,
    why_ended,
    why_failed,
    why_stuck,
    why_tried_again,
    why_waiting,
)
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.kinds import (
    EXPERIMENT,
    EXPERIMENT_LABEL,
    JOB,
    POD,
    SIDECAR,
    SUGGESTION,
    TRIAL,
    Kind,
    Object,
    name_of,
)
from katib.backend.cluster.model import Search, owned_by, read_search
from katib.backend.cluster.pod import Pod
from katib.backend.cluster.status import LOG_BYTES, steps
from katib.backend.cluster.storage import missing_volume
from katib.backend.cluster.suggestions import shortage, warnings_of
from katib.errors import ClusterError
from katib.metrics import MetricParser
from katib.trainer_contract import STARTED

NO_SIDECAR = (
    "warning: pod '{}' has no metrics collector ({}), so Katib will never see its metrics; stop the search and run make"
    " doctor"
)
POLL_SECONDS = 10.0
"""The longest time between two looks at the objects, and the shortest between two reads of a log."""

Say = Callable[[str], None]


@dataclass
class _Logs:
    """The lines of pods' logs: while a pod runs, they are read again after POLL_SECONDS, and after its end once."""

    cluster: Cluster
    lines: dict[str, list[str]] = field(default_factory=dict)
    problem: str = ""
    """Why the last log could not be read; empty where it could."""
    _read: dict[str, float] = field(default_factory=dict)

    def of(self, pod: Pod) -> list[str]:
        """Returns the lines of `pod`; none where its log cannot be read."""
        key = f"{pod.name} {pod.phase}"
        due = time.monotonic() >= self._read.get(key, 0.0)
        if pod.phase != "Pending" and due:
            self._read[key] = time.monotonic() + POLL_SECONDS if pod.running else inf
            try:
                text = self.cluster.log(pod.name, pod.log_container, LOG_BYTES)
            except ClusterError as error:
                self.problem = str(error)
            else:
                self.problem = ""
                self.lines[pod.name] = [clean(line) for line in text.splitlines()]
        return self.lines.get(pod.name, [])


def wait(cluster: Cluster, name: str, seconds: float, say: Say) -> bool:
    """Waits at most `seconds` until a trial of experiment `name` trains, and returns whether one does.

    Each new reason for waiting is said once. Raises ClusterError where the search fails before that, or where a try has
    failed by the end of that time: then it is not for lack of time that no trial trains.
    """
    selector = f"{EXPERIMENT_LABEL}={name}"
    selectors = {EXPERIMENT: "", SUGGESTION: "", TRIAL: selector, JOB: selector, POD: selector}
    start, last_reason, logs = time.monotonic(), "", _Logs(cluster)
    with Informer(cluster, selectors) as informer:
        while (left := start + seconds - time.monotonic()) > 0:
            informer.wait(min(left, POLL_SECONDS))
            if problem := informer.problem:
                reason: str | None = str(problem)
            elif not informer.complete:
                continue
            else:
                reason = _reason(informer.objects(), name, logs, say)
            if reason is None:
                return True
            if reason != last_reason:
                say(f"{time.monotonic() - start:4.0f} s  {reason}")
                last_reason = reason
        failure = _last_failure(informer.objects(), name, logs) if informer.complete else None
    if failure:
        raise ClusterError(
            f"no trial trains after {seconds:.0f} s: {failure}; Katib keeps trying: make status, make stop"
        )
    say(f"no trial trains after {seconds:.0f} s; the search keeps waiting: make status shows it")
    return False


def _reason(objects: dict[Kind, list[Object]], name: str, logs: _Logs, say: Say) -> str | None:
    """Returns why no trial trains yet; None where one does. Raises ClusterError where the search has failed."""
    search = _search(objects, name)
    trials, jobs, tries = owned_by(search, objects[TRIAL], objects[JOB], objects[POD])
    if search.state == "Failed":
        failure = _last_failure(objects, name, logs)
        raise ClusterError(f"experiment '{name}' has failed: {failure or search.message or 'see make status'}")
    reasons: list[tuple[bool, str]] = []
    for trial in sorted(trials, key=lambda trial: trial.name):
        job, pods = jobs.get(trial.name), tries.get(trial.name, [])
        pod = pods[-1] if pods and (job or not pods[-1].owner) else None
        lines = logs.of(pod) if pod else []
        if pod and not pod.failed and _trains(search, lines):
            say(f"trial '{trial.name}' trains on node '{pod.node}'")
            if SIDECAR not in pod.containers:
                say(NO_SIDECAR.format(pod.name, SIDECAR))
            return None
        for failed in pods:
            if failed.failed:
                logs.of(failed)
        cause = why_failed(trial, job, pods, lines) if trial.finished else why_waiting(job, pods)
        cause = missing_volume(logs.cluster, pod) or cause or why_stuck(pod, lines) or _about_to_train(pod, logs)
        last_try = why_tried_again(trial, pods, logs.lines)
        reasons.append((last_try is None, f"trial '{trial.name}': {combined(cause, last_try)}"))
    if reasons:
        return min(reasons, key=lambda reason: reason[0])[1]
    warnings = partial(warnings_of, logs.cluster)
    return str(shortage(logs.cluster, search, trials, objects, warnings) or "Katib is about to create the trials")


def _trains(search: Search, lines: list[str]) -> bool:
    parser = MetricParser(search.filters, [search.metric])
    return bool(steps(parser, lines)) or any(line.startswith(STARTED) for line in lines)


def _about_to_train(pod: Pod | None, logs: _Logs) -> Cause:
    if pod is None or not pod.running:
        return Cause("is about to start")
    unread = f" (its log cannot be read: {logs.problem})" if logs.problem else ""
    return Cause(f"runs on node '{pod.node}', but does not train yet{unread}")


def _last_failure(objects: dict[Kind, list[Object]], name: str, logs: _Logs) -> str:
    """Returns why the last failed try failed; empty where none has."""
    trials, _, tries = owned_by(_search(objects, name), objects[TRIAL], objects[JOB], objects[POD])
    ended = [(pod, trial) for trial in trials for pod in tries.get(trial.name, ()) if pod.failed]
    if not ended:
        return ""
    pod, trial = max(ended, key=lambda pair: (pair[0].created is not None, pair[0].created))
    cause = why_ended(pod, logs.of(pod))
    return f"trial '{trial.name}': {cause or 'it failed'}"


def _search(objects: dict[Kind, list[Object]], name: str) -> Search:
    item = next((item for item in objects[EXPERIMENT] if name_of(item) == name), None)
    if item is None:
        raise ClusterError(f"experiment '{name}' was deleted in the meantime")
    return read_search(item)
