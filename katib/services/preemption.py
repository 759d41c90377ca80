"""Tells Kueue how much work each trial of a search would lose, so that who has just saved is preempted first.

It is a thread of the suggestion service, for searches that Kueue admits. Kueue adds the annotation
kueue.x-k8s.io/priority-boost of a Workload to its priority (KEP-7990, with the feature gate PriorityBoost since v0.17),
and preempts the lowest first. A Workload gets the minutes since its trial's last checkpoint, in steps of STEP and never
more than MOST, so that none rises above another class of priorities; one that waits gets nothing, so that it preempts
none of its own class. Without the rights of k8s/kueue/preemption.yaml nothing is told.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

from katib.errors import ClusterError
from katib.manifest.object import Manifest
from katib.services.kubernetes_api import AbsentError, KubernetesApi, NoRightError
from katib.services.objects import QUEUE_LABEL
from katib.services.observations import AWAY, observation_logs
from katib.trainer_contract import Flags
from katib.tree import labels_at
from katib.tries import instant

STEP, MOST = 5, 15
"""Minutes, which are the units of the boost, too."""
SAVES = 15.0
"""Minutes between two checkpoints within an epoch, where the manifest names none."""
PAUSE, LONG_PAUSE = 60.0, 600.0
"""Seconds between two rounds, and after one that was refused."""
Saved = Callable[[str, str, datetime], datetime | None]
"""Returns when the last epoch of a trial ended, by its metric, if that was after an instant. Raises AWAY."""

log = logging.getLogger("sepsweep")


def begin(api: KubernetesApi | None, db_manager: str | None, experiment: str) -> None:
    """Starts to tell Kueue about the trials of `experiment`, where there is an API server to tell it to."""
    if api is not None and db_manager and experiment:
        threading.Thread(target=_run, args=(api, db_manager, experiment), daemon=True).start()


def _run(api: KubernetesApi, db_manager: str, experiment: str) -> None:
    def saved(trial: str, metric: str, since: datetime) -> datetime | None:
        rows = observation_logs(db_manager).read(trial, since, metric=metric)
        return max(filter(None, (instant(row.time) for row in rows)), default=None)

    pause = threading.Event()
    while True:
        try:
            if not tell(api, experiment, saved, datetime.now(UTC)):
                return
            pause.wait(PAUSE)
        except (AbsentError, NoRightError) as error:
            log.info("%s: Kueue is not told of checkpoints: %s", experiment, error)
            pause.wait(LONG_PAUSE)
        except (ClusterError, AWAY) as error:
            log.info("%s: Kueue is told of checkpoints later: %s", experiment, error)
            pause.wait(PAUSE)


def tell(api: KubernetesApi, experiment: str, saved: Saved, now: datetime) -> bool:
    """Sets the boosts of a search's Workloads; returns False where Kueue does not admit its trials.

    Raises ClusterError, or AWAY.
    """
    found = api.experiment(experiment)
    manifest = Manifest.of(found.tree)
    begun = _begun(api, experiment)
    if QUEUE_LABEL not in labels_at(manifest.job, "metadata", "labels") and not _queued(api, begun):
        # Whether a queue takes them by default is known once a trial runs.
        return not begun
    every = timedelta(minutes=manifest.number(Flags.CHECKPOINT_MINUTES) or SAVES)
    jobs = {trial.name for trial in api.trials(experiment)}
    for workload in api.workloads():
        if workload.job not in jobs:
            continue
        start = begun.get(workload.job) if workload.is_admitted else None
        wanted = 0
        if start is not None:
            last = max(start, saved(workload.job, found.metric, start) or start)
            wanted = boost((now - last) % every)
        if wanted != workload.boost:
            api.set_boost(workload, wanted)
    return True


def boost(lost: timedelta) -> int:
    """Returns the boost of a trial that would lose so much work."""
    minutes = max(0.0, lost.total_seconds() / 60)
    return min(MOST, int(minutes // STEP) * STEP)


def _queued(api: KubernetesApi, trials: Iterable[str]) -> bool:
    """Returns whether Kueue admits one of these, as it does by default where the namespace has a queue `default`."""
    return any(job is not None and job.is_queued for job in map(api.job, trials))


def _begun(api: KubernetesApi, experiment: str) -> Mapping[str, datetime]:
    """Returns when the pod of each trial that runs started: a try that has saved nothing yet loses all since then."""
    begun: dict[str, datetime] = {}
    for pod in api.pods(experiment)[0]:
        for span in pod.spans().values():
            if span.end is None:
                begun[pod.trial] = span.start
    return begun
