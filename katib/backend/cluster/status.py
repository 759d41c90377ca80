"""What runs: experiments and their trials with epoch, SI-SNR, GPU time, and the cause of what went wrong.

A look costs five API calls and at most LOGS more, for the logs of running and failed trials; where a search lacks
trials, two more say why (the namespace's warnings, and the log of a service that crashes).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from statistics import mean
from typing import Any

from katib.backend.cluster.answers import AbsentError, RefusedError
from katib.backend.cluster.causes import (
    Cause,
    both,
    clean,
    interrupted,
    why_failed,
    why_stuck,
    why_tried_again,
    why_waiting,
)
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.hours import elapsed, hours, tries
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
from katib.backend.cluster.model import (
    Job,
    Pod,
    Search,
    Trial,
    own,
    read_search,
)
from katib.backend.cluster.storage import lacking_volume
from katib.backend.cluster.suggestions import lacking, warnings_of
from katib.errors import ClusterError, nearest
from katib.eta import seconds_left
from katib.metrics import MetricParser

LOGS = 5
"""Logs read in one look."""
LOG_BYTES = 1 << 24
"""Of a log; the trainer's has some 200 an epoch."""
DEADLINE_MARGIN = 3  # katib/manifest/render.py: activeDeadlineSeconds is that many times the estimate of a run
SELECTORS: Mapping[Kind, str] = {
    EXPERIMENT: OURS,
    TRIAL: f"{OURS},{EXPERIMENT_LABEL}",
    JOB: f"{OURS},{EXPERIMENT_LABEL}",
    POD: f"{OURS},{EXPERIMENT_LABEL}",
    SUGGESTION: OURS,
}
"""What status lists or watches; pods are those of trials and of suggestion services."""


@dataclass
class Curves:
    """What the logs of trials said so far; kept between looks, so that each look reads other logs first."""

    values: dict[str, list[float]] = field(default_factory=dict)
    last_lines: dict[str, list[str]] = field(default_factory=dict)
    """By pod."""
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
    epoch: int
    """Finished epochs, of a trial without a log those that its record tells."""
    current: float | None
    best: float | None
    node: str
    gpus: int
    restarts: int
    hours: float
    cause: Cause | None
    interruption: str
    pod: Pod | None


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
    lacking: Cause | None = None
    """Why the search has fewer trials than it may have."""


def look(cluster: Cluster, curves: Curves, name: str | None = None) -> list[Progress]:
    """Returns all searches of the namespace that are ours, or the one called `name`.

    Raises ClusterError where there is none.
    """
    objects = {kind: cluster.list(kind, selector) for kind, selector in SELECTORS.items()}
    return progress(cluster, objects, curves, name)


def progress(
    cluster: Cluster, objects: Mapping[Kind, Sequence[Object]], curves: Curves, name: str | None = None
) -> list[Progress]:
    """Returns the same of objects that are there already; only logs are read from the API server."""
    searches = [read_search(found) for found in objects[EXPERIMENT]]
    if name is not None:
        if name not in (names := [search.name for search in searches]):
            raise ClusterError(no_experiment(name, names, cluster.namespace))
        searches = [search for search in searches if search.name == name]
    now, made, warnings = datetime.now(UTC), [], cache(lambda: warnings_of(cluster))
    found = {search.name: own(search, objects[TRIAL], objects[JOB], objects[POD]) for search in searches}
    _read_logs(cluster, [(search, *found[search.name]) for search in searches], curves)
    for search in sorted(searches, key=lambda search: search.name):
        trials, jobs, pods = found[search.name]
        one = _progress(search, trials, jobs, pods, curves, now)
        rows = tuple(replace(row, cause=lacking_volume(cluster, row.pod) or row.cause) for row in one.rows)
        made.append(replace(one, rows=rows, lacking=lacking(cluster, search, trials, objects, warnings)))
    return made


def no_experiment(name: str, names: Iterable[str], namespace: str) -> str:
    """Returns the message for an experiment that is not there."""
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
    rows = tuple(_row(trial, search, jobs.get(trial.name), pods.get(trial.name, []), curves, now) for trial in trials)
    planned = search.deadline / DEADLINE_MARGIN
    done = [
        elapsed(row.trial.started or row.trial.created, row.trial.ended, now)
        for row in rows
        if row.trial.state in ("Succeeded", "EarlyStopped")  # one that failed says nothing of how long others take
    ]
    each = mean(done) if done else planned
    begun = [elapsed(row.trial.started, None, now) for row in rows if not row.trial.finished]
    waiting = max(0, search.max_trials - len(rows))
    return Progress(
        search=search,
        rows=tuple(sorted(rows, key=_order(search))),
        hours_used=sum({**search.hours_before, **{row.trial.name: row.hours for row in rows}}.values()),
        hours_planned=search.max_trials * planned * max(1, search.gpus) / 3600,
        seconds_left=seconds_left(each, begun, waiting, search.parallel) if each and not search.finished else None,
        unreadable=curves.problem,
        unread=sum(row.pod is not None and row.pod.running and row.trial.name not in curves.values for row in rows),
    )


def _row(trial: Trial, search: Search, job: Job | None, pods: Sequence[Pod], curves: Curves, now: datetime) -> Row:
    pod = pods[-1] if pods else None
    values = curves.values.get(trial.name, [])
    best = trial.observed.get(search.strategy)
    if best is None:
        best = search.direction.best(values)
    last_lines = curves.last_lines.get(pod.name, ()) if pod else ()
    waiting = None if trial.finished else why_waiting(job, pods)
    tried = why_tried_again(trial, pods, curves.last_lines)
    cause = waiting or why_failed(trial, job, pods, last_lines, search)
    cause = both(cause or why_stuck(pod, last_lines), tried)
    state = "Paused" if waiting and waiting.problem == "paused" else "Waiting" if waiting else trial.state
    return Row(
        trial=trial,
        state=state,
        values=tuple(values),
        epoch=max(len(values), trial.record.epochs),
        current=values[-1] if values else trial.observed.get("latest", trial.record.last),
        best=best,
        node=pod.node if pod else "",
        gpus=pod.gpus if pod else search.gpus,
        restarts=max(0, len(tries(trial, pods)) - 1, job.failed if job else 0),
        hours=hours(trial, search, job, pods, now),
        cause=cause,
        interruption=interrupted(pods),
        pod=pod,
    )


def _read_logs(
    cluster: Cluster,
    searches: Sequence[tuple[Search, list[Trial], dict[str, Job], dict[str, list[Pod]]]],
    curves: Curves,
) -> None:
    """Running trials first, the one that was read longest ago before others.

    Then, each once, tries that have failed and ended trials of which neither Katib nor a record tells value and epoch.
    """
    curves.looks += 1
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
        curves.read[pod.name] = curves.looks
        try:
            text = cluster.log(pod.name, pod.log_container, LOG_BYTES)
        except (AbsentError, RefusedError):  # the pod has gone meanwhile, or its container has not begun
            continue
        except ClusterError as error:  # a silent node, a missing right, the server away: the rest is worth showing
            curves.problem = str(error)
            continue
        lines = [clean(line) for line in text.splitlines()]
        if newest:
            curves.values[trial.name] = steps(parser, lines)
        curves.last_lines[pod.name] = lines[-20:]
        if not pod.running:
            curves.final.add(pod.name)


def _worth_reading(trial: Trial, pods: Sequence[Pod]) -> list[Pod]:
    """Returns the newest pod of a trial, unless all is known without its log, and the last one that has failed."""
    tries = [pod for pod in pods if pod.phase != "Pending"]
    failed = [pod for pod in tries if pod.failed][-1:]
    if not tries or tries[-1] in failed or (trial.finished and trial.observed and trial.record.epochs):
        return failed
    return [*([] if trial.finished else failed), tries[-1]]


def steps(parser: MetricParser, lines: Iterable[str]) -> list[float]:
    """Returns the values of a trial's objective by epoch.

    A resumed trial prints its history again with the times of old: a time is one epoch.
    """
    found: dict[object, float] = {}
    for line in lines:
        for report in parser.parse(line):
            found[report.time or len(found)] = report.value
    return list(found.values())


def _order(search: Search) -> Any:
    """Running ones first, then by what they reached."""

    def key(row: Row) -> tuple[bool, bool, float, str]:
        return (row.trial.finished, row.best is None, -search.direction.sign * (row.best or 0), row.trial.name)

    return key
