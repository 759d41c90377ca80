"""Why a search has fewer trials than it may have: what keeps its suggestion service from starting or from proposing.

Katib runs that service as a Deployment in the search's namespace, the early-stopping service beside it in the same pod,
and says of a failure in an event of the Suggestion at most (suggestion_controller.go).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from katib.backend.cluster.answers import one_line
from katib.backend.cluster.causes import Cause, clean, scheduling, starting
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import (
    EVENT,
    EXPERIMENT_LABEL,
    POD,
    SUGGESTION,
    SUGGESTION_LABEL,
    Kind,
    Object,
)
from katib.backend.cluster.model import Search, Trial, when
from katib.errors import ClusterError

LOG_BYTES = 1 << 16
_RPC = re.compile(r"^.*rpc error: code = (\w+) desc = ")
"""What gRPC for Go puts before the message of a service."""
_START = datetime.min.replace(tzinfo=UTC)


def lacking(
    cluster: Cluster,
    search: Search,
    trials: Sequence[Trial],
    objects: Mapping[Kind, Sequence[Object]],
    warnings: Callable[[], Sequence[Object]],
) -> Cause | None:
    """Returns why `search` has fewer trials under way than it may have; None where it has them, or has ended.

    Asks for the namespace's `warnings`, and reads the log of a service that crashes; what may not be read is left out.
    """
    under_way = sum(not trial.finished for trial in trials)
    may = min(search.parallel, search.max_trials - (len(trials) - under_way))
    if search.finished or search.deleting or under_way >= may or SUGGESTION not in objects:
        return None
    suggestion = next((item for item in objects[SUGGESTION] if item["metadata"]["name"] == search.name), None)
    pods = [
        pod
        for pod in objects[POD]
        if SUGGESTION_LABEL in (labels := pod["metadata"].get("labels") or {})
        and labels.get(EXPERIMENT_LABEL) == search.name
    ]
    cause = why_lacking(search, suggestion, pods, warnings())
    crashed = _crashed(pods)
    if crashed and cause and (words := _last_line(cluster, *crashed)):
        return Cause(f"{cause.problem}; its last line: {words}", cause.fix)
    return cause


def why_lacking(search: Search, suggestion: Object | None, pods: Sequence[Object], warnings: Iterable[Object]) -> Cause:
    """Returns the same of objects that are there: the Suggestion, the pods of its service, and events of the namespace.

    Pure.
    """
    if suggestion is None:
        event = _newest(warnings, "Experiment", search.name)
        if event:
            return Cause(f"Katib cannot take the experiment up: {event}", "make doctor")
        return Cause("Katib has not taken the experiment up yet", "is its controller up? make doctor")
    status = suggestion.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    if conditions.get("Failed", {}).get("status") == "True":
        return Cause(f"the suggestion service refused the search: {_told(conditions['Failed'])}")
    event = _newest(warnings, "Suggestion", search.name)
    ready = conditions.get("DeploymentReady", {})
    if ready.get("status") != "True":
        service = f"{search.name}-{search.proposer}"
        cause = _why_not_ready(pods) or _why_no_pod(warnings, service)
        if cause is None and event and not pods:
            cause = Cause(event, "make doctor")
        if cause is None:
            detail = f" ({ready['message']})" if ready.get("message") else ""
            return Cause(f"the suggestion service starts{detail}")
        return Cause(f"the suggestion service cannot start: {cause.problem}", cause.fix)
    asked = (suggestion.get("spec") or {}).get("requests") or 0
    given = status.get("suggestionCount") or 0
    if asked > given:
        if event:
            return Cause(f"the suggestion service proposes nothing: {event}")
        which = "the first trials" if not given else f"{asked - given} more"
        return Cause(f"the suggestion service proposes {which}")
    if event := _newest(warnings, "Experiment", search.name):
        return Cause(f"Katib cannot make the trials: {event}", "make doctor")
    return Cause("Katib is about to make the trials that were proposed")


def _why_not_ready(pods: Sequence[Object]) -> Cause | None:
    """By the newest pod of the service: unschedulable, its image cannot be pulled, its container ends again and again."""
    if not pods:
        return None
    pod = max(pods, key=lambda found: when(found["metadata"].get("creationTimestamp")) or _START)
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Cause(f"unschedulable: {condition.get('message', '')}", scheduling(condition.get("message", "")))
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in (None, "ContainerCreating", "PodInitializing"):
            continue
        end = (container.get("lastState") or {}).get("terminated") or {}
        ended = f", it ended with {_how(end)}" if end else ""
        text = f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
        return Cause(f"container '{container['name']}': {text}{ended}", _service_fix(text))
    if status.get("phase") == "Failed":
        return Cause(f"{status.get('reason', 'its pod failed')}: {status.get('message', '')}".rstrip(": "))
    return None


def _why_no_pod(warnings: Iterable[Object], service: str) -> Cause | None:
    """By what its ReplicaSet was refused: a quota, a missing account, pod security."""
    text = _newest(warnings, "ReplicaSet", f"{service}-", begins=True, reason="FailedCreate")
    if not text:
        return None
    if "serviceaccount" in text.lower() or "service account" in text.lower():
        return Cause(text, "kubectl apply -f k8s/base/services-rbac.yaml in this namespace")
    if "quota" in text:
        return Cause(text, "kubectl describe quota; wait for others to end, or have it raised")
    return Cause(text, "make doctor")


def _service_fix(text: str) -> str:
    if "Image" in text:
        return (
            "check the image in katib-config (k8s/katib), that it was pushed, and the account's pull secret; "
            "then make delete and make deploy: Katib keeps a service that it has made"
        )
    return starting(text)


def _how(end: Mapping[str, Any]) -> str:
    return "OOMKilled" if end.get("reason") == "OOMKilled" else f"exit code {end.get('exitCode')}"


def _newest(warnings: Iterable[Object], kind: str, name: str, *, begins: bool = False, reason: str = "") -> str:
    """Returns the message of the last event about an object, in one line; empty where there is none."""
    found = [
        event
        for event in warnings
        if (about := event.get("involvedObject") or {}).get("kind") == kind
        and (about.get("name", "").startswith(name) if begins else about.get("name") == name)
        and (not reason or event.get("reason") == reason)
    ]
    if not found:
        return ""
    return _told(max(found, key=_at))


def _told(source: Object) -> str:
    """Returns the message of an event or a condition, in one line and without what Katib puts before that of a service."""
    return one_line(_RPC.sub("", source.get("message", "")))[:400]


def _at(event: Object) -> datetime:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((moment for text in times if (moment := when(text))), _START)


def warnings_of(cluster: Cluster) -> Sequence[Object]:
    """Returns the namespace's events of type Warning; none where they may not be read."""
    try:
        return cluster.list(EVENT, fields="type=Warning")
    except ClusterError:
        return ()


def _crashed(pods: Sequence[Object]) -> tuple[str, str] | None:
    """Pod and container of a service that was started again and again."""
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") == "CrashLoopBackOff":
                return pod["metadata"]["name"], container["name"]
    return None


def _last_line(cluster: Cluster, pod: str, container: str) -> str:
    try:
        lines = cluster.log(pod, container, LOG_BYTES).split("\n")
    except ClusterError:
        return ""
    return next((clean(line)[:200] for line in reversed(lines) if line.strip()), "")
