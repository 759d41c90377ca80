"""What runs: experiments and their trials with epoch, SI-SNR, GPU time, and the cause of what went wrong.

A look costs four API calls and at most LOGS more, for the logs of running and failed trials. Called by the verbs status,
logs, pause, delete and results.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import mean
from typing import Any

from katib.cluster.causes import Cause, clean, interrupted, why_failed, why_waiting
from katib.cluster.client import AbsentError, Cluster, RefusedError
from katib.cluster.kinds import (
    EXPERIMENT,
    EXPERIMENT_LABEL,
    JOB,
    OURS,
    POD,
    TRIAL,
    TRIAL_LABEL,
    Kind,
    Object,
)
from katib.cluster.model import (
    Job,
    Pod,
    Search,
    Trial,
    read_job,
    read_pod,
    read_search,
    read_trial,
)
from katib.errors import ClusterError, nearest
from katib.metrics import MetricParser, metric_filter

LOGS = 6  # logs read in one look; with four lists that is ten calls
LOG_BYTES = 1 << 20
DEADLINE_MARGIN = 3  # katib/render.py: activeDeadlineSeconds is that many times the estimate of a run
SELECTORS: Mapping[Kind, str] = {
    EXPERIMENT: OURS,
    TRIAL: f"{OURS},{EXPERIMENT_LABEL}",
    JOB: f"{OURS},{EXPERIMENT_LABEL}",
    POD: f"{OURS},{TRIAL_LABEL}",
}
"""What status lists or watches."""


@dataclass
class Curves:
    """What the logs of trials said so far; kept between looks, so that each look reads other logs first."""

    values: dict[str, list[float]] = field(default_factory=dict)
    last_lines: dict[str, list[str]] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    looks: int = 0
    final: set[str] = field(default_factory=set)
    problem: str = ""
    """Why a log could not be read in the last look."""


@dataclass(frozen=True)
class Row:
    """One trial as status shows it. `hours` are GPU-hours so far."""

    trial: Trial
    state: str
    values: tuple[float, ...]
    """The objective by epoch, as far as a log that is still there says."""
    current: float | None
    best: float | None
    node: str
    gpus: int
    restarts: int
    hours: float
    cause: Cause | None
    interruption: str
    pod: Pod | None

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.values)


@dataclass(frozen=True)
class Progress:
    """One search with its trials."""

    search: Search
    rows: tuple[Row, ...]
    hours_used: float
    hours_planned: float
    seconds_left: float | None
    unreadable: str
    """Why a log could not be read."""
    unread: int
    """Running trials whose log has not been read yet."""


def look(cluster: Cluster, curves: Curves, name: str | None = None) -> list[Progress]:
    """All searches of the namespace that are ours, or the one called `name`. Raises ClusterError where there is none."""
    objects = {kind: cluster.list(kind, selector) for kind, selector in SELECTORS.items()}
    return progress(cluster, objects, curves, name)


def progress(
    cluster: Cluster, objects: Mapping[Kind, Sequence[Object]], curves: Curves, name: str | None = None
) -> list[Progress]:
    """The same of objects that are there already; only logs are read from the API server."""
    searches = [read_search(found) for found in objects[EXPERIMENT]]
    if name is not None:
        if name not in (names := [search.name for search in searches]):
            raise ClusterError(none_called(name, names, cluster.namespace))
        searches = [search for search in searches if search.name == name]
    ours = {search.name for search in searches}
    trials = [trial for trial in map(read_trial, objects[TRIAL]) if trial.experiment in ours]
    jobs = {job.name: job for job in map(read_job, objects[JOB])}
    pods: dict[str, list[Pod]] = {}
    for pod in sorted(
        map(read_pod, objects[POD]), key=lambda pod: pod.created or datetime.max.replace(tzinfo=UTC)
    ):
        pods.setdefault(pod.trial, []).append(pod)
    metrics = {search.name: search.metric for search in searches}
    _read_logs(cluster, trials, pods, metrics, curves)
    now = datetime.now(UTC)
    return [
        _progress(
            search, [trial for trial in trials if trial.experiment == search.name], jobs, pods, curves, now
        )
        for search in sorted(searches, key=lambda search: search.name)
    ]


def none_called(name: str, names: Iterable[str], namespace: str) -> str:
    """The message for an experiment that is not there."""
    there = list(names)
    hint = nearest(name, there) if there else "there is none; make deploy MODEL=… starts one"
    return f"there is no experiment '{name}' of ours in namespace '{namespace}': {hint}"


def _progress(
    search: Search,
    trials: Sequence[Trial],
    jobs: Mapping[str, Job],
    pods: Mapping[str, list[Pod]],
    curves: Curves,
    now: datetime,
) -> Progress:
    rows = tuple(
        _row(trial, search, jobs.get(trial.name), pods.get(trial.name, []), curves, now) for trial in trials
    )
    planned = search.deadline / DEADLINE_MARGIN
    done = [
        _seconds(row.trial.started or row.trial.created, row.trial.ended, now)
        for row in rows
        if row.trial.finished
    ]
    each = mean(done) if done else planned
    left = search.max_trials - len(done)
    ahead = sum(min(each, _seconds(row.trial.started, None, now)) for row in rows if not row.trial.finished)
    return Progress(
        search=search,
        rows=tuple(sorted(rows, key=_order(search))),
        hours_used=sum(row.hours for row in rows),
        hours_planned=search.max_trials * planned * max(1, search.gpus) / 3600,
        seconds_left=max(0.0, (left * each - ahead) / max(1, search.parallel))
        if each and not search.finished
        else None,
        unreadable=curves.problem,
        unread=sum(
            row.pod is not None and row.pod.running and row.trial.name not in curves.values for row in rows
        ),
    )


def _row(
    trial: Trial, search: Search, job: Job | None, pods: Sequence[Pod], curves: Curves, now: datetime
) -> Row:
    pod = pods[-1] if pods else None
    values = curves.values.get(trial.name, [])
    best = trial.observed.get(search.strategy)
    if best is None and values:
        best = max(values) if search.maximize else min(values)
    waiting = None if trial.finished else why_waiting(job, pods)
    state = "Paused" if waiting and waiting.what == "paused" else "Waiting" if waiting else trial.state
    return Row(
        trial=trial,
        state=state,
        values=tuple(values),
        current=values[-1] if values else trial.observed.get("latest"),
        best=best,
        node=pod.node if pod else "",
        gpus=pod.gpus if pod else search.gpus,
        restarts=max(0, len(pods) - 1, job.failed if job else 0),
        hours=_hours(trial, search, pods, now),
        cause=waiting or why_failed(trial, job, pods, curves.last_lines.get(trial.name, ())),
        interruption=interrupted(pods),
        pod=pod,
    )


def _hours(trial: Trial, search: Search, pods: Sequence[Pod], now: datetime) -> float:
    """GPU-hours (without a GPU: hours) of all tries that are still known; of a trial whose pods are gone, its whole time."""
    if pods:
        seconds = sum(_seconds(pod.started, pod.ended, now) for pod in pods if pod.started and pod.node)
    elif trial.finished:
        seconds = _seconds(trial.started, trial.ended, now)
    else:
        seconds = 0.0
    return seconds * max(1, search.gpus) / 3600


def _read_logs(
    cluster: Cluster,
    trials: Sequence[Trial],
    pods: Mapping[str, list[Pod]],
    metrics: Mapping[str, str],
    curves: Curves,
) -> None:
    """Running trials first, the one that was read longest ago before others; then, each once, failed ones and those that Katib
    has no value of: it notes that of a trial that was stopped early only after its Job's end."""
    curves.looks += 1
    curves.problem = ""
    wanted = []
    for trial in trials:
        pod = pods[trial.name][-1] if pods.get(trial.name) else None
        if pod is None or pod.phase == "Pending":
            continue
        unknown = trial.state == "Failed" or not trial.observed
        if not trial.finished or (unknown and trial.name not in curves.final):
            wanted.append((trial, pod))
    wanted.sort(key=lambda pair: (pair[0].finished, curves.read.get(pair[0].name, 0)))
    for trial, pod in wanted[:LOGS]:
        curves.read[trial.name] = curves.looks
        try:
            text = cluster.log(pod.name, pod.log_container, LOG_BYTES)
        except (AbsentError, RefusedError):  # the pod has gone meanwhile, or its container has not begun
            continue
        except (
            ClusterError
        ) as error:  # a silent node, a missing right, the server away: the rest is worth showing
            curves.problem = str(error)
            continue
        metric = metrics[trial.experiment]
        lines = [clean(line) for line in text.splitlines()]
        parser = MetricParser([metric_filter(metric)], [metric])
        curves.values[trial.name] = [report.value for line in lines for report in parser.parse(line)]
        curves.last_lines[trial.name] = lines[-20:]
        if trial.finished and not pod.running:
            curves.final.add(trial.name)


def _order(search: Search) -> Any:
    """Running ones first, then by what they reached."""
    sign = -1 if search.maximize else 1

    def key(row: Row) -> tuple[bool, bool, float, str]:
        return (row.trial.finished, row.best is None, sign * (row.best or 0), row.trial.name)

    return key


def _seconds(start: datetime | None, end: datetime | None, now: datetime) -> float:
    return max(0.0, ((end or now) - start).total_seconds()) if start else 0.0
