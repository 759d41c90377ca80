"""The view of a trial's Pod, a try. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from katib.backend.cluster.kinds import GPU, SIDECAR, TRIAL_LABEL, Object
from katib.tries import Span, span_of
from katib.tries import instant as when
from katib.untrusted import clean

BY_NODE = ("Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting")
"""Reasons of a pod's status that its node or the node's absence gave it."""
Termination = Mapping[str, Any]

_TRAINER = re.compile(r"(^|[\s/'])python[\d.]*'?\s.*?-m'?\s+'?trainer\b")


@dataclass(frozen=True)
class Pod:
    """One pod of a trial: a try. `terminations` are by container, of those that have ended."""

    name: str
    owner: str
    """Uid of its Job."""
    trial: str
    phase: str
    node: str
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    deleting: bool
    gpus: int
    containers: tuple[str, ...]
    claims: tuple[str, ...]
    """The PersistentVolumeClaims that it mounts."""
    terminations: Mapping[str, Termination]
    waiting: tuple[str, ...]
    """Why containers wait: `ErrImagePull: …`."""
    unscheduled: str
    disrupted: str
    """Why Kubernetes took it away: preempted, evicted, its node gone."""
    evicted: str
    """What its node says of having ended it: evicted, shut down, lost."""
    ours: bool = True
    """Whether it runs our trainer, whose exit codes say more than that it failed."""

    @property
    def span(self) -> Span | None:
        """When its containers ran; None where none has started."""
        return Span(self.started, self.ended) if self.started and self.node else None

    @property
    def failed(self) -> bool:
        """Whether it is a try that has ended badly."""
        return self.phase == "Failed"

    @property
    def wanted_claims(self) -> tuple[str, ...]:
        """Its claims, where it has no node yet and nothing else is known against it."""
        text = self.unscheduled.lower()
        waits = self.phase == "Pending" and not self.node and (not text or "volume" in text)
        return self.claims if waits else ()

    @property
    def running(self) -> bool:
        """Whether its containers are at work."""
        return self.phase == "Running" and not self.deleting

    @property
    def log_container(self) -> str:
        """Where the trainer's lines are: Katib's collector prints the file that the trainer's output goes into."""
        return SIDECAR if SIDECAR in self.containers else self.containers[0]


def read_pod(found: Object) -> Pod:
    """Returns the view of a trial's Pod object."""
    spec, status, labels = found["spec"], found.get("status") or {}, found["metadata"].get("labels") or {}
    states = {item["name"]: item.get("state") or {} for item in status.get("containerStatuses") or []}
    states |= {item["name"]: item.get("state") or {} for item in status.get("initContainerStatuses") or []}
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    disrupted = conditions.get("DisruptionTarget", {})
    ends = {name: state["terminated"] for name, state in states.items() if "terminated" in state}
    span = span_of(found)
    return Pod(
        name=found["metadata"]["name"],
        owner=owner_of(found),
        trial=labels.get(TRIAL_LABEL, ""),
        phase=status.get("phase", "Pending"),
        node=spec.get("nodeName", ""),
        created=when(found["metadata"].get("creationTimestamp")),
        started=span.start if span else None,
        ended=span.end if span else None,
        deleting="deletionTimestamp" in found["metadata"],
        gpus=gpus_of(spec["containers"]),
        containers=tuple(item["name"] for item in spec["containers"]),
        claims=tuple(
            volume["persistentVolumeClaim"]["claimName"]
            for volume in spec.get("volumes") or []
            if "persistentVolumeClaim" in volume
        ),
        terminations=ends,
        waiting=tuple(
            (f"{name}: " if name == SIDECAR else "")
            + clean(f"{state['waiting'].get('reason', '')}: {state['waiting'].get('message', '')}").rstrip(": ")
            for name, state in states.items()
            if state.get("waiting", {}).get("reason") not in (None, "ContainerCreating", "PodInitializing")
        ),
        unscheduled=clean(scheduled.get("message", "")) if scheduled.get("status") == "False" else "",
        disrupted=clean(disrupted.get("message") or disrupted.get("reason", ""))
        if disrupted.get("status") == "True"
        else "",
        evicted=clean(f"{status['reason']}: {status.get('message', '')}").rstrip(": ")
        if status.get("reason") in BY_NODE
        else "",
        ours=any(map(_is_ours, spec["containers"])),
    )


def _is_ours(container: Object) -> bool:
    """Returns whether a container's command is our trainer; Katib's webhook makes one line for a shell of it."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return _TRAINER.search(" ".join(map(str, words))) is not None


def owner_of(found: Object) -> str:
    """Uid of the object that controls this one; empty where none does."""
    owners = found["metadata"].get("ownerReferences") or []
    return next((owner.get("uid", "") for owner in owners if owner.get("controller")), "")


def gpus_of(containers: Sequence[Object]) -> int:
    """GPUs that `containers` ask for together."""
    limits = [(item.get("resources") or {}).get("limits") or {} for item in containers]
    return sum(int(cast(str, limit.get(GPU, 0))) for limit in limits)
