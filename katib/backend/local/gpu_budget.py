"""Measures what a local search has used of its budget in GPU-hours, and when that is spent."""

from collections.abc import Mapping
from dataclasses import dataclass

from katib.backend.local.ending import Halt
from katib.backend.local.launch import Launcher
from katib.backend.local.record import Trial
from katib.backend.local.running import Running
from katib.manifest.gpu_hours import RAISE, SPENT, gpu_hours, spent
from katib.manifest.object import Manifest
from katib.text import SECONDS_AN_HOUR


@dataclass(frozen=True)
class GpuBudget:
    """At `most` so many GPU-hours, None without a limit, in trials of so many `gpus`, or of their part of one."""

    most: float | None
    gpus: int

    @staticmethod
    def of(launcher: Launcher) -> "GpuBudget":
        """Returns that of an experiment on this machine."""
        gpus = Manifest(launcher.experiment.spec).gpus if launcher.slots[0] is not None else 0
        return GpuBudget(launcher.experiment.gpu_hours, gpus)

    def halt(self, trials: Mapping[str, Trial], running: Mapping[str, Running]) -> Halt | None:
        """Returns why the search ends now; None while something of the budget is left."""
        reason = spent(self._used(trials, running), self.most, "GPU" if self.gpus else "process")
        return Halt(0, reason, RAISE) if reason else None

    def lasts(self, trials: Mapping[str, Trial], running: Mapping[str, Running]) -> float | None:
        """Returns the seconds for which it lasts at the rate of the trials that run now; None without a limit."""
        if self.most is None or not running:
            return None
        left = self.most - self._used(trials, running)
        held = sum(1 / trials[name].effort.sharers for name in running)
        return left * SECONDS_AN_HOUR / (max(1, self.gpus) * held)

    def _used(self, trials: Mapping[str, Trial], running: Mapping[str, Running]) -> float:
        now = {name: one.process.seconds for name, one in running.items()}
        seconds = sum(trial.effort.held(now.get(name, 0.0)) for name, trial in trials.items())
        return gpu_hours(seconds, self.gpus)


def is_paused(trial: Trial) -> bool:
    """Returns whether a trial paused because the budget was spent."""
    return trial.state == "EarlyStopped" and trial.stop.startswith(SPENT)
