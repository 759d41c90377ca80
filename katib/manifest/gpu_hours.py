"""The budget of a search in GPU-hours, an annotation of its Experiment, which `kubectl annotate` changes. Pure: no I/O.

It is no part of what is searched: the same search goes on with another budget.
"""

import math
from collections.abc import Mapping

from katib.errors import ManifestError
from katib.text import SECONDS_AN_HOUR, number
from katib.untrusted import finite, parse_json

ANNOTATION = "sepsweep/gpu-hours"
HOURS_BEFORE = "sepsweep/hours-before"
"""The annotation with the GPU-hours of each trial of the search that this one continues, as JSON."""
SPENT = "budget spent: "
"""The beginning of the reason of a trial that paused because the budget was spent."""
RAISE = f"raise GPU_HOURS= (--gpu-hours), or the annotation {ANNOTATION} in a file, to go on"


def gpu_hours(seconds: float, gpus: float) -> float:
    """Returns the hours times the GPUs of a trial, or its part of one; without a GPU, the hours of its process."""
    return (gpus or 1) * seconds / SECONDS_AN_HOUR


def budget_of(annotations: Mapping[str, str]) -> float | None:
    """Returns the budget in GPU-hours; None where there is none. Raises ManifestError where it is no number above 0."""
    text = annotations.get(ANNOTATION)
    if text is None:
        return None
    if problem := fault(text):
        raise ManifestError(problem)
    return number(text)


def known_budget(annotations: Mapping[str, str]) -> float | None:
    """Returns the budget in GPU-hours; None where there is none, or where it is no number."""
    text = annotations.get(ANNOTATION, "")
    return None if fault(text) else number(text)


def fault(text: str) -> str:
    """Returns what is wrong with the text of the annotation; empty where nothing is."""
    hours = number(text)
    if hours is None or not 0 < hours < math.inf:
        return f"annotation {ANNOTATION} '{text[:40]}': is no number of GPU-hours above 0, such as 12.5"
    return ""


def spent(used: float, most: float | None, device: str = "GPU") -> str:
    """Returns that the budget of `most` GPU-hours is spent; empty where some is left, or where there is none."""
    if most is None or used < most:
        return ""
    decimals = 1 if most >= 1 else 4
    return f"{SPENT}{used:.{decimals}f} of {most:g} {device}-hours"


def hours_before(annotations: Mapping[str, str]) -> dict[str, float]:
    """Returns the GPU-hours by trial that were spent in the search that this one continues; none where that is none."""
    try:
        by_trial = parse_json(annotations.get(HOURS_BEFORE, "{}"))
    except ValueError:
        return {}
    items = by_trial.items() if isinstance(by_trial, dict) else ()
    return {trial: hours for trial, value in items if (hours := finite(value)) is not None and hours >= 0}
