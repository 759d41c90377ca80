"""Reads Experiments, Trials and their Jobs, as the API server sends them, into frozen views. Pure: no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast, get_args

from katib.backend.cluster.acts import Act, acts_of
from katib.backend.cluster.kinds import EXPERIMENT_LABEL, QUEUE_LABEL, Object, annotations_of, labels_of, name_of
from katib.backend.cluster.pod import Pod, owner_of, read_pod
from katib.manifest.gpu_hours import hours_before, known_budget
from katib.manifest.object import OWN_SPEC, Manifest
from katib.measure import Measure, measure_of
from katib.search.promotion import Promote
from katib.search.stop_rules import promotion
from katib.text import number
from katib.trainer_contract import Flags, is_own
from katib.tree import text_at
from katib.trial import CONDITIONS, CONTINUES_LABEL, ENDED, Direction, State
from katib.tries import Record, instant, read_record
from katib.untrusted import clean

Strategy = Literal["max", "min", "latest"]
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Trial:
    """A Katib trial."""

    name: str
    uid: str
    owner: str
    """The uid of its Experiment."""
    experiment: str
    continues: str
    """The first trial of the configuration that it goes on with; empty for one that began a configuration."""
    state: State
    reason: str
    message: str
    rules: tuple[str, ...]
    """The early-stopping rules that Katib gave it, in words; those of our service never fire by themselves."""
    assignments: Mapping[str, str]
    observed: Mapping[str, float]
    """The objective by strategy (max, min, latest), which Katib has once the trial has ended."""
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    record: Record
    """What our suggestion service has recorded of its tries; empty where Katib's own service runs."""

    @property
    def first(self) -> str:
        """The name of its configuration, which is that of the first trial and of the run directory."""
        return self.continues or self.name

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED


@dataclass(frozen=True)
class Job:
    """The Job of a trial."""

    name: str
    uid: str
    owner: str
    """The uid of its Trial."""
    suspended: bool
    suspended_since: datetime | None
    queue: str
    """The queue of Kueue that admits it; empty where none does."""
    failed: int
    reason: str
    """Why the Job failed as a whole, such as DeadlineExceeded."""
    finished: bool
    started: datetime | None
    deadline: int | None
    """The seconds that it may take from its start; None where it has no deadline."""


@dataclass(frozen=True)
class Search:
    """An Experiment of ours, as it runs."""

    name: str
    uid: str
    model: str
    state: str
    message: str
    measure: Measure
    filters: tuple[str, ...]
    """The expressions that find the metric in a trial's output."""
    direction: Direction
    strategy: Strategy
    max_trials: int
    configurations: int
    """As many as trials, except under promote, where a continuation is a trial more; 0 if nothing limits them."""
    pauses: bool
    """Whether a trial that is stopped early may go on as another one."""
    epochs_each: float | None
    """About how many epochs a configuration gets under promote; None with another rule."""
    epochs: int | None
    """The epochs of a whole training; None where its command does not say."""
    promotion: Promote | None
    """The rule promote with its settings; None with another rule."""
    parallel: int
    trials: int
    """The number that Katib has created."""
    failed: int
    best: str
    created: datetime | None
    ended: datetime | None
    deleting: bool
    gpus: float
    """The number that one trial holds; less than 1 where several share one."""
    deadline: float
    """Seconds that a trial may take according to its Job, without those in which it may wait for disk space."""
    acts: tuple[Act, ...]
    """Who paused, resumed, stopped or deleted it, the first act first."""
    proposer: str
    """The algorithm, after which its suggestion service is named."""
    budget: float | None
    """The budget in GPU-hours; None where it has none."""
    hours_before: Mapping[str, float]
    """GPU-hours by trial that were spent in the search that this one continues."""

    @property
    def metric(self) -> str:
        """The name of its metric."""
        return self.measure.metric

    @property
    def stopped(self) -> str:
        """`stopped by somebody at 2026-11-28 14:05 UTC`; empty where nobody did."""
        return "".join(str(act) for act in self.acts if act.word == "stopped")

    @property
    def stopped_at(self) -> datetime | None:
        """When somebody ended it with the verb stop; None where nobody did."""
        return next((act.time for act in self.acts if act.word == "stopped"), None)

    @property
    def paused(self) -> str:
        """`paused by somebody at 2026-11-28 14:05 UTC`, unless it was resumed since."""
        last = next((act for act in reversed(self.acts) if act.word in ("paused", "resumed")), None)
        return str(last) if last and last.word == "paused" else ""

    @property
    def finished(self) -> bool:
        """Whether it has ended, so that Katib starts no more trials."""
        return self.state in ("Succeeded", "Failed")


def read_search(item: Object) -> Search:
    """Returns the view of an Experiment object."""
    spec, status = item["spec"], item.get("status") or {}
    # Restarting stays true until an extended search ends; it counts until the search runs again.
    condition = _last(status.get("conditions"), ("Succeeded", "Failed", "Running", "Restarting", "Created"))
    objective = spec["objective"]
    metric, direction = objective["objectiveMetricName"], Direction(objective["type"])
    strategies = {each["name"]: each["value"] for each in objective.get("metricStrategies") or []}
    job = spec["trialTemplate"].get("trialSpec", {}).get("spec", {})
    containers: Sequence[Object] = job.get("template", {}).get("spec", {}).get("containers") or []
    annotations, manifest = annotations_of(item), Manifest.of(item)
    measure = measure_of(metric, annotations.get(OWN_SPEC, ""))
    return Search(
        name=name_of(item),
        uid=item["metadata"]["uid"],
        # A label cannot hold the word of a model of one's own.
        model=manifest.model if is_own(manifest.model) else labels_of(item).get("sepsweep/model", ""),
        state=condition.get("type", "Created"),
        message=clean(condition.get("message") or ""),
        measure=measure,
        filters=tuple(manifest.filters),
        direction=direction,
        strategy=cast(Strategy, strategies.get(metric, direction.strategy)),
        max_trials=spec.get("maxTrialCount") or 0,
        configurations=manifest.configurations or 0,
        pauses=manifest.pauses,
        epochs_each=manifest.epochs_each,
        epochs=manifest.number(Flags.EPOCHS),
        promotion=promotion(manifest, direction, measure),
        parallel=spec.get("parallelTrialCount") or 3,
        trials=status.get("trials") or 0,
        failed=(status.get("trialsFailed") or 0) + (status.get("trialMetricsUnavailable") or 0),
        best=(status.get("currentOptimalTrial") or {}).get("bestTrialName") or "",
        created=instant(item["metadata"].get("creationTimestamp")),
        ended=instant(status.get("completionTime")),
        deleting="deletionTimestamp" in item["metadata"],
        gpus=Manifest(spec).gpu_need.share,
        deadline=max(0.0, float(job.get("activeDeadlineSeconds") or 0) - _room_seconds(containers)),
        acts=acts_of(item),
        proposer=(spec.get("algorithm") or {}).get("algorithmName", ""),
        budget=known_budget(annotations),
        hours_before=hours_before(annotations),
    )


def _room_seconds(containers: Sequence[Object]) -> float:
    """Returns how long a trial may wait for space on a full volume.

    Its deadline includes that time (katib/manifest/render.py).
    """
    for container in containers:
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        if Flags.ROOM_MINUTES in words[:-1]:
            text = str(words[words.index(Flags.ROOM_MINUTES) + 1])
            return 60.0 * int(text) if text.isdecimal() else 0.0
    return 0.0


def read_trial(item: Object) -> Trial:
    """Returns the view of a Trial object."""
    spec, status = item["spec"], item.get("status") or {}
    condition = _last(status.get("conditions"), tuple(CONDITIONS))
    state = CONDITIONS[condition.get("type", "Created")]
    objective = (spec.get("objective") or {}).get("objectiveMetricName", "")
    metrics = (status.get("observation") or {}).get("metrics") or []
    observation: Object = next((metric for metric in reversed(metrics) if metric["name"] == objective), {})
    observed = {key: number(text_at(observation, key)) for key in get_args(Strategy)}
    last_change = instant(condition.get("lastTransitionTime")) if state in ENDED else None
    return Trial(
        name=name_of(item),
        uid=item["metadata"].get("uid", ""),
        owner=owner_of(item),
        experiment=labels_of(item).get(EXPERIMENT_LABEL, ""),
        continues=labels_of(item).get(CONTINUES_LABEL, ""),
        state=state,
        reason=condition.get("reason", ""),
        message=clean(condition.get("message") or ""),
        rules=tuple(map(_rule, spec.get("earlyStoppingRules") or [])),
        assignments={clean(each["name"]): clean(each["value"]) for each in spec.get("parameterAssignments") or []},
        observed={key: value for key, value in observed.items() if value is not None},
        created=instant(item["metadata"].get("creationTimestamp")),
        started=instant(status.get("startTime")),
        ended=instant(status.get("completionTime")) or last_change,
        record=read_record(item),
    )


def read_job(item: Object) -> Job:
    """Returns the view of a trial's Job object, which has the name of its trial."""
    status = item.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or [] if each["status"] == "True"}
    return Job(
        name=name_of(item),
        uid=item["metadata"].get("uid", ""),
        owner=owner_of(item),
        suspended=bool(item["spec"].get("suspend")),
        suspended_since=instant(conditions.get("Suspended", {}).get("lastTransitionTime")),
        queue=labels_of(item).get(QUEUE_LABEL, ""),
        failed=status.get("failed") or 0,
        reason=conditions.get("Failed", {}).get("reason", ""),
        finished="Complete" in conditions or "Failed" in conditions,
        started=instant(status.get("startTime")),
        deadline=item["spec"].get("activeDeadlineSeconds"),
    )


def owned_by(
    search: Search, trials: Iterable[Object], jobs: Iterable[Object], pods: Iterable[Object]
) -> tuple[list[Trial], dict[str, Job], dict[str, list[Pod]]]:
    """Returns the trials of this very `search`, and their Jobs and pods by trial, the oldest pod first.

    Objects of an earlier experiment with the same name may still be there while they are deleted in the background;
    they have another owner.
    """
    named = [trial for trial in map(read_trial, trials) if trial.experiment == search.name]
    own_trials = {trial.name: trial for trial in named if trial.owner in ("", search.uid)}
    own_jobs = {
        job.name: job
        for job in map(read_job, jobs)
        if job.name in own_trials and job.owner in ("", own_trials[job.name].uid)
    }
    own_pods: dict[str, list[Pod]] = {}
    for pod in sorted(map(read_pod, pods), key=lambda pod: pod.created or _NEVER):
        job = own_jobs.get(pod.trial)
        if pod.trial in own_trials and (job is None or pod.owner in ("", job.uid)):
            own_pods.setdefault(pod.trial, []).append(pod)
    return list(own_trials.values()), own_jobs, own_pods


def _last(conditions: Sequence[Object] | None, order: Sequence[str]) -> Object:
    """Returns the true condition that comes first in `order`; {} where none is true."""
    true = {each["type"]: each for each in conditions or [] if each.get("status") == "True"}
    return next((true[kind] for kind in order if kind in true), {})


def _rule(rule: Object) -> str:
    """Returns an early-stopping rule in words, such as `val_si_snr less than 3.5 at report 4`."""
    step = f" at report {rule['startStep']}" if rule.get("startStep") else ""
    words = {"less": "less than", "greater": "greater than", "equal": "equal to"}
    comparison = words.get(rule.get("comparison", ""), "against")
    return f"{rule.get('name', '')} {comparison} {rule.get('value', '')}{step}"
