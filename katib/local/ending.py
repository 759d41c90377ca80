"""What the end of a trial's process means: Katib's state of the trial, why, and whether the whole search has to end.

Exit codes say something of their own only where the process was our trainer; of any other program a code that is not 0 is a
failed try, as it is for a Job of Kubernetes. Pure.
"""

from dataclasses import dataclass

from katib.experiment import Experiment
from katib.local.reasons import how, says_disk_full
from katib.local.record import State, Trial

BAD_INPUT, DIVERGED, NOT_RUNNABLE = 2, 3, (126, 127)
"""Exit codes: the trainer's (trainer/__main__.py), and the shell's for a command that it cannot run."""


@dataclass(frozen=True)
class Halt:
    """Why the search ends before its budget is spent; `code` is the exit code."""

    code: int
    reason: str


@dataclass(frozen=True)
class End:
    """How a process ended. `said` is its last line, `late` why it was ended for its deadline; empty where it was not."""

    code: int
    said: str
    ours: bool
    """Whether it was our trainer."""
    asked: bool = False
    """Whether the engine had asked it to end."""
    late: str = ""
    late_for_good: bool = False
    """Whether the deadline was the Job's, behind which there is no other try."""


@dataclass(frozen=True)
class Verdict:
    """What follows for the trial. Created: it runs again. `failed_try` counts against the backoffLimit."""

    state: State
    reason: str = ""
    failed_try: bool = False
    halt: Halt | None = None


def verdict(trial: Trial, end: End, experiment: Experiment, *, halted: bool) -> Verdict:
    """Returns what the end of a process means for `trial`, whose values are those of this try; `halted`: the search is ending."""
    said, code = end.said, end.code
    if trial.stop:
        return Verdict("EarlyStopped", trial.stop)
    if end.late_for_good:
        return Verdict("Failed", end.late)
    if end.late:
        return _another_try(trial, end.late, experiment)
    # Whoever is asked to end may save and exit with 0: of a program that is not ours nobody knows whether it was done.
    if code == 0 and (end.ours or not end.asked):
        if trial.value(experiment.strategy) is not None:
            return Verdict("Succeeded")
        return Verdict("MetricsUnavailable", f"no {experiment.metric} was reported")
    if end.ours and code == DIVERGED:
        return Verdict("Failed", f"diverged: {said}")
    if end.ours and (code == BAD_INPUT or code in NOT_RUNNABLE):
        return Verdict("Created", "interrupted", halt=Halt(2, f"trial {trial.name}: {said}"))
    if says_disk_full(said):
        return Verdict("Created", "interrupted", halt=Halt(1, f"trial {trial.name}: {said}"))
    if halted:
        return Verdict("Created", "interrupted")
    return _another_try(trial, f"{how(code)}: {said}" if said else how(code), experiment)


def _another_try(trial: Trial, reason: str, experiment: Experiment) -> Verdict:
    failures, tries = trial.effort.failures + 1, experiment.backoff_limit + 1
    if failures >= tries:
        return Verdict("Failed", reason, failed_try=True)
    return Verdict("Created", f"{reason}; try {failures + 1} of {tries}", failed_try=True)
