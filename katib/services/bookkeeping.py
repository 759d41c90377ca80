"""Notes the tries of a search's trials in their status, so that the hours of pods that are gone stay known
(katib/tries.py).

A thread of the suggestion service, which each search has. It changes nothing that Katib reads and remembers nothing
that it needs: after a start in the middle of a search it looks at the pods that are there and at what it noted before.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from katib.errors import ClusterError
from katib.services.kubernetes_api import TRIAL_LABEL, KubernetesApi, NoRightError
from katib.services.observations import AWAY, observation_logs, reason
from katib.tree import Tree, at, text_at
from katib.tries import Record, Span, closed, instant, read_record, short, span_of

PAUSE, LONG_PAUSE = 10.0, 600.0
"""Seconds between two tries where the API server is away, or refuses."""
Curve = Callable[[str, str], Sequence[float]]
"""The values of a trial's metric; raises AWAY."""

log = logging.getLogger("sepsweep")


class Bookkeeper:
    """The tries of one experiment's trials. `begin` starts it, once it is known which experiment that is."""

    def __init__(self, api: KubernetesApi | None, db_manager: str | None) -> None:
        self._api = api
        self._db_manager = db_manager
        self._begun = threading.Lock()

    def begin(self, experiment: str) -> None:
        """Starts noting for `experiment`; a later call changes nothing."""
        if self._api is not None and experiment and self._begun.acquire(blocking=False):
            threading.Thread(target=self._run, args=(self._api, experiment), daemon=True).start()

    def _run(self, api: KubernetesApi, experiment: str) -> None:
        pause = threading.Event()
        while True:
            try:
                follow(api, experiment, self._curve)
            except NoRightError as error:
                log.warning("%s: the hours of pods that are gone are not noted: %s", experiment, error)
                pause.wait(LONG_PAUSE)
            except ClusterError as error:
                log.info("%s: tries are noted later: %s", experiment, error)
                pause.wait(PAUSE)

    def _curve(self, trial: str, metric: str) -> Sequence[float]:
        if not self._db_manager:
            return ()
        return observation_logs(self._db_manager).curves([trial], metric)[trial]


def follow(api: KubernetesApi, experiment: str, curve: Curve) -> None:
    """Notes what is there and what comes, until the API server ends the watch. Raises ClusterError."""
    pods, version = api.pods(experiment)
    there: dict[str, dict[str, Span]] = {}
    for pod in pods:
        there.setdefault(_trial(pod), {}).update(_spans(pod))
    for trial in api.trials(experiment):
        name, noted = text_at(trial, "metadata", "name"), read_record(trial).spans
        seen = there.get(name, {})
        gone = any(span.end is None and pod not in seen for pod, span in noted.items())
        if gone or any(noted.get(pod) != span for pod, span in seen.items()):
            note(api, name, seen, curve, others_are_gone=True)
    for kind, pod in api.watch_pods(experiment, version):
        if kind == "ERROR":
            return
        if kind != "BOOKMARK":
            note(api, _trial(pod), _spans(pod, deleted=kind == "DELETED"), curve)


def note(
    api: KubernetesApi, trial: str, spans: Mapping[str, Span], curve: Curve, *, others_are_gone: bool = False
) -> None:
    """Adds `spans` to the record of `trial`, and how far it has come where one of them has ended.

    Raises ClusterError.
    """

    def words(found: Tree) -> str:
        record = read_record(found)
        made = replace(record, spans={**record.spans, **spans})
        if others_are_gone:
            over = instant(at(found, "status").get("completionTime")) or datetime.now(UTC)
            made = replace(made, spans=closed(made.spans, spans, over))
        if ends(made) - ends(record):
            metric = text_at(found, "spec", "objective", "objectiveMetricName")
            try:
                values = curve(trial, metric)
            except AWAY as error:
                log.info("trial %s: how far it has come is not noted: %s", trial, reason(error))
            else:
                made = replace(made, epochs=len(values), last=values[-1]) if values else made
        return str(made)

    def ends(record: Record) -> set[str]:
        return {pod for pod, span in record.spans.items() if span.end}

    if (spans or others_are_gone) and api.note_running(trial, words):
        log.info("trial %s: its tries are noted", trial)


def _spans(pod: Tree, *, deleted: bool = False) -> dict[str, Span]:
    """Returns the span of a pod by its short name; none of one that has not started.

    One that was deleted has ended by now.
    """
    if (span := span_of(pod)) is None:
        return {}
    if deleted and span.end is None:
        span = Span(span.start, datetime.now(UTC))
    return {short(text_at(pod, "metadata", "name"), _trial(pod)): span}


def _trial(pod: Tree) -> str:
    return text_at(pod, "metadata", "labels", TRIAL_LABEL)
