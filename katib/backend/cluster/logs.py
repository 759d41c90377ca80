"""The log of a trial, from the container that has it, across its pods and through the API server's absence.

Called by the verb logs.
"""

import time
from collections.abc import Iterator

from katib.backend.cluster.answers import AbsentError, FailedError, RefusedError, UnreachableError
from katib.backend.cluster.causes import clean
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.informer import RETRY_SECONDS
from katib.backend.cluster.kinds import POD, TRIAL, TRIAL_LABEL, is_ours
from katib.backend.cluster.model import Pod, Trial, read_pod, read_trial
from katib.errors import ClusterError, nearest

LOG_BYTES = 64 << 20


def read(cluster: Cluster, name: str) -> Iterator[str]:
    """Yields the lines of the newest pod of trial `name`. Raises ClusterError where there is none."""
    trial = find(cluster, name)
    pods = _pods(cluster, trial.name)
    if not pods:
        state = f"it is {trial.state}" if trial.finished else "it has none yet: make status says why"
        raise ClusterError(f"trial '{name}' has no pod whose log could be read; {state}")
    yield from map(clean, cluster.log(pods[-1].name, pods[-1].log_container, LOG_BYTES).splitlines())


def follow(cluster: Cluster, name: str, retry: float = RETRY_SECONDS) -> Iterator[str]:
    """Yields the same, going on with each new line and each new pod, until the trial has ended."""
    name = find(cluster, name).name
    done: set[str] = set()
    since: dict[str, str] = {}
    while True:
        try:
            trial = find(cluster, name)
            for pod in _pods(cluster, name):
                if pod.name in done or pod.phase == "Pending":
                    continue
                for line in cluster.follow(pod.name, pod.log_container, since.get(pod.name)):
                    stamp, _, text = line.partition(" ")
                    # sinceTime has whole seconds, so lines of that second come again.
                    if stamp > since.get(pod.name, ""):
                        since[pod.name] = stamp
                        yield clean(text)
                if any(item.name == pod.name and item.ended for item in _pods(cluster, name)):
                    done.add(pod.name)
            if trial.finished:
                return
        except UnreachableError as error:
            yield f"-- {error}; trying again --"
        except (
            AbsentError,
            RefusedError,
            FailedError,
        ):  # the pod has gone, has not begun, or its node is silent
            pass
        time.sleep(retry)


def find(cluster: Cluster, name: str) -> Trial:
    """Returns the trial `name`, or the only one whose name ends so, as tables show it.

    Raises ClusterError that names the nearest one.
    """
    found = cluster.get(TRIAL, name)
    if found is None or not is_ours(found):
        ours = {item["metadata"]["name"]: item for item in cluster.list(TRIAL) if is_ours(item)}
        there = [other for other in ours if other.endswith(f"-{name}")] or list(ours)
        if len(there) == 1 and there[0].endswith(f"-{name}"):
            return read_trial(ours[there[0]])
        hint = nearest(name, there) if there else "there are none"
        raise ClusterError(f"there is no trial '{name}' of ours in namespace '{cluster.namespace}': {hint}")
    return read_trial(found)


def _pods(cluster: Cluster, trial: str) -> list[Pod]:
    """Oldest first."""
    pods = map(read_pod, cluster.list(POD, f"{TRIAL_LABEL}={trial}"))
    return sorted(pods, key=lambda pod: (pod.created is None, pod.created))
