"""What a trial has taken so far: GPU-hours and tries, of pods that are there and of pods that are gone. Pure."""

from collections.abc import Sequence
from datetime import datetime

from katib.backend.cluster.model import Job, Search, Trial
from katib.backend.cluster.pod import Pod
from katib.tries import seconds as spent
from katib.tries import short


def hours(trial: Trial, search: Search, job: Job | None, pods: Sequence[Pod], now: datetime) -> float:
    """GPU-hours (without a GPU: hours) of all tries: those whose pods are there, those that the trial's record tells,
    and those of the search that this one continues.

    Of an ended trial of which neither is known, its whole time.
    """
    there = {short(pod.name, trial.name): pod.span for pod in pods}
    spans = {**trial.record.spans, **{name: span for name, span in there.items() if span}}
    # A span that nobody saw end, its pod gone: it cannot have lasted longer than the trial, nor into a pause.
    suspended = job.suspended_since if job and job.suspended else None
    over = min(moment for moment in (trial.ended, suspended, now) if moment)
    whole = not spans and trial.finished
    taken = elapsed(trial.started, trial.ended, now) if whole else spent(spans, there, now, over)
    return search.hours_before.get(trial.name, 0.0) + taken * max(1, search.gpus) / 3600


def tries(trial: Trial, pods: Sequence[Pod]) -> set[str]:
    """Returns the tries of a trial that are known, those whose pods are gone among them."""
    return {*trial.record.spans, *(short(pod.name, trial.name) for pod in pods)}


def elapsed(start: datetime | None, end: datetime | None, now: datetime) -> float:
    """Seconds from `start` to `end`, or to `now` where there is none yet."""
    return max(0.0, ((end or now) - start).total_seconds()) if start else 0.0
