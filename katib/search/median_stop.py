"""The median stopping rule: ends a trial whose best value so far is worse than the median of the others' at the same step.

After Golovin et al. 2017 (Google Vizier, section 3.2.1), in the form that suits a running best: compared at every step from
`start_step` on, with the true median over every other trial that got that far, be it running, finished or stopped. Katib's
own medianstop (v0.19, earlystopping/v1beta1/medianstop/service.py) compares once, with a mean over succeeded trials.
Pure; called by the local engine after each report.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from katib.errors import ManifestError, nearest
from katib.experiment import Algorithm

NAME = "medianstop"
DEFAULTS = {"min_trials_required": 3, "start_step": 4}
"""Katib's (service.py of its medianstop)."""


@dataclass(frozen=True)
class Stop:
    """Why a trial is to be ended, in the metric's unit."""

    step: int
    best: float
    median: float
    trials: int


@dataclass(frozen=True)
class MedianStop:
    """Katib's settings of the rule; steps count from 1."""

    maximize: bool
    min_trials_required: int = DEFAULTS["min_trials_required"]
    start_step: int = DEFAULTS["start_step"]

    def decide(self, own: Sequence[float], others: Sequence[Sequence[float]]) -> Stop | None:
        """Whether the trial that has just reported `own[-1]` is to end; one sequence a trial, one value a step.

        A value that is not finite takes up its step and is worth nothing; a trial without any worth does not count.
        """
        step = len(own)
        best = self._best(own)
        if step < max(self.start_step, 1) or best is None:
            return None
        rivals = [self._best(values[:step]) for values in others if len(values) >= step]
        bests = [value for value in rivals if value is not None]
        if not bests or len(bests) < self.min_trials_required:
            return None
        middle = median(bests)
        worse = best < middle if self.maximize else best > middle
        return Stop(step, best, middle, len(bests)) if worse else None

    def _best(self, values: Sequence[float]) -> float | None:
        finite = [value for value in values if math.isfinite(value)]
        return (max if self.maximize else min)(finite, default=None)


def median_stop(algorithm: Algorithm, maximize: bool) -> MedianStop:
    """The rule that a manifest's `earlyStopping` asks for. Raises ManifestError for another rule or setting."""
    if algorithm.name != NAME:
        raise ManifestError(
            f"earlyStopping: unknown algorithm '{algorithm.name}': {nearest(algorithm.name, [NAME])}"
        )
    settings = dict(DEFAULTS)
    for name, text in algorithm.settings.items():
        if name not in settings:
            raise ManifestError(f"earlyStopping: {NAME} has no setting '{name}': {nearest(name, settings)}")
        if not text.isdecimal() or int(text) < 1:
            raise ManifestError(f"earlyStopping: {name} is '{text}', expected a whole number from 1")
        settings[name] = int(text)
    return MedianStop(maximize, settings["min_trials_required"], settings["start_step"])
