"""Reads a trial's Pod object into a frozen view. Each pod of a trial is one try. Pure: no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from katib.backend.cluster.kinds import SIDECAR, TRIAL_LABEL, Object, labels_of, name_of
from katib.gpus import gpu_need
from katib.tries import Span, instant, span_of
from katib.untrusted import clean

BY_NODE = ("Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting")
"""Reasons in a pod's status that come from its node, or from the node's absence."""
STARTS = ("ContainerCreating", "PodInitializing")
"""Reasons of a waiting container that mean nothing but a normal start."""
_TRAINER = re.compile(r"(^|[\s/'])python[\d.]*'?\s.*?-m'?\s+'?trainer\b")


@dataclass(frozen=True)
class Termination:
    """How a container ended."""

    exit_code: int | None = None
    reason: str = ""
    message: str = ""

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel killed it for its memory."""
        return self.reason == "OOMKilled"

    def __str__(self) -> str:
        return "OOMKilled" if self.out_of_memory else f"exit code {self.exit_code}"


def read_termination(state: Object) -> Termination:
    """Returns the view of a container's `terminated` state."""
    return Termination(state.get("exitCode"), state.get("reason", ""), str(state.get("message", "")))


@dataclass(frozen=True)
class Pod:
    """One pod of a trial: a try."""

    name: str
    owner: str
    """The uid of its Job."""
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
    """How containers ended, by the name of those that have."""
    waiting: tuple[str, ...]
    """Why containers wait, such as `ErrImagePull: …`."""
    unscheduled: str
    disrupted: str
    """Why Kubernetes took the pod away: preempted, evicted, its node gone."""
    evicted: str
    """Why its node ended the pod: evicted, shut down, lost."""
    ours: bool = True
    """Whether it runs our trainer, whose exit codes tell causes apart."""

    @property
    def span(self) -> Span | None:
        """The time that its containers ran; None where none has started."""
        return Span(self.started, self.ended) if self.started and self.node else None

    @property
    def failed(self) -> bool:
        """Whether the try has failed."""
        return self.phase == "Failed"

    @property
    def wanted_claims(self) -> tuple[str, ...]:
        """Its claims, where it has no node yet and no other reason for that is known."""
        text = self.unscheduled.lower()
        waits = self.phase == "Pending" and not self.node and (not text or "volume" in text)
        return self.claims if waits else ()

    @property
    def running(self) -> bool:
        """Whether its containers run and are not being stopped."""
        return self.phase == "Running" and not self.deleting

    @property
    def log_container(self) -> str:
        """The container whose log has the trainer's lines.

        Where there is a collector of Katib's, it prints the file that the trainer's output goes into.
        """
        return SIDECAR if SIDECAR in self.containers else self.containers[0]


def read_pod(item: Object) -> Pod:
    """Returns the view of a trial's Pod object."""
    spec, status = item["spec"], item.get("status") or {}
    states = {each["name"]: each.get("state") or {} for each in status.get("containerStatuses") or []}
    states |= {each["name"]: each.get("state") or {} for each in status.get("initContainerStatuses") or []}
    conditions = {each["type"]: each for each in status.get("conditions") or []}
    scheduled, disrupted = conditions.get("PodScheduled", {}), conditions.get("DisruptionTarget", {})
    by_node, by_kubernetes = status.get("reason") in BY_NODE, disrupted.get("status") == "True"
    span = span_of(item)
    return Pod(
        name=name_of(item),
        owner=owner_of(item),
        trial=labels_of(item).get(TRIAL_LABEL, ""),
        phase=status.get("phase", "Pending"),
        node=spec.get("nodeName", ""),
        created=instant(item["metadata"].get("creationTimestamp")),
        started=span.start if span else None,
        ended=span.end if span else None,
        deleting="deletionTimestamp" in item["metadata"],
        gpus=gpu_need(item).count,
        containers=tuple(map(_name, spec["containers"])),
        claims=tuple(
            volume["persistentVolumeClaim"]["claimName"]
            for volume in spec.get("volumes") or []
            if "persistentVolumeClaim" in volume
        ),
        terminations={
            name: read_termination(state["terminated"]) for name, state in states.items() if "terminated" in state
        },
        waiting=tuple(filter(None, (_waiting(name, state.get("waiting") or {}) for name, state in states.items()))),
        unscheduled=clean(scheduled.get("message", "")) if scheduled.get("status") == "False" else "",
        disrupted=clean(disrupted.get("message") or disrupted.get("reason", "")) if by_kubernetes else "",
        evicted=reason_text(status) if by_node else "",
        ours=any(map(_is_ours, spec["containers"])),
    )


def _name(container: Object) -> str:
    return str(container["name"])


def _waiting(container: str, state: Object) -> str:
    """Returns why a container waits; empty where it does not, or where it is only starting."""
    if state.get("reason") in (None, *STARTS):
        return ""
    return (f"{container}: " if container == SIDECAR else "") + reason_text(state)


def reason_text(state: Object) -> str:
    """Returns the reason and the message of a state as `ErrImagePull: not found`."""
    return clean(f"{state.get('reason', '')}: {state.get('message', '')}").rstrip(": ")


def _is_ours(container: Object) -> bool:
    """Returns whether a container runs our trainer; Katib's webhook wraps its command into one line for a shell."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return _TRAINER.search(" ".join(map(str, words))) is not None


def owner_of(item: Object) -> str:
    """Returns the uid of the object that controls this one; empty where none does."""
    owners = item["metadata"].get("ownerReferences") or []
    return next((owner.get("uid", "") for owner in owners if owner.get("controller")), "")
