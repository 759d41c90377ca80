"""Reads the log of a trial from the container that has it, across pods and while the API server is away."""

import time
from collections.abc import Iterator

from katib.backend.cluster.answers import AbsentError, FailedError, RefusedError, UnreachableError
from katib.backend.cluster.causes import clean
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.informer import RETRY_SECONDS
from katib.backend.cluster.kinds import POD, TRIAL, TRIAL_LABEL, is_ours, name_of
from katib.backend.cluster.model import Trial, read_trial
from katib.backend.cluster.pod import Pod, read_pod
from katib.errors import ClusterError, nearest
from katib.trial import meant

LOG_BYTES = 64 << 20


def read(cluster: Cluster, name: str) -> Iterator[str]:
    """Yields the lines of the newest pod of trial `name`. Raises ClusterError where there is none."""
    trial = find_trial(cluster, name)
    pods = _pods(cluster, trial.name)
    if not pods:
        reason = f"it is {trial.state}" if trial.finished else "make status says why it has none yet"
        raise ClusterError(f"trial '{name}' has no pod whose log could be read; {reason}")
    yield from map(clean, cluster.log(pods[-1].name, pods[-1].log_container, LOG_BYTES).splitlines())


def follow(cluster: Cluster, name: str, retry: float = RETRY_SECONDS) -> Iterator[str]:
    """Yields the lines of all pods of trial `name`, new ones as they appear, until the trial has ended."""
    name = find_trial(cluster, name).name
    done: set[str] = set()
    since: dict[str, str] = {}
    while True:
        try:
            trial = find_trial(cluster, name)
            for pod in _pods(cluster, name):
                if pod.name in done or pod.phase == "Pending":
                    continue
                for line in cluster.follow(pod.name, pod.log_container, since.get(pod.name)):
                    stamp, _, text = line.partition(" ")
                    # sinceTime has whole seconds, so the lines of that second are sent again.
                    if stamp > since.get(pod.name, ""):
                        since[pod.name] = stamp
                        yield clean(text)
                if any(item.name == pod.name and item.ended for item in _pods(cluster, name)):
                    done.add(pod.name)
            if trial.finished:
                return
        except UnreachableError as error:
            yield f"-- {error}; trying again --"
        except (AbsentError, RefusedError, FailedError):
            pass  # the pod is gone or has not started, or its node does not answer
        time.sleep(retry)


def find_trial(cluster: Cluster, name: str) -> Trial:
    """Returns the trial `name`, or the only one whose name ends with it, as tables shorten names.

    Raises ClusterError with the nearest name.
    """
    item = cluster.get(TRIAL, name)
    if item is not None and is_ours(item):
        return read_trial(item)
    ours = {name_of(each): each for each in cluster.list(TRIAL) if is_ours(each)}
    matching = meant(name, ours)
    if len(matching) == 1:
        return read_trial(ours[matching[0]])
    hint = nearest(name, matching or list(ours)) if ours else "there are none"
    raise ClusterError(f"there is no trial '{name}' of ours in namespace '{cluster.namespace}': {hint}")


def _pods(cluster: Cluster, trial: str) -> list[Pod]:
    """Returns the pods of a trial, the oldest first."""
    pods = map(read_pod, cluster.list(POD, f"{TRIAL_LABEL}={trial}"))
    return sorted(pods, key=lambda pod: (pod.created is None, pod.created))
