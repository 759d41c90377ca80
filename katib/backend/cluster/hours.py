"""Counts what a trial has used so far, GPU-hours and tries, including pods that are gone. Pure: no I/O."""

from collections.abc import Sequence
from datetime import datetime

from katib.backend.cluster.model import Job, Search, Trial
from katib.backend.cluster.pod import Pod
from katib.manifest.gpu_hours import gpu_hours
from katib.tries import elapsed, short
from katib.tries import seconds as seconds_of


def hours(trial: Trial, search: Search, job: Job | None, pods: Sequence[Pod], now: datetime) -> float:
    """Returns the GPU-hours of all tries; hours where a trial uses no GPU.

    They come from pods, from the trial's record, and from the search that this one continues. Where an ended trial has
    neither pods nor a record, its whole duration counts.
    """
    current = {short(pod.name, trial.name): pod.span for pod in pods}
    spans = {**trial.record.spans, **{name: span for name, span in current.items() if span}}
    # A span without an end whose pod is gone cannot have lasted longer than the trial, nor into a pause.
    suspended = job.suspended_since if job and job.suspended else None
    latest_end = min(moment for moment in (trial.ended, suspended, now) if moment)
    if not spans and trial.finished:
        seconds = elapsed(trial.started, trial.ended, now)
    else:
        seconds = seconds_of(spans, current, now, latest_end)
    return search.hours_before.get(trial.name, 0.0) + gpu_hours(seconds, search.gpus)


def tries(trial: Trial, pods: Sequence[Pod]) -> set[str]:
    """Returns the names of a trial's known tries, including those whose pods are gone."""
    return {*trial.record.spans, *(short(pod.name, trial.name) for pod in pods)}
