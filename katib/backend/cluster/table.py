"""Builds the trial table of a search on the cluster from its Trial objects and the metrics in Katib's own store.

The store is asked over gRPC, through a port that kubectl forwards. Where it does not answer, the logs of pods that
still exist replace it, and a note says so.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from katib.backend.cluster.answers import AbsentError, RefusedError
from katib.backend.cluster.causes import clean
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.families import joined_rows
from katib.backend.cluster.kinds import (
    EXPERIMENT,
    EXPERIMENT_LABEL,
    PROPOSED_LABEL,
    PROPOSER,
    TRIAL,
    Object,
    name_of,
)
from katib.backend.cluster.kubectl import forwarded
from katib.backend.cluster.live import LiveTrial, Progress
from katib.backend.cluster.status import LOG_BYTES, Curves, read_progress
from katib.errors import ClusterError
from katib.manifest.gpu_hours import known_budget
from katib.manifest.object import OWN_SPEC, Manifest
from katib.metrics import MetricParser, Report
from katib.table.origin import budget, origin
from katib.table.patience import explained
from katib.table.run_folder import Metrics, points
from katib.table.smaller import with_smaller
from katib.table.trial_table import CLUSTER, Point, TrialRow, TrialTable, best_first, with_pauses
from katib.text import number
from katib.trainer_contract import MADE_WITH, WANDB_LINK
from katib.trial import ENDED, Direction, Identity, objective_value
from katib.tries import instant

MANAGER, MANAGER_PORT = "katib-db-manager", 6789
LINK_LOGS = 3
"""The number of logs that are searched for the address of a run; addresses differ only in the trial's name."""


def cluster_table(cluster: Cluster, experiment: str, *, context: str | None = None) -> TrialTable:
    """Returns the table of `experiment`, best first. Raises ClusterError where there is no such experiment."""
    return gather(cluster, experiment, context=context).table


@dataclass(frozen=True)
class Gathered:
    """A table, and the rows whose curves may not be complete in it."""

    table: TrialTable
    manifest: Object
    doubtful: tuple[str, ...]
    """The rows for which nothing guarantees that their whole curve is in the table."""
    finished: Mapping[str, int]
    """By row, the number of epochs that it has at least finished, according to Katib's objects and logs."""
    why: str
    """Why the DB manager did not answer; empty where it did."""


def gather(cluster: Cluster, experiment: str, *, context: str | None = None, every_log: bool = False) -> Gathered:
    """Reads every curve from the DB manager, and from pods' logs those that it lacks; with `every_log`, from all logs.

    Raises ClusterError where there is no such experiment.
    """
    (progress,) = read_progress(cluster, Curves(), experiment)
    document, objective = cluster.get(EXPERIMENT, experiment) or {}, progress.search.metric
    manifest = Manifest.of(document)
    notes = [f"a log could not be read: {progress.unreadable}"] if progress.unreadable else []
    metrics: dict[str, Metrics] = {}
    why = ""
    try:
        with forwarded(MANAGER, MANAGER_PORT, cluster.katib, context=context) as port:
            metrics = observed(f"127.0.0.1:{port}", (row.trial.name for row in progress.rows))
    except ClusterError as error:
        why = str(error)
    without = [row for row in progress.rows if not metrics.get(row.trial.name)]
    parser = MetricParser(manifest.filters, manifest.metrics)
    printed, complete, unread = logged(cluster, progress.rows if every_log else without, parser)
    for trial, curves in printed.items():
        if _epochs(curves, objective) > _epochs(metrics.get(trial, {}), objective):
            metrics[trial] = curves
    if why:
        notes.append(
            f"{MANAGER} does not answer ({why}); metrics are from the logs of {len(printed)} pods"
            f" and from the Trial objects; {unread or 'make doctor says what is wrong'}"
        )
    ours = frozenset() if why else _reported_by_ours(cluster, experiment)
    doubtful = {row.trial.first for row in without if row.trial.name not in complete | ours}
    finished: dict[str, int] = {}
    for row in progress.rows:
        least = max(row.epoch, int(bool(row.trial.observed)))
        finished[row.trial.first] = max(finished.get(row.trial.first, 0), least)
    result = table(progress, metrics, manifest)
    read = {row.trial: _epochs(row.metrics, objective) for row in result.rows}
    doubtful |= {first for first, epochs in finished.items() if epochs > read[first]}
    prefix = link(cluster, progress) if manifest.is_tracked else ""
    rows = (replace(row, wandb=f"{prefix}{row.trial}") if prefix and row.epochs else row for row in result.rows)
    versions = made_with(cluster, progress) if manifest.trains_ours else ""
    result = replace(result, rows=tuple(rows), notes=tuple(notes), made_with=versions)
    return Gathered(result, document, tuple(sorted(doubtful)), finished, why)


def _epochs(metrics: Mapping[str, tuple[Point, ...]], objective: str) -> int:
    """Returns the last epoch with a value of the objective; 0 where there is none."""
    curve = metrics.get(objective, ())
    return curve[-1].step if curve else 0


def _reported_by_ours(cluster: Cluster, experiment: str) -> frozenset[str]:
    """Returns the trials of our services. Their collector reports each epoch at its end: without a row, no epoch ended.

    Katib's own collector reports only when a pod has succeeded.
    """
    trials = cluster.list(TRIAL, f"{EXPERIMENT_LABEL}={experiment},{PROPOSED_LABEL}={PROPOSER}")
    return frozenset(map(name_of, trials))


def observed(address: str, trials: Iterable[str]) -> dict[str, Metrics]:
    """Returns every metric of `trials` that the DB manager at `address` has.

    Raises ClusterError where it does not answer.
    """
    from katib.services.observations import AWAY, ObservationLogs, reason

    manager = ObservationLogs(address)
    try:
        return {
            trial: points(
                Report(row.name, math.nan if (value := number(row.value)) is None else value, instant(row.time))
                for row in rows
            )
            for trial, rows in manager.read_all(trials)
        }
    except AWAY as error:
        raise ClusterError(reason(error)) from None
    finally:
        manager.close()


def table(progress: Progress, metrics: Mapping[str, Metrics], manifest: Manifest) -> TrialTable:
    """Returns the table of a search from its progress, its metrics by trial, and its manifest."""
    search, own_spec = progress.search, manifest.annotations.get(OWN_SPEC, "")
    source = origin(manifest, own_spec)
    maximize, most = search.direction is Direction.MAXIMIZE, known_budget(manifest.annotations)
    identity = Identity(
        search.name, search.metric, maximize, search.strategy, manifest.spec, gpu_hours=most, own_spec=own_spec
    )
    trials = (_row(row, identity, metrics.get(row.trial.name, {}), search.gpus or 1) for row in progress.rows)
    continues = {row.trial.name: row.trial.continues for row in progress.rows}
    joined = with_pauses(joined_rows(trials, continues), pauses=manifest.pauses)
    spared = {row.trial.first: row.smaller for row in progress.rows if row.smaller}
    rows = [
        with_smaller(row, spared.get(row.trial, "") if row.state in ENDED else "")
        for row in explained(joined, manifest, direction=search.direction)
    ]
    return TrialTable(
        identity,
        best_first(rows, search.direction),
        venue=CLUSTER,
        model=search.model,
        spec=source,
        budget=budget(manifest, source),
        gpus=search.gpus,
        acts=tuple(map(str, search.acts)),
        paces=tuple(seconds for row in progress.rows if row.heartbeat and (seconds := row.heartbeat.epoch_seconds)),
    )


def _row(live: LiveTrial, identity: Identity, metrics: Metrics, gpus: float) -> TrialRow:
    trial, curve = live.trial, metrics.get(identity.metric, ())
    start = trial.started or trial.created
    # Katib writes the observation after the end of a trial; until then, the value comes from the reports.
    value = trial.observed.get(identity.strategy)
    if value is None or not math.isfinite(value):
        value = objective_value([point.value for point in curve] or live.values, identity.strategy)
    return TrialRow(
        trial=trial.name,
        state=trial.state,
        reason=live.cause.problem if live.cause else "",
        assignments=dict(trial.assignments),
        value=value,
        best_epoch=next((point.step for point in curve if point.value == value), None),
        epochs=curve[-1].step if curve else live.epoch,
        seconds=live.hours * 3600 / gpus,
        objective=identity.metric,
        metrics=metrics,
        gpu_hours=live.hours,
        node=live.node,
        restarts=live.restarts,
        started=start.timestamp() if start else None,
        ended=trial.ended.timestamp() if trial.ended else None,
        fix=live.cause.fix if live.cause else "",
        heartbeat=live.heartbeat,
    )


def logged(
    cluster: Cluster, rows: Iterable[LiveTrial], parser: MetricParser
) -> tuple[dict[str, Metrics], frozenset[str], str]:
    """Returns the metrics in the logs of these trials' pods, by trial.

    The second value is the trials whose log has all their epochs; a restarted trial first prints its history, and until
    then its log proves nothing. The third value is why a log could not be read, or ''.
    """
    metrics, whole, problem = {}, set(), ""
    for row in rows:
        try:
            text = _log(cluster, row)
        except ClusterError as error:
            problem = problem or str(error)
            continue
        lines = (clean(line) for line in text.splitlines())
        if printed := points(report for line in lines for report in parser.parse(line)):
            metrics[row.trial.name] = printed
        if text and len(text.encode()) < LOG_BYTES and (printed or not row.restarts):
            whole.add(row.trial.name)
    return metrics, frozenset(whole), problem


def link(cluster: Cluster, progress: Progress) -> str:
    """Returns the beginning of the addresses of the trials' W&B runs; empty where no log that still exists has one.

    A run is named after its run directory, the first trial's, so that one address is enough for all of them.
    """
    with_log = [row for row in progress.rows if row.pod is not None and row.pod.phase != "Pending"]
    for row in with_log[:LINK_LOGS]:
        try:
            text = _log(cluster, row)
        except ClusterError:
            return ""
        for line in map(clean, text.splitlines()):
            if line.startswith(WANDB_LINK) and line.endswith(f"/{row.trial.first}"):
                return line.removeprefix(WANDB_LINK).removesuffix(row.trial.first)
    return ""


def made_with(cluster: Cluster, progress: Progress) -> str:
    """Returns what the first trial whose log still exists says of its versions, device and corpus; empty without."""
    row = next((row for row in progress.rows if row.pod is not None and row.pod.phase != "Pending"), None)
    try:
        printed = map(clean, _log(cluster, row).splitlines()) if row else iter(())
    except ClusterError:
        return ""
    return next((line.removeprefix(MADE_WITH) for line in printed if line.startswith(MADE_WITH)), "")


def _log(cluster: Cluster, row: LiveTrial) -> str:
    """Returns the log of the trial's newest pod; empty where there is none.

    Raises ClusterError where it cannot be read.
    """
    if row.pod is None or row.pod.phase == "Pending":
        return ""
    try:
        return cluster.log(row.pod.name, row.pod.log_container, LOG_BYTES)
    except (AbsentError, RefusedError):
        return ""  # the pod is gone by now, or its container has not started
