"""Records the tries of a search's trials in their status, so that the hours of deleted pods stay known.

It is a thread of the suggestion service, which each search has. It changes nothing that Katib reads and keeps no state
that it needs: when it starts in the middle of a search, it reads the pods that exist and its earlier records. The form
of a record is that of katib/tries.py.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from katib.errors import ClusterError
from katib.services.kubernetes_api import KubernetesApi, NoRightError
from katib.services.objects import TrialObject
from katib.services.observations import AWAY, observation_logs, reason
from katib.tries import Record, Span, closed

PAUSE, LONG_PAUSE = 10.0, 600.0
"""Seconds between two requests where the API server does not answer, or refuses."""
Curve = Callable[[str, str], Sequence[float]]
"""Returns the values of a trial's metric; raises AWAY."""

log = logging.getLogger("sepsweep")


class Bookkeeper:
    """Keeps the records of one experiment's trials, from `begin` on."""

    def __init__(self, api: KubernetesApi | None, db_manager: str | None) -> None:
        self._api = api
        self._db_manager = db_manager
        self._begun = threading.Lock()

    def begin(self, experiment: str) -> None:
        """Starts the records of `experiment`; a later call changes nothing."""
        if self._api is not None and experiment and self._begun.acquire(blocking=False):
            threading.Thread(target=self._run, args=(self._api, experiment), daemon=True).start()

    def _run(self, api: KubernetesApi, experiment: str) -> None:
        pause = threading.Event()
        while True:
            try:
                follow(api, experiment, self._curve)
            except NoRightError as error:
                log.warning("%s: the hours of deleted pods are not recorded: %s", experiment, error)
                pause.wait(LONG_PAUSE)
            except ClusterError as error:
                log.info("%s: tries will be recorded later: %s", experiment, error)
                pause.wait(PAUSE)

    def _curve(self, trial: str, metric: str) -> Sequence[float]:
        if not self._db_manager:
            return ()
        return observation_logs(self._db_manager).curves([trial], metric)[trial]


def follow(api: KubernetesApi, experiment: str, curve: Curve) -> None:
    """Records the pods that exist and then their events, until the API server ends the watch. Raises ClusterError."""
    pods, version = api.pods(experiment)
    existing: dict[str, dict[str, Span]] = {}
    for pod in pods:
        existing.setdefault(pod.trial, {}).update(pod.spans())
    for trial in api.trials(experiment):
        recorded, spans = trial.record.spans, existing.get(trial.name, {})
        gone = any(span.end is None and pod not in spans for pod, span in recorded.items())
        if gone or any(recorded.get(pod) != span for pod, span in spans.items()):
            record(api, trial.name, spans, curve, others_are_gone=True)
    for kind, pod in api.watch_pods(experiment, version):
        if kind == "ERROR":
            return
        if kind != "BOOKMARK":
            record(api, pod.trial, pod.spans(deleted=kind == "DELETED"), curve)


def record(
    api: KubernetesApi, trial: str, spans: Mapping[str, Span], curve: Curve, *, others_are_gone: bool = False
) -> None:
    """Adds `spans` to the record of `trial`, and its epochs so far where one of the spans has ended.

    Raises ClusterError.
    """

    def message(found: TrialObject) -> str:
        before = found.record
        after = replace(before, spans={**before.spans, **spans})
        if others_are_gone:
            after = replace(after, spans=closed(after.spans, spans, found.completed or datetime.now(UTC)))
        if _ended(after) - _ended(before):
            try:
                values = curve(trial, found.metric)
            except AWAY as error:
                log.info("trial %s: its epochs are not recorded: %s", trial, reason(error))
            else:
                after = replace(after, epochs=len(values), last=values[-1]) if values else after
        return str(after)

    if (spans or others_are_gone) and api.set_running_message(trial, message):
        log.info("trial %s: its tries are recorded", trial)


def _ended(record: Record) -> set[str]:
    return {pod for pod, span in record.spans.items() if span.end}
