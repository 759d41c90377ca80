"""Reads events, claims, storage classes, nodes, quotas and Suggestions into frozen views. Pure: no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from katib.backend.cluster.kinds import Object, annotations_of, labels_of, name_of
from katib.backend.cluster.pod import STARTS, Termination, read_termination, reason_text
from katib.tries import instant

_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """An event of the namespace."""

    about: tuple[str, str]
    """Kind and name of the object."""
    type: str
    reason: str
    message: str
    time: datetime


def read_event(item: Object) -> Event:
    """Returns the view of an Event object; of a series, the time is that of the last event."""
    about, series = item.get("involvedObject") or {}, item.get("series") or {}
    times = (series.get("lastObservedTime"), item.get("lastTimestamp"), item.get("eventTime"))
    return Event(
        about=(about.get("kind", ""), about.get("name", "")),
        type=item.get("type", ""),
        reason=item.get("reason", ""),
        message=item.get("message", ""),
        time=next((moment for text in times if (moment := instant(text))), _LONG_AGO),
    )


@dataclass(frozen=True)
class StorageClass:
    """A storage class."""

    name: str
    provisioner: str
    default: bool
    waits_for_pod: bool
    """Whether a claim is bound only when its first pod is scheduled."""


def read_storage_class(item: Object) -> StorageClass:
    """Returns the view of a StorageClass object."""
    default = annotations_of(item).get("storageclass.kubernetes.io/is-default-class") == "true"
    late = item.get("volumeBindingMode") == "WaitForFirstConsumer"
    return StorageClass(name_of(item), str(item.get("provisioner", "")), default, late)


@dataclass(frozen=True)
class Claim:
    """A PersistentVolumeClaim."""

    name: str
    phase: str
    modes: tuple[str, ...]
    """Access modes, such as ReadWriteMany."""
    block: bool
    storage_class: str | None
    """The class that it names; None where it leaves the choice to the cluster."""
    provisioner: str
    """The provisioner that Kubernetes has noted on it; empty where none is."""
    capacity: str


def read_claim(item: Object) -> Claim:
    """Returns the view of a PersistentVolumeClaim object."""
    spec, status, annotations = item["spec"], item.get("status") or {}, annotations_of(item)
    named = spec.get("storageClassName")
    return Claim(
        name=name_of(item),
        phase=status.get("phase", "Pending"),
        modes=tuple(spec.get("accessModes") or ()),
        block=spec.get("volumeMode") == "Block",
        storage_class=None if named is None else str(named),
        provisioner=next((str(annotations[key]) for key in _PROVISIONER if key in annotations), ""),
        capacity=(status.get("capacity") or {}).get("storage", ""),
    )


@dataclass(frozen=True)
class Taint:
    """A taint of a node."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}{f'={self.value}' if self.value else ''}:{self.effect}"


@dataclass(frozen=True)
class Node:
    """A node of the cluster; `allocatable` are quantities by resource."""

    name: str
    labels: Mapping[str, str]
    cordoned: bool
    taints: tuple[Taint, ...]
    allocatable: Mapping[str, str]
    ready: bool = True


def read_node(item: Object) -> Node:
    """Returns the view of a Node object."""
    return Node(
        name=name_of(item),
        labels=labels_of(item),
        cordoned=bool(item["spec"].get("unschedulable")),
        taints=tuple(
            Taint(each["key"], each.get("value") or "", each["effect"]) for each in item["spec"].get("taints") or []
        ),
        allocatable=item["status"].get("allocatable") or {},
        ready=all(
            each.get("status") == "True" for each in item["status"].get("conditions") or [] if each["type"] == "Ready"
        ),
    )


@dataclass(frozen=True)
class Quota:
    """A ResourceQuota; `hard` and `used` are quantities by resource."""

    name: str
    hard: Mapping[str, str]
    used: Mapping[str, str]


def read_quota(item: Object) -> Quota:
    """Returns the view of a ResourceQuota object."""
    status = item.get("status") or {}
    return Quota(name_of(item), status.get("hard") or item["spec"].get("hard") or {}, status.get("used") or {})


@dataclass(frozen=True)
class Suggestion:
    """A Suggestion: the state of a search's suggestion service."""

    failure: str | None
    """Why the service refused the search; None where it did not."""
    ready: bool
    ready_message: str
    requested: int
    """Trials that Katib has requested."""
    proposed: int


def read_suggestion(item: Object) -> Suggestion:
    """Returns the view of a Suggestion object."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    failed, ready = conditions.get("Failed", {}), conditions.get("DeploymentReady", {})
    return Suggestion(
        failure=failed.get("message", "") if failed.get("status") == "True" else None,
        ready=ready.get("status") == "True",
        ready_message=ready.get("message", ""),
        requested=spec.get("requests") or 0,
        proposed=status.get("suggestionCount") or 0,
    )


@dataclass(frozen=True)
class WaitingContainer:
    """A container that waits for something else than its normal start."""

    name: str
    reason: str
    text: str
    """Reason and message."""
    last_end: Termination | None


@dataclass(frozen=True)
class ServicePod:
    """A pod of a search's suggestion service."""

    name: str
    created: datetime
    failure: str
    """Why the pod failed as a whole; empty where it has not."""
    unscheduled: str | None
    """Why the scheduler finds no node for it; None where it does."""
    waiting: tuple[WaitingContainer, ...]


def read_service_pod(item: Object) -> ServicePod:
    """Returns the view of a suggestion service's Pod object."""
    status = item.get("status") or {}
    scheduled: Object = next((each for each in status.get("conditions") or [] if each["type"] == "PodScheduled"), {})
    failure = reason_text({"reason": "its pod failed", **status}) if status.get("phase") == "Failed" else ""
    return ServicePod(
        name=name_of(item),
        created=instant(item["metadata"].get("creationTimestamp")) or _LONG_AGO,
        failure=failure,
        unscheduled=scheduled.get("message", "") if scheduled.get("status") == "False" else None,
        waiting=tuple(_waiting(status.get("containerStatuses") or [])),
    )


def _waiting(statuses: Iterable[Object]) -> Iterable[WaitingContainer]:
    for status in statuses:
        state = (status.get("state") or {}).get("waiting") or {}
        if state.get("reason") in (None, *STARTS):
            continue
        end = (status.get("lastState") or {}).get("terminated")
        last_end = read_termination(end) if end else None
        yield WaitingContainer(status["name"], state["reason"], reason_text(state), last_end)
