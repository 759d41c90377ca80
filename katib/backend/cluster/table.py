"""The trial table of a search on the cluster: its Trial objects, and every metric from Katib's own store of them.

That store is asked over gRPC, through a port that kubectl carries here. Where it does not answer, what pods that are
still there have printed stands in for it, and a note says so. Called by the verbs results and delete, and by whoever
concludes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from katib.backend.cluster.answers import AbsentError, RefusedError
from katib.backend.cluster.causes import clean
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import (
    EXPERIMENT,
    EXPERIMENT_LABEL,
    KATIB_NAMESPACE,
    PROPOSED_LABEL,
    PROPOSER,
    TRIAL,
    Object,
)
from katib.backend.cluster.kubectl import forwarded
from katib.backend.cluster.model import when
from katib.backend.cluster.status import LOG_BYTES, Curves, Progress, look
from katib.backend.cluster.status import Row as Live
from katib.errors import ClusterError
from katib.manifest.object import Manifest
from katib.metrics import MetricParser, Report
from katib.table.origin import budget, origin
from katib.table.patience import explained
from katib.table.run_folder import Metrics, points
from katib.table.trial_table import CLUSTER, Row, TrialTable, best_first
from katib.trial import Direction, Identity, objective_value

MANAGER, MANAGER_PORT = "katib-db-manager", 6789
LINK = "W&B: "
"""What stands before the address of a run in what its trainer prints (trainer/tracking/reporter.py)."""
LINK_LOGS = 3  # logs that are looked through for the address of a run; the others differ in their name only


def cluster_table(cluster: Cluster, experiment: str, *, context: str | None = None) -> TrialTable:
    """Returns the table of `experiment`, best first. Raises ClusterError where it is not there."""
    return gather(cluster, experiment, context=context).table


@dataclass(frozen=True)
class Gathered:
    """A table, and the trials of which nothing vouches that their whole curve is in it."""

    table: TrialTable
    manifest: Object
    doubtful: tuple[str, ...]
    finished: Mapping[str, int]
    """Epochs that a trial has finished at least, as Katib's objects and logs say, by trial."""
    why: str
    """Why the DB manager did not answer; empty where it did."""


def gather(cluster: Cluster, experiment: str, *, context: str | None = None, every_log: bool = False) -> Gathered:
    """Asks the DB manager for every curve, and the pods' logs for those that it has not, or for all of them.

    Raises ClusterError where `experiment` is not there.
    """
    (found,) = look(cluster, Curves(), experiment)
    document, search = cluster.get(EXPERIMENT, experiment) or {}, found.search
    manifest = Manifest.of(document)
    notes = [f"a log could not be read: {found.unreadable}"] if found.unreadable else []
    metrics: dict[str, Metrics] = {}
    away = ""
    try:
        with forwarded(MANAGER, MANAGER_PORT, KATIB_NAMESPACE, context=context) as (port, _):
            metrics = observed(f"127.0.0.1:{port}", (row.trial.name for row in found.rows))
    except ClusterError as error:
        away = str(error)
    without = [row for row in found.rows if not metrics.get(row.trial.name)]
    parser = MetricParser(manifest.filters, manifest.metrics)
    printed, vouched, unread = logged(cluster, found.rows if every_log else without, parser)
    for trial, curves in printed.items():
        if _epochs(curves, search.metric) > _epochs(metrics.get(trial, {}), search.metric):
            metrics[trial] = curves
    if away:
        notes.append(
            f"{MANAGER} does not answer ({away}); metrics are from the logs of {len(printed)} pods"
            f" and from the Trial objects; {unread or 'make doctor says what is wrong'}"
        )
    made = table(found, metrics, manifest)
    begin = link(cluster, found) if manifest.is_tracked else ""
    rows = (replace(row, wandb=f"{begin}{row.trial}") if begin and row.epochs else row for row in made.rows)
    ours = frozenset() if away else _reported_by_ours(cluster, experiment)
    finished = {row.trial.name: max(row.epoch, int(bool(row.trial.observed))) for row in found.rows}
    doubtful = {row.trial.name for row in without} - vouched - ours
    doubtful |= {trial for trial, epochs in finished.items() if epochs > _epochs(metrics.get(trial, {}), search.metric)}
    made = replace(made, rows=tuple(rows), notes=tuple(notes))
    return Gathered(made, document, tuple(sorted(doubtful)), finished, away)


def _epochs(metrics: Metrics, objective: str) -> int:
    """Returns the last epoch with a value."""
    curve = metrics.get(objective, ())
    return curve[-1].step if curve else 0


def _reported_by_ours(cluster: Cluster, experiment: str) -> frozenset[str]:
    """Returns the trials of our own services, whose collector reports each epoch as it ends: no row is no epoch.

    Katib's own reports when a pod has ended well.
    """
    trials = cluster.list(TRIAL, f"{EXPERIMENT_LABEL}={experiment},{PROPOSED_LABEL}={PROPOSER}")
    return frozenset(item["metadata"]["name"] for item in trials)


def observed(address: str, trials: Iterable[str]) -> dict[str, Metrics]:
    """Returns every metric of `trials` as the DB manager at `address` has it.

    Raises ClusterError where it does not answer.
    """
    from katib.services.observations import AWAY, ObservationLogs, reason

    manager = ObservationLogs(address)
    try:
        return {
            trial: points(Report(row.name, _number(row.value), when(row.time)) for row in rows)
            for trial, rows in manager.read_all(trials)
        }
    except AWAY as error:
        raise ClusterError(reason(error)) from None
    finally:
        manager.close()


def table(found: Progress, metrics: Mapping[str, Metrics], manifest: Manifest) -> TrialTable:
    """Returns the table of a search as `status` sees it, with its metrics by trial, and the Experiment's `manifest`."""
    search, source = found.search, origin(manifest)
    identity = Identity(
        search.name, search.metric, search.direction is Direction.MAXIMIZE, search.strategy, manifest.spec
    )
    rows = explained(
        (_row(row, identity, metrics.get(row.trial.name, {})) for row in found.rows),
        manifest,
        direction=search.direction,
    )
    return TrialTable(
        identity,
        best_first(rows, search.direction),
        venue=CLUSTER,
        model=search.model,
        spec=source,
        budget=budget(manifest, source),
        gpus=search.gpus,
    )


def _row(live: Live, identity: Identity, metrics: Metrics) -> Row:
    trial, curve = live.trial, metrics.get(identity.metric, ())
    start = trial.started or trial.created
    # Katib writes the observation after the end of a trial; until then the reports say what it has come to.
    value = trial.observed.get(identity.strategy)
    if value is None or abs(value) == float("inf") or value != value:
        value = objective_value([point.value for point in curve] or live.values, identity.strategy)
    return Row(
        trial=trial.name,
        state=trial.state,
        reason=live.cause.problem if live.cause else "",
        assignments=dict(trial.assignments),
        value=value,
        best_epoch=next((point.step for point in curve if point.value == value), None),
        epochs=curve[-1].step if curve else live.epoch,
        seconds=live.hours * 3600 / max(1, live.gpus),
        objective=identity.metric,
        metrics=metrics,
        gpu_hours=live.hours,
        node=live.node,
        restarts=live.restarts,
        started=start.timestamp() if start else None,
        ended=trial.ended.timestamp() if trial.ended else None,
        remedy=live.cause.fix if live.cause else "",
    )


def logged(
    cluster: Cluster, rows: Iterable[Live], parser: MetricParser
) -> tuple[dict[str, Metrics], frozenset[str], str]:
    """Returns every metric that pods of these trials have printed, by trial.

    The trials whose log holds all their epochs; and why a log could not be read.

    A trial that was begun again prints its history first: until then its log proves nothing.
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


def link(cluster: Cluster, found: Progress) -> str:
    """Returns what the addresses of the trials' W&B runs begin with; empty where no log that is still there names one.

    A run is named after its trial, so one address says all of them.
    """
    with_log = [row for row in found.rows if row.pod is not None and row.pod.phase != "Pending"]
    for row in with_log[:LINK_LOGS]:
        try:
            text = _log(cluster, row)
        except ClusterError:
            return ""
        for line in map(clean, text.splitlines()):
            if line.startswith(LINK) and line.endswith(f"/{row.trial.name}"):
                return line.removeprefix(LINK).removesuffix(row.trial.name)
    return ""


def _log(cluster: Cluster, row: Live) -> str:
    """Returns the log of the trial's newest pod; empty where there is none.

    Raises ClusterError where it cannot be read.
    """
    if row.pod is None or row.pod.phase == "Pending":
        return ""
    try:
        return cluster.log(row.pod.name, row.pod.log_container, LOG_BYTES)
    except (AbsentError, RefusedError):  # the pod has gone meanwhile, or its container has not begun
        return ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
