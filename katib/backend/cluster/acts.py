"""Who paused, resumed, stopped or deleted a search on a cluster, and when: annotations of its Experiment."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import EXPERIMENT, SELF_REVIEW, Object, annotations_of
from katib.errors import ClusterError
from katib.tries import instant
from katib.untrusted import clean

Word = Literal["paused", "resumed", "stopped", "deleted"]


@dataclass(frozen=True)
class Act:
    """What somebody did to a search last; of several pauses, the last one is known."""

    word: Word
    user: str
    time: datetime

    def __str__(self) -> str:
        return f"{self.word} by {self.user} at {self.time:%Y-%m-%d %H:%M} UTC"


def key_of(word: Word) -> str:
    """Returns the annotation of an Experiment that records an act, such as `sepsweep/stopped`."""
    return f"sepsweep/{word}"


def acts_of(item: Object) -> tuple[Act, ...]:
    """Returns the acts that an Experiment object records, the first one first."""
    annotations, found = annotations_of(item), list[Act]()
    for word in get_args(Word):
        user, _, text = annotations.get(key_of(word), "").rpartition(" at ")
        if time := instant(text):
            found.append(Act(word, clean(user), time))
    return tuple(sorted(found, key=lambda act: act.time))


def act_now(cluster: Cluster, word: Word) -> Act:
    """Returns the act of the caller, whose name is the one that the API server knows."""
    try:
        answer = cluster.create(SELF_REVIEW, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        user = answer["status"]["userInfo"]["username"]
    except (ClusterError, KeyError):
        user = "somebody"  # Kubernetes before 1.28 does not tell
    return Act(word, user, datetime.now(UTC))


def patch_of(act: Act) -> Object:
    """Returns the change of an Experiment that records an act."""
    return {"metadata": {"annotations": {key_of(act.word): f"{act.user} at {act.time:%Y-%m-%dT%H:%M:%SZ}"}}}


def note(cluster: Cluster, experiment: str, act: Act, say: Callable[[str], None]) -> None:
    """Records an act that needs no change of the Experiment, and so happens even where it cannot be recorded."""
    try:
        cluster.merge(EXPERIMENT, experiment, patch_of(act))
    except ClusterError as error:
        say(f"note: experiment '{experiment}' does not record who {act.word} it: {error}")
