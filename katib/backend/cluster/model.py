"""What the cluster verbs know of experiments, trials and their pods: frozen views, read once from the API server's
objects.

Pure. Called by status, deploy's waiting, lifecycle and results.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

from katib.backend.cluster.kinds import EXPERIMENT_LABEL, Object
from katib.backend.cluster.pod import Pod as Pod
from katib.backend.cluster.pod import gpus_of, owner_of
from katib.backend.cluster.pod import read_pod as read_pod
from katib.manifest.object import Manifest
from katib.tries import Record, instant, read_record
from katib.untrusted import clean, finite, parse_json

TrialState = Literal["Created", "Running", "Succeeded", "Failed", "EarlyStopped", "MetricsUnavailable", "Killed"]
Strategy = Literal["max", "min", "latest"]
ENDED: tuple[TrialState, ...] = ("EarlyStopped", "Succeeded", "Failed", "MetricsUnavailable", "Killed")
_PRECEDENCE: tuple[TrialState, ...] = (*ENDED, "Running", "Created")
"""An early-stopped trial keeps Running=True, so how it ended is looked at first (Katib, status_util.go)."""
STOPPED = "sepsweep/stopped"
"""The annotation of an Experiment that says who ended it by the verb stop."""
HOURS_BEFORE = "sepsweep/hours-before"
"""The annotation of an Experiment that continues an ended one: GPU-hours by trial that were spent until then, as
JSON."""
_NEVER = datetime.max.replace(tzinfo=UTC)
when = instant


@dataclass(frozen=True)
class Trial:
    """One Katib trial. `value` is the objective's where Katib has it, which is after the trial's end."""

    name: str
    uid: str
    owner: str
    """Uid of its Experiment."""
    experiment: str
    state: TrialState
    reason: str
    message: str
    rules: tuple[str, ...]
    """The early-stopping rules that it was made with, in words; of our service they never fire by themselves."""
    assignments: Mapping[str, str]
    observed: Mapping[str, float]
    """By strategy: max, min, latest."""
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    record: Record
    """What our suggestion service has noted of its tries; empty beside Katib's own."""

    @property
    def finished(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ENDED


@dataclass(frozen=True)
class Job:
    """The Job of a trial."""

    name: str
    uid: str
    owner: str
    """Uid of its Trial."""
    suspended: bool
    suspended_since: datetime | None
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
    filters: tuple[str, ...]
    """That find the metric in what a trial prints."""
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
    """Seconds that a trial may take, from its Job; without those in which it may wait for room."""
    stopped_by: str
    """Who ended it by the verb stop; empty where nobody did."""
    stopped_at: datetime | None
    proposer: str
    """The algorithm, by which its suggestion service is called."""
    hours_before: Mapping[str, float]
    """GPU-hours that its trials took in the search that it continues."""

    @property
    def stopped(self) -> str:
        """`stopped by somebody at 2026-11-28 14:05 UTC`; empty where nobody did."""
        return f"stopped by {self.stopped_by} at {self.stopped_at:%Y-%m-%d %H:%M} UTC" if self.stopped_at else ""

    @property
    def finished(self) -> bool:
        """Whether Katib starts no more trials."""
        return self.state in ("Succeeded", "Failed")


def read_search(found: Object) -> Search:
    """Returns the view of an Experiment object."""
    spec, status = found["spec"], found.get("status") or {}
    # Restarting stays true to the end of a search that was extended; it counts until the search runs again.
    condition = _last(status.get("conditions"), ("Succeeded", "Failed", "Running", "Restarting", "Created"))
    objective = spec["objective"]
    name = objective["objectiveMetricName"]
    maximize = objective["type"] == "maximize"
    strategies = {item["name"]: item["value"] for item in objective.get("metricStrategies") or []}
    job = spec["trialTemplate"].get("trialSpec", {}).get("spec", {})
    annotations = found["metadata"].get("annotations") or {}
    stopped_by, _, stopped_at = annotations.get(STOPPED, "").rpartition(" at ")
    return Search(
        name=found["metadata"]["name"],
        uid=found["metadata"]["uid"],
        model=(found["metadata"].get("labels") or {}).get("sepsweep/model", ""),
        state=condition.get("type", "Created"),
        message=clean(condition.get("message") or ""),
        metric=name,
        filters=tuple(Manifest(spec).filters),
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
        gpus=gpus_of(job.get("template", {}).get("spec", {}).get("containers") or []),
        deadline=max(0.0, float(job.get("activeDeadlineSeconds") or 0) - _room_seconds(job)),
        stopped_by=clean(stopped_by),
        stopped_at=when(stopped_at),
        proposer=(spec.get("algorithm") or {}).get("algorithmName", ""),
        hours_before=_hours_before(annotations.get(HOURS_BEFORE, "{}")),
    )


def _room_seconds(job: Mapping[str, Any]) -> float:
    """Returns how long a trial may wait for room on a full volume, which its deadline allows for
    (katib/manifest/render.py).
    """
    for container in job.get("template", {}).get("spec", {}).get("containers") or []:
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        if "--room-minutes" in words[:-1]:
            text = str(words[words.index("--room-minutes") + 1])
            return 60.0 * int(text) if text.isdecimal() else 0.0
    return 0.0


def read_trial(found: Object) -> Trial:
    """Returns the view of a Trial object."""
    spec, status = found["spec"], found.get("status") or {}
    condition = _last(status.get("conditions"), _PRECEDENCE)
    objective = (spec.get("objective") or {}).get("objectiveMetricName", "")
    observed = {}
    for metric in (status.get("observation") or {}).get("metrics") or []:
        if metric["name"] == objective:
            observed = {key: number for key in ("max", "min", "latest") if (number := _number(metric, key)) is not None}
    labels = found["metadata"].get("labels") or {}
    return Trial(
        name=found["metadata"]["name"],
        uid=found["metadata"].get("uid", ""),
        owner=owner_of(found),
        experiment=labels.get(EXPERIMENT_LABEL, ""),
        state=condition.get("type", "Created"),
        reason=condition.get("reason", ""),
        message=clean(condition.get("message") or ""),
        rules=tuple(map(_rule, spec.get("earlyStoppingRules") or [])),
        assignments={clean(item["name"]): clean(item["value"]) for item in spec.get("parameterAssignments") or []},
        observed=observed,
        created=when(found["metadata"].get("creationTimestamp")),
        started=when(status.get("startTime")),
        ended=when(status.get("completionTime"))
        or (when(condition.get("lastTransitionTime")) if condition.get("type") in ENDED else None),
        record=read_record(found),
    )


def read_job(found: Object) -> Job:
    """Returns the view of a trial's Job object; it carries the name of its trial."""
    status = found.get("status") or {}
    ends = [item for item in status.get("conditions") or [] if item["status"] == "True"]
    failed: Object = next((item for item in ends if item["type"] == "Failed"), {})
    suspended: Object = next((item for item in ends if item["type"] == "Suspended"), {})
    return Job(
        name=found["metadata"]["name"],
        uid=found["metadata"].get("uid", ""),
        owner=owner_of(found),
        suspended=bool(found["spec"].get("suspend")),
        suspended_since=when(suspended.get("lastTransitionTime")),
        queued="kueue.x-k8s.io/queue-name" in (found["metadata"].get("labels") or {}),
        failed=status.get("failed") or 0,
        reason=failed.get("reason", ""),
        finished=any(item["type"] in ("Complete", "Failed") for item in ends),
    )


def own(
    search: Search, trials: Iterable[Object], jobs: Iterable[Object], pods: Iterable[Object]
) -> tuple[list[Trial], dict[str, Job], dict[str, list[Pod]]]:
    """Returns the trials of this very `search`, their Jobs and their pods by trial, the oldest pod first.

    What an earlier experiment of the name has left, and is being deleted in the background, has another owner.
    """
    of_search = [trial for trial in map(read_trial, trials) if trial.experiment == search.name]
    found = {trial.name: trial for trial in of_search if trial.owner in ("", search.uid)}
    read = [job for job in map(read_job, jobs) if job.name in found]
    of_trials = {job.name: job for job in read if job.owner in ("", found[job.name].uid)}
    tries: dict[str, list[Pod]] = {}
    for pod in sorted(map(read_pod, pods), key=lambda pod: pod.created or _NEVER):
        job = of_trials.get(pod.trial)
        if pod.trial in found and (job is None or pod.owner in ("", job.uid)):
            tries.setdefault(pod.trial, []).append(pod)
    return list(found.values()), of_trials, tries


def _last(conditions: Sequence[Object] | None, order: Sequence[str]) -> dict[str, Any]:
    """Returns the true condition that counts most."""
    true = {item["type"]: item for item in conditions or [] if item.get("status") == "True"}
    return next((true[kind] for kind in order if kind in true), {})


def _hours_before(text: str) -> dict[str, float]:
    try:
        found = parse_json(text)
    except ValueError:
        return {}
    listed = found.items() if isinstance(found, dict) else ()
    return {trial: hours for trial, given in listed if (hours := finite(given)) is not None and hours >= 0}


def _rule(rule: Object) -> str:
    """Returns `val_si_snr less than 3.5 at report 4`."""
    step = f" at report {rule['startStep']}" if rule.get("startStep") else ""
    words = {"less": "less than", "greater": "greater than", "equal": "equal to"}
    comparison = words.get(rule.get("comparison", ""), "against")
    return f"{rule.get('name', '')} {comparison} {rule.get('value', '')}{step}"


def _number(metric: Object, key: str) -> float | None:
    try:
        return float(metric[key])
    except (KeyError, TypeError, ValueError):
        return None


assert set(_PRECEDENCE) == set(get_args(TrialState))  # noqa: S101  (a state that is forgotten would show as Created)
