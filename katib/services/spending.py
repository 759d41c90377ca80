"""Counts what a search has used of its budget in GPU-hours: from its trials' records, which the bookkeeper keeps.

Katib cannot end a search early. Once the budget is spent, the suggestion service proposes nothing and the
early-stopping service pauses what runs; with a larger budget Katib's next request is answered again.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from katib.errors import ClusterError
from katib.manifest.gpu_hours import ANNOTATION, gpu_hours, hours_before, spent
from katib.manifest.object import Manifest
from katib.services.objects import ExperimentObject, TrialObject
from katib.trial import ENDED, state_of
from katib.tries import elapsed, seconds

FIX = f"raise the experiment's annotation {ANNOTATION} and it goes on; make delete ends it"


class SpentError(ClusterError):
    """The budget is spent: nothing is proposed, and Katib asks again."""


def why_spent(experiment: ExperimentObject, tried: Iterable[float]) -> str:
    """Returns that the budget of a search is spent whose trials have `tried` for so many seconds each.

    It is empty where the search has no budget, or some of it is left. Raises ManifestError for a budget that is no
    number.
    """
    if (most := experiment.gpu_hours) is None:
        return ""
    manifest = Manifest.of(experiment.tree)
    used = gpu_hours(sum(tried), manifest.gpu_need.share) + sum(hours_before(manifest.annotations).values())
    return spent(used, most, "GPU" if manifest.gpus else "process")


def seconds_of(trial: TrialObject, now: datetime | None = None) -> float:
    """Returns the seconds of a trial's tries until `now`; of an ended one without a record its whole duration."""
    now = now or datetime.now(UTC)
    ended, spans = state_of(trial.states) in ENDED, trial.record.spans
    if ended and not spans:
        return elapsed(trial.started, trial.completed, now)
    return seconds(spans, () if ended else spans, now, trial.completed or now)
