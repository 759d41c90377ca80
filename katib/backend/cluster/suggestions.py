"""Explains why a search has fewer trials than it may have: what its suggestion service lacks to start or to propose.

Katib runs that service as a Deployment in the search's namespace, with the early-stopping service in the same pod; of a
failure, it reports at most an event about the Suggestion (suggestion_controller.go).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from katib.backend.causes import Cause
from katib.backend.cluster.answers import one_line
from katib.backend.cluster.causes import clean, scheduling, starting
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import (
    EVENT,
    EXPERIMENT_LABEL,
    POD,
    SUGGESTION,
    SUGGESTION_LABEL,
    Kind,
    Object,
    labels_of,
    name_of,
)
from katib.backend.cluster.model import Search, Trial
from katib.backend.cluster.objects import (
    Event,
    ServicePod,
    Suggestion,
    read_event,
    read_service_pod,
    read_suggestion,
)
from katib.errors import ClusterError

LOG_BYTES = 1 << 16
_RPC = re.compile(r"^.*rpc error: code = (\w+) desc = ")
"""The prefix that gRPC for Go puts before the message of a service."""


def shortage(
    cluster: Cluster,
    search: Search,
    trials: Sequence[Trial],
    objects: Mapping[Kind, Sequence[Object]],
    warnings: Callable[[], Sequence[Event]],
) -> Cause | None:
    """Returns why `search` has fewer trials running than it may have; None where it has them, or has ended.

    Calls `warnings` for the namespace's events, and reads the log of a service that crashes; what the caller has no
    right to read is left out.
    """
    unfinished = sum(not trial.finished for trial in trials)
    allowed = min(search.parallel, search.max_trials - (len(trials) - unfinished))
    if search.finished or search.deleting or unfinished >= allowed or SUGGESTION not in objects:
        return None
    suggestion = next((read_suggestion(item) for item in objects[SUGGESTION] if name_of(item) == search.name), None)
    pods = [
        read_service_pod(item)
        for item in objects[POD]
        if SUGGESTION_LABEL in labels_of(item) and labels_of(item).get(EXPERIMENT_LABEL) == search.name
    ]
    # Those of a deleted experiment of the same name are still there for an hour.
    recent = [event for event in warnings() if search.created is None or event.time >= search.created]
    cause = shortage_of(search, suggestion, pods, recent)
    crashed = _crashed(pods)
    if crashed and cause and (line := _last_line(cluster, *crashed)):
        return Cause(f"{cause.problem}; its last line: {line}", cause.fix)
    return cause


def shortage_of(
    search: Search, suggestion: Suggestion | None, pods: Sequence[ServicePod], warnings: Iterable[Event]
) -> Cause:
    """Returns why `search` lacks trials, from its Suggestion, the pods of its service and the namespace's events.

    Pure: no I/O.
    """
    if suggestion is None:
        event = _newest(warnings, "Experiment", search.name)
        if event:
            return Cause(f"Katib cannot start the experiment: {event}", "make doctor")
        return Cause("Katib has not started the experiment yet", "is its controller up? make doctor")
    if suggestion.failure is not None:
        return Cause(f"the suggestion service refused the search: {_without_rpc(suggestion.failure)}")
    event = _newest(warnings, "Suggestion", search.name)
    if not suggestion.ready:
        service = f"{search.name}-{search.proposer}"
        cause = _why_not_ready(pods) or _why_no_pod(warnings, service)
        if cause is None and event and not pods:
            cause = Cause(event, "make doctor")
        if cause is None:
            detail = f" ({suggestion.ready_message})" if suggestion.ready_message else ""
            return Cause(f"the suggestion service is starting{detail}")
        return Cause(f"the suggestion service cannot start: {cause.problem}", cause.fix)
    if suggestion.requested > suggestion.proposed:
        if event:
            return Cause(f"the suggestion service proposes nothing: {event}")
        more = f"{suggestion.requested - suggestion.proposed} more" if suggestion.proposed else "the first trials"
        return Cause(f"the suggestion service is proposing {more}")
    if event := _newest(warnings, "Experiment", search.name):
        return Cause(f"Katib cannot create the trials: {event}", "make doctor")
    return Cause("Katib is about to create the proposed trials")


def _why_not_ready(pods: Sequence[ServicePod]) -> Cause | None:
    """Returns what the newest pod of the service lacks: a node, its image, or a container that keeps running."""
    if not pods:
        return None
    pod = max(pods, key=lambda pod: pod.created)
    if pod.unscheduled is not None:
        return Cause(f"unschedulable: {pod.unscheduled}", scheduling(pod.unscheduled))
    for container in pod.waiting:
        end = f", it ended with {container.last_end}" if container.last_end else ""
        return Cause(f"container '{container.name}': {container.text}{end}", _service_fix(container.text))
    return Cause(pod.failure) if pod.failure else None


def _why_no_pod(warnings: Iterable[Event], service: str) -> Cause | None:
    """Returns why the service's ReplicaSet cannot create a pod: a quota, a missing account, pod security."""
    text = _newest(warnings, "ReplicaSet", f"{service}-", begins=True, reason="FailedCreate")
    if not text:
        return None
    if "serviceaccount" in text.lower() or "service account" in text.lower():
        return Cause(text, "kubectl apply -f k8s/base/services-rbac.yaml in this namespace")
    if "quota" in text:
        return Cause(text, "kubectl describe quota; wait until other pods end, or have it raised")
    return Cause(text, "make doctor")


def _service_fix(text: str) -> str:
    if "Image" in text:
        return (
            "check the image in katib-config (k8s/katib), that it was pushed, and the account's pull secret; "
            "then make delete and make deploy: Katib keeps a service that it has created"
        )
    return starting(text)


def _newest(warnings: Iterable[Event], kind: str, name: str, *, begins: bool = False, reason: str = "") -> str:
    """Returns the message of the newest event about an object, in one line; empty where there is none.

    With `begins`, the object's name only has to begin with `name`.
    """
    matching = [
        event
        for event in warnings
        if event.about[0] == kind
        and (event.about[1].startswith(name) if begins else event.about[1] == name)
        and reason in ("", event.reason)
    ]
    return _without_rpc(max(matching, key=lambda event: event.time).message) if matching else ""


def _without_rpc(message: str) -> str:
    """Returns a message in one line, without the prefix that Katib puts before what a service answers."""
    return one_line(_RPC.sub("", message))[:400]


def warnings_of(cluster: Cluster) -> Sequence[Event]:
    """Returns the namespace's events of type Warning; none where they cannot be read."""
    try:
        return [read_event(item) for item in cluster.list(EVENT, fields="type=Warning")]
    except ClusterError:
        return ()


def _crashed(pods: Sequence[ServicePod]) -> tuple[str, str] | None:
    """Returns pod and container of a service that crashes again and again; None where none does."""
    waiting = ((pod.name, container) for pod in pods for container in pod.waiting)
    return next(((pod, each.name) for pod, each in waiting if each.reason == "CrashLoopBackOff"), None)


def _last_line(cluster: Cluster, pod: str, container: str) -> str:
    try:
        lines = cluster.log(pod, container, LOG_BYTES).split("\n")
    except ClusterError:
        return ""
    return next((clean(line)[:200] for line in reversed(lines) if line.strip()), "")
