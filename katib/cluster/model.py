"""What the cluster verbs know of experiments, trials and their pods: frozen views, read once from the API server's objects.

Pure. Called by status, deploy's waiting, lifecycle and results.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_args

from katib.cluster.kinds import EXPERIMENT_LABEL, GPU, SIDECAR, TRIAL_LABEL, Object

TrialState = Literal[
    "Created", "Running", "Succeeded", "Failed", "EarlyStopped", "MetricsUnavailable", "Killed"
]
Strategy = Literal["max", "min", "latest"]
ENDED: tuple[TrialState, ...] = ("EarlyStopped", "Succeeded", "Failed", "MetricsUnavailable", "Killed")
_PRECEDENCE: tuple[TrialState, ...] = (*ENDED, "Running", "Created")
"""An early-stopped trial keeps Running=True, so how it ended is looked at first (Katib, status_util.go)."""
Termination = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One Katib trial. `value` is the objective's where Katib has it, which is after the trial's end."""

    name: str
    experiment: str
    state: TrialState
    message: str
    rules: tuple[str, ...]
    """The early-stopping rules that it was made with, in words; of our service they never fire by themselves."""
    assignments: Mapping[str, str]
    observed: Mapping[str, float]
    """By strategy: max, min, latest."""
    created: datetime | None
    started: datetime | None
    ended: datetime | None

    @property
    def finished(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ENDED


@dataclass(frozen=True)
class Pod:
    """One pod of a trial: a try. `terminations` are by container, of those that have ended."""

    name: str
    trial: str
    phase: str
    node: str
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    deleting: bool
    gpus: int
    containers: tuple[str, ...]
    terminations: Mapping[str, Termination]
    waiting: tuple[str, ...]
    """Why containers wait: `ErrImagePull: …`."""
    unscheduled: str
    disrupted: str
    """Why Kubernetes took it away: preempted, evicted, its node gone."""
    evicted: str

    @property
    def running(self) -> bool:
        """Whether its containers are at work."""
        return self.phase == "Running" and not self.deleting

    @property
    def log_container(self) -> str:
        """Where the trainer's lines are: Katib's collector prints the file that the trainer's output goes into."""
        return SIDECAR if SIDECAR in self.containers else self.containers[0]


@dataclass(frozen=True)
class Job:
    """The Job of a trial."""

    name: str
    suspended: bool
    queued: bool
    failed: int
    reason: str
    """Why it failed as a whole, such as DeadlineExceeded."""
    finished: bool


@dataclass(frozen=True)
class Search:
    """One Experiment that is ours, as it runs."""

    name: str
    uid: str
    model: str
    state: str
    message: str
    metric: str
    maximize: bool
    strategy: Strategy
    max_trials: int
    parallel: int
    trials: int
    """That Katib has created."""
    failed: int
    best: str
    created: datetime | None
    ended: datetime | None
    deleting: bool
    gpus: int
    """That one trial asks for."""
    deadline: float
    """Seconds that a trial may take, from its Job."""

    @property
    def finished(self) -> bool:
        """Whether Katib starts no more trials."""
        return self.state in ("Succeeded", "Failed")


def read_search(found: Object) -> Search:
    """The view of an Experiment object."""
    spec, status = found["spec"], found.get("status") or {}
    condition = _last(status.get("conditions"), ("Succeeded", "Failed", "Restarting", "Running", "Created"))
    objective = spec["objective"]
    name = objective["objectiveMetricName"]
    maximize = objective["type"] == "maximize"
    strategies = {item["name"]: item["value"] for item in objective.get("metricStrategies") or []}
    job = spec["trialTemplate"].get("trialSpec", {}).get("spec", {})
    return Search(
        name=found["metadata"]["name"],
        uid=found["metadata"]["uid"],
        model=(found["metadata"].get("labels") or {}).get("sepsweep/model", ""),
        state=condition.get("type", "Created"),
        message=condition.get("message", ""),
        metric=name,
        maximize=maximize,
        strategy=cast(Strategy, strategies.get(name, "max" if maximize else "min")),
        max_trials=spec.get("maxTrialCount") or 0,
        parallel=spec.get("parallelTrialCount") or 3,
        trials=status.get("trials") or 0,
        failed=(status.get("trialsFailed") or 0) + (status.get("trialMetricsUnavailable") or 0),
        best=(status.get("currentOptimalTrial") or {}).get("bestTrialName") or "",
        created=when(found["metadata"].get("creationTimestamp")),
        ended=when(status.get("completionTime")),
        deleting="deletionTimestamp" in found["metadata"],
        gpus=_gpus(job.get("template", {}).get("spec", {}).get("containers") or []),
        deadline=float(job.get("activeDeadlineSeconds") or 0),
    )


def read_trial(found: Object) -> Trial:
    """The view of a Trial object."""
    spec, status = found["spec"], found.get("status") or {}
    condition = _last(status.get("conditions"), _PRECEDENCE)
    objective = (spec.get("objective") or {}).get("objectiveMetricName", "")
    observed = {}
    for metric in (status.get("observation") or {}).get("metrics") or []:
        if metric["name"] == objective:
            observed = {
                key: number
                for key in ("max", "min", "latest")
                if (number := _number(metric, key)) is not None
            }
    labels = found["metadata"].get("labels") or {}
    return Trial(
        name=found["metadata"]["name"],
        experiment=labels.get(EXPERIMENT_LABEL, ""),
        state=condition.get("type", "Created"),
        message=condition.get("message", ""),
        rules=tuple(map(_rule, spec.get("earlyStoppingRules") or [])),
        assignments={item["name"]: item["value"] for item in spec.get("parameterAssignments") or []},
        observed=observed,
        created=when(found["metadata"].get("creationTimestamp")),
        started=when(status.get("startTime")),
        ended=when(status.get("completionTime"))
        or (when(condition.get("lastTransitionTime")) if condition.get("type") in ENDED else None),
    )


def read_pod(found: Object) -> Pod:
    """The view of a trial's Pod object."""
    spec, status, labels = found["spec"], found.get("status") or {}, found["metadata"].get("labels") or {}
    states = {item["name"]: item.get("state") or {} for item in status.get("containerStatuses") or []}
    states |= {item["name"]: item.get("state") or {} for item in status.get("initContainerStatuses") or []}
    conditions = {item["type"]: item for item in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    disrupted = conditions.get("DisruptionTarget", {})
    ends = {name: state["terminated"] for name, state in states.items() if "terminated" in state}
    starts = [
        when((state.get("running") or state.get("terminated") or {}).get("startedAt"))
        for state in states.values()
    ]
    over = [when(end.get("finishedAt")) for end in ends.values()] if len(ends) == len(states) else []
    return Pod(
        name=found["metadata"]["name"],
        trial=labels.get(TRIAL_LABEL, ""),
        phase=status.get("phase", "Pending"),
        node=spec.get("nodeName", ""),
        created=when(found["metadata"].get("creationTimestamp")),
        started=min((start for start in starts if start), default=when(status.get("startTime"))),
        ended=max((end for end in over if end), default=None),
        deleting="deletionTimestamp" in found["metadata"],
        gpus=_gpus(spec["containers"]),
        containers=tuple(item["name"] for item in spec["containers"]),
        terminations=ends,
        waiting=tuple(
            f"{state['waiting'].get('reason', '')}: {state['waiting'].get('message', '')}".rstrip(": ")
            for state in states.values()
            if state.get("waiting", {}).get("reason") not in (None, "ContainerCreating", "PodInitializing")
        ),
        unscheduled=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        disrupted=disrupted.get("message") or disrupted.get("reason", "")
        if disrupted.get("status") == "True"
        else "",
        evicted=status.get("message", "") if status.get("reason") == "Evicted" else "",
    )


def read_job(found: Object) -> Job:
    """The view of a trial's Job object; it carries the name of its trial."""
    status = found.get("status") or {}
    ends = [item for item in status.get("conditions") or [] if item["status"] == "True"]
    failed: Object = next((item for item in ends if item["type"] == "Failed"), {})
    return Job(
        name=found["metadata"]["name"],
        suspended=bool(found["spec"].get("suspend")),
        queued="kueue.x-k8s.io/queue-name" in (found["metadata"].get("labels") or {}),
        failed=status.get("failed") or 0,
        reason=failed.get("reason", ""),
        finished=any(item["type"] in ("Complete", "Failed") for item in ends),
    )


def when(text: object) -> datetime | None:
    """A time of the API server, with its zone."""
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def _last(conditions: Sequence[Object] | None, order: Sequence[str]) -> dict[str, Any]:
    """The true condition that counts most."""
    true = {item["type"]: item for item in conditions or [] if item.get("status") == "True"}
    return next((true[kind] for kind in order if kind in true), {})


def _rule(rule: Object) -> str:
    """`val_si_snr less than 3.5 at report 4`."""
    step = f" at report {rule['startStep']}" if rule.get("startStep") else ""
    words = {"less": "less than", "greater": "greater than", "equal": "equal to"}
    comparison = words.get(rule.get("comparison", ""), "against")
    return f"{rule.get('name', '')} {comparison} {rule.get('value', '')}{step}"


def _number(metric: Object, key: str) -> float | None:
    try:
        return float(metric[key])
    except (KeyError, TypeError, ValueError):
        return None


def _gpus(containers: Sequence[Object]) -> int:
    limits = [(item.get("resources") or {}).get("limits") or {} for item in containers]
    return sum(int(cast(str, limit.get(GPU, 0))) for limit in limits)


assert set(_PRECEDENCE) == set(get_args(TrialState))  # noqa: S101  (a state that is forgotten would show as Created)
