"""The trial table of a search on the cluster: what Katib observed and what pods that are still there have printed.

Called by the verbs results and delete.
"""

from datetime import UTC, datetime

from katib.cluster.client import Cluster
from katib.cluster.status import Curves, Progress, look
from katib.cluster.status import Row as Live
from katib.local.store import Identity
from katib.results.table import Point, Row, TrialTable


def cluster_table(cluster: Cluster, experiment: str) -> TrialTable:
    """The table of `experiment`, best first. Raises ClusterError where it is not there."""
    (found,) = look(cluster, Curves(), experiment)
    return table(found)


def table(found: Progress) -> TrialTable:
    """The table of a search as `status` sees it."""
    search = found.search
    sign = -1 if search.maximize else 1
    rows = sorted(
        (_row(row, search.metric) for row in found.rows),
        key=lambda row: (row.value is None, sign * (row.value or 0)),
    )
    identity = Identity(search.name, search.metric, search.maximize, search.strategy, {})
    return TrialTable(identity, tuple(rows), backend="cluster", model=search.model, gpus=search.gpus)


def _row(live: Live, metric: str) -> Row:
    trial = live.trial
    start, end = trial.started or trial.created, trial.ended or datetime.now(UTC)
    return Row(
        trial=trial.name,
        # Katib's controllers never set Killed, and the local engine has no such state.
        state="Failed" if trial.state == "Killed" else trial.state,
        reason=live.cause.what if live.cause else "",
        assignments=dict(trial.assignments),
        value=live.best,
        best_epoch=live.values.index(live.best) + 1 if live.best in live.values else None,
        epochs=len(live.values),
        seconds=max(0.0, (end - start).total_seconds()) if start else 0.0,
        objective=metric,
        metrics={metric: tuple(Point(step, value, None) for step, value in enumerate(live.values, 1))},
        gpu_hours=live.hours,
        node=live.node,
        restarts=live.restarts,
        started=start.timestamp() if start else None,
        ended=trial.ended.timestamp() if trial.ended else None,
        remedy=live.cause.remedy if live.cause else "",
    )
