"""Reads how searches progress: their trials with epoch, objective and GPU time, and the cause of what went wrong.

That takes five API calls and at most LOGS more, for the logs of running and failed trials; where a search lacks trials,
two more find out why (the namespace's warnings, and the log of a service that crashes).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from math import ceil
from statistics import mean

from katib.backend.cluster.answers import AbsentError, RefusedError
from katib.backend.cluster.causes import (
    clean,
    combined,
    interrupted,
    why_failed,
    why_silent,
    why_stuck,
    why_tried_again,
    why_waiting,
)
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.hours import hours, tries
from katib.backend.cluster.kinds import (
    EXPERIMENT,
    EXPERIMENT_LABEL,
    JOB,
    OURS,
    POD,
    SUGGESTION,
    TRIAL,
    Kind,
    Object,
)
from katib.backend.cluster.live import LiveTrial, Progress, order
from katib.backend.cluster.model import Job, Search, Trial, owned_by, read_search
from katib.backend.cluster.pod import Pod
from katib.backend.cluster.storage import missing_volume
from katib.backend.cluster.suggestions import shortage, warnings_of
from katib.errors import ClusterError, nearest
from katib.eta import seconds_left, seconds_of_epochs
from katib.heartbeat import Heartbeat, last_line
from katib.metrics import MetricParser
from katib.search.spending import expected_part
from katib.table.smaller import printed
from katib.tries import elapsed

LOGS = 5
"""The number of logs that are read each time."""
LOG_BYTES = 1 << 24
"""The part of a log that is read; the trainer prints about 200 bytes per epoch."""
DEADLINE_MARGIN = 3
"""How many times the estimate of a run activeDeadlineSeconds is (katib/manifest/render.py)."""
SELECTORS: Mapping[Kind, str] = {
    EXPERIMENT: OURS,
    TRIAL: f"{OURS},{EXPERIMENT_LABEL}",
    JOB: f"{OURS},{EXPERIMENT_LABEL}",
    POD: f"{OURS},{EXPERIMENT_LABEL}",
    SUGGESTION: OURS,
}
"""The objects that status lists or watches; pods are those of trials and of suggestion services."""


@dataclass
class Curves:
    """What the logs of trials have said so far; it is kept, so that each time other logs are read first."""

    values: dict[str, list[float]] = field(default_factory=dict)
    """The objective of each epoch, by trial."""
    last_lines: dict[str, list[str]] = field(default_factory=dict)
    """The last lines of a log, by pod."""
    heartbeats: dict[str, Heartbeat | None] = field(default_factory=dict)
    """How far a training is within its epoch, by pod."""
    read: dict[str, int] = field(default_factory=dict)
    """When a log was last read, as a value of `rounds`, by pod."""
    rounds: int = 0
    """The number of times that logs have been read."""
    final: set[str] = field(default_factory=set)
    """The pods that have ended, and whose log has been read since."""
    problem: str = ""
    """Why a log could not be read the last time; empty where all could."""


def read_progress(cluster: Cluster, curves: Curves, name: str | None = None) -> list[Progress]:
    """Returns the progress of all our searches in the namespace, or of the one called `name`.

    Raises ClusterError where there is no search of that name.
    """
    objects = {kind: cluster.list(kind, selector) for kind, selector in SELECTORS.items()}
    return progress_of(cluster, objects, curves, name)


def progress_of(
    cluster: Cluster, objects: Mapping[Kind, Sequence[Object]], curves: Curves, name: str | None = None
) -> list[Progress]:
    """Returns what `read_progress` does, from `objects` listed before; only logs are read from the API server."""
    searches = sorted(map(read_search, objects[EXPERIMENT]), key=lambda search: search.name)
    if name is not None:
        names = [search.name for search in searches]
        if name not in names:
            raise ClusterError(no_experiment(name, names, cluster.namespace))
        searches = [search for search in searches if search.name == name]
    now, warnings = datetime.now(UTC), cache(lambda: warnings_of(cluster))
    owned = [(search, *owned_by(search, objects[TRIAL], objects[JOB], objects[POD])) for search in searches]
    _read_logs(cluster, owned, curves)
    result = []
    for search, trials, jobs, pods in owned:
        item = _search_progress(search, trials, jobs, pods, curves, now)
        rows = tuple(replace(row, cause=missing_volume(cluster, row.pod) or row.cause) for row in item.rows)
        result.append(replace(item, rows=rows, shortage=shortage(cluster, search, trials, objects, warnings)))
    return result


def no_experiment(name: str, names: Iterable[str], namespace: str) -> str:
    """Returns the message for an experiment that does not exist, with the nearest of `names`."""
    existing = list(names)
    hint = nearest(name, existing) if existing else "there is none; make deploy MODEL=… starts one"
    return f"there is no experiment '{name}' of ours in namespace '{namespace}': {hint}"


def _search_progress(
    search: Search,
    trials: Sequence[Trial],
    jobs: Mapping[str, Job],
    pods: Mapping[str, list[Pod]],
    curves: Curves,
    now: datetime,
) -> Progress:
    rows = tuple(_row(trial, search, jobs.get(trial.name), pods.get(trial.name, []), curves, now) for trial in trials)
    planned, part = search.deadline / DEADLINE_MARGIN, 1.0
    if search.promotion is not None and search.epochs and search.configurations:
        part = expected_part(search.promotion, search.configurations, search.epochs, search.parallel)
    done = [
        elapsed(row.trial.started or row.trial.created, row.trial.ended, now)
        for row in rows
        if row.trial.state in ("Succeeded", "EarlyStopped")  # failed ones do not tell how long others take
    ]
    each = mean(done) if done else planned
    return Progress(
        search=search,
        rows=tuple(sorted(rows, key=order(search))),
        hours_used=sum({**search.hours_before, **{row.trial.name: row.hours for row in rows}}.values()),
        hours_planned=search.configurations * planned * part * (search.gpus or 1) / 3600,
        seconds_left=_seconds_left(rows, search, each, now) if each and not search.finished else None,
        unreadable=curves.problem,
        unread=sum(row.pod is not None and row.pod.running and row.trial.name not in curves.values for row in rows),
    )


def _seconds_left(rows: Sequence[LiveTrial], search: Search, each: float, now: datetime) -> float:
    """Returns the seconds until the search ends if a trial takes `each` of them.

    With promote, where many trials are short, each epoch is expected to take as long as so far.
    """
    running = [row for row in rows if not row.trial.finished]
    reached: dict[str, int] = {}
    for row in rows:
        reached[row.trial.first] = max(row.epoch, reached.get(row.trial.first, 0))
    epochs = sum(reached.values())
    if search.epochs_each is not None and epochs:
        spent = sum(elapsed(row.trial.started, row.trial.ended, now) for row in rows)
        rest = search.configurations * search.epochs_each - epochs
        return seconds_of_epochs(rest, spent / epochs, len(running), search.parallel)
    begun = [elapsed(row.trial.started, None, now) for row in running]
    return seconds_left(each, begun, max(0, search.max_trials - len(rows)), search.parallel)


def _row(
    trial: Trial, search: Search, job: Job | None, pods: Sequence[Pod], curves: Curves, now: datetime
) -> LiveTrial:
    pod = pods[-1] if pods else None
    values = curves.values.get(trial.name, [])
    best = trial.observed.get(search.strategy)
    if best is None:
        best = search.direction.best(values)
    last_lines = curves.last_lines.get(pod.name, ()) if pod else ()
    waiting = None if trial.finished else why_waiting(job, pods)
    last_try = why_tried_again(trial, pods, curves.last_lines)
    cause = waiting or why_failed(trial, job, pods, last_lines, search)
    heartbeat = curves.heartbeats.get(pod.name) if pod and pod.running else None
    cause = combined(cause or why_stuck(pod, last_lines) or why_silent(heartbeat, now, trial), last_try)
    state = "Paused" if waiting and waiting.problem == "paused" else "Waiting" if waiting else trial.state
    return LiveTrial(
        trial=trial,
        state=state,
        values=tuple(values),
        epoch=max(len(values), trial.record.epochs),
        current=values[-1] if values else trial.observed.get("latest", trial.record.last),
        best=best,
        node=pod.node if pod else "",
        gpus=pod.gpus if pod else ceil(search.gpus),
        restarts=max(0, len(tries(trial, pods)) - 1, job.failed if job else 0),
        hours=hours(trial, search, job, pods, now),
        cause=cause,
        interruption=interrupted(pods),
        pod=pod,
        heartbeat=heartbeat,
        smaller=printed(line for each in pods if each.failed for line in curves.last_lines.get(each.name, ())),
    )


def _read_logs(
    cluster: Cluster,
    searches: Sequence[tuple[Search, list[Trial], dict[str, Job], dict[str, list[Pod]]]],
    curves: Curves,
) -> None:
    """Reads at most LOGS logs into `curves`.

    Running trials come first, the one whose log was read longest ago before the others. Then come, once each, failed
    tries, and ended trials of which neither Katib nor a record has value and epoch.
    """
    curves.rounds += 1
    curves.problem = ""
    wanted = []
    for search, trials, _, pods in searches:
        parser = MetricParser(search.filters, [search.metric])
        for trial in trials:
            for pod in _worth_reading(trial, pods.get(trial.name, [])):
                if pod.name not in curves.final:
                    wanted.append((trial, pod, parser, pod is pods[trial.name][-1]))
    wanted.sort(key=lambda item: (item[0].finished, not item[3], curves.read.get(item[1].name, 0)))
    for trial, pod, parser, newest in wanted[:LOGS]:
        curves.read[pod.name] = curves.rounds
        try:
            text = cluster.log(pod.name, pod.log_container, LOG_BYTES)
        except (AbsentError, RefusedError):
            continue  # the pod is gone by now, or its container has not started
        except ClusterError as error:
            # A node does not answer, a right is missing, or the server is away: the rest is worth showing.
            curves.problem = str(error)
            continue
        lines = [clean(line) for line in text.splitlines()]
        if newest:
            curves.values[trial.name] = steps(parser, lines)
        curves.last_lines[pod.name] = lines[-20:]
        curves.heartbeats[pod.name] = last_line(lines)
        if not pod.running:
            curves.final.add(pod.name)


def _worth_reading(trial: Trial, pods: Sequence[Pod]) -> list[Pod]:
    """Returns the pods of a trial whose logs are needed.

    They are the last one that has failed, and the newest one unless everything is known without its log.
    """
    tries = [pod for pod in pods if pod.phase != "Pending"]
    failed = [pod for pod in tries if pod.failed][-1:]
    if not tries or tries[-1] in failed or (trial.finished and trial.observed and trial.record.epochs):
        return failed
    return [*([] if trial.finished else failed), tries[-1]]


def steps(parser: MetricParser, lines: Iterable[str]) -> list[float]:
    """Returns the values of a trial's objective by epoch.

    A resumed trial prints its history again with the original times, so that each time stands for one epoch.
    """
    by_time: dict[object, float] = {}
    for line in lines:
        for report in parser.parse(line):
            by_time[report.time or len(by_time)] = report.value
    return list(by_time.values())
