"""Decides what the end of a trial's process means: the trial's state in Katib, why, and whether the search ends.

Exit codes have a meaning only where the process was our trainer. Of any other program, every exit code but 0 is a
failed try, as it is for a Job of Kubernetes. Pure: no I/O.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from katib.backend.local.reasons import how, says_disk_full, shown
from katib.backend.local.record import Trial
from katib.manifest.experiment import Experiment
from katib.text import count
from katib.trainer_contract import TAKES_LESS, Exit
from katib.trial import WITHOUT_RESULT, State

NOT_RUNNABLE = (126, 127)
"""The exit codes of a shell for a command that it cannot run."""
COLLECTOR_FAILED = 255
INTERRUPTED = "interrupted"
"""The reason of a trial whose process ended through no fault of the trial, and which has not ended itself."""


@dataclass(frozen=True)
class Halt:
    """Why the search ends before its budget is spent; `code` is the exit code."""

    code: int
    reason: str
    then: str = "run the same command to resume"
    """What the user can do about it."""

    def __str__(self) -> str:
        """Returns the reason and what to do, unless the reason says that itself."""
        return self.reason if "same command" in self.reason else f"{self.reason}; {self.then}"


@dataclass(frozen=True)
class End:
    """How a process ended."""

    code: int
    last_line: str
    ours: bool
    """Whether it was our trainer."""
    asked: bool = False
    """Whether the engine had asked it to end."""
    late: str = ""
    """The deadline that ended it; empty where none did."""
    late_for_good: bool = False
    """Whether the deadline was the Job's, after which there is no other try."""
    text: str = ""
    """The last text that it printed as the objective and that is no number."""


@dataclass(frozen=True)
class Verdict:
    """The consequence for the trial: with the state Created it runs again; a `failed_try` counts for backoffLimit."""

    state: State
    reason: str = ""
    failed_try: bool = False
    halt: Halt | None = None


def goal_reached(trials: Iterable[Trial], experiment: Experiment) -> bool:
    """Returns whether the result of an ended trial reaches the goal of the search."""
    goal, reaches = experiment.goal, experiment.search.direction.reaches
    values = [trial.value(experiment.strategy) for trial in trials if trial.finished]
    return goal is not None and any(value is not None and reaches(value, goal) for value in values)


def too_many_failures(trials: Sequence[Trial], experiment: Experiment) -> Halt | None:
    """Returns why a search with these trials has failed (Katib, experiment/util/status_util.go); None where it has not.

    A search that has reached its goal has succeeded, whatever fails after that.
    """
    failed, limit = [trial for trial in trials if trial.state in WITHOUT_RESULT], experiment.max_failed_trials
    if not failed or limit is None or len(failed) < limit or goal_reached(trials, experiment):
        return None
    why = f"{count(len(failed), 'failed trial')} of {limit} allowed; {failed[-1].name}: {failed[-1].reason}"
    # A search without a finished epoch is replaced by the next one of its name (katib/backend/local/another.py).
    trained = any(trial.values for trial in trials)
    then = "to continue, raise maxFailedTrialCount" if trained else "fix that, then run the same command to start anew"
    return Halt(1, f"experiment {experiment.name} failed: {why}", then)


def verdict(trial: Trial, end: End, experiment: Experiment, *, halted: bool) -> Verdict:
    """Returns what the end of a process means for `trial`, whose values are those of this try.

    `halted` says that the search is ending.
    """
    last_line, code = end.last_line, end.code
    if trial.stop:
        return Verdict("EarlyStopped", trial.stop)
    if end.late_for_good:
        return Verdict("Failed", end.late)
    if end.late:
        return _another_try(trial, end.late, experiment)
    # A program that is asked to end may save and exit with 0; whether one that is not ours had finished is unknown.
    if code == 0 and (end.ours or not end.asked):
        if trial.value(experiment.strategy) is not None:
            return Verdict("Succeeded")
        if end.text:
            return Verdict(
                "MetricsUnavailable", f"{experiment.search.metric} was '{shown(end.text)}', which is not a number"
            )
        return Verdict("MetricsUnavailable", _without_metric(trial, end, experiment.search.metric))
    if end.ours and code == Exit.DIVERGED:
        return Verdict("Failed", f"diverged: {last_line}")
    if end.ours and (code == Exit.BAD_INPUT or code in NOT_RUNNABLE):
        return Verdict("Created", INTERRUPTED, halt=Halt(2, f"trial {trial.name}: {last_line}"))
    if end.ours and says_disk_full(last_line):
        return Verdict("Created", INTERRUPTED, halt=Halt(1, f"trial {trial.name}: {last_line}"))
    if halted:
        return Verdict("Created", INTERRUPTED)
    reason = f"{how(code)}: {last_line}" if last_line else how(code)
    if end.ours and code == Exit.OUT_OF_MEMORY and TAKES_LESS.search(last_line):
        return Verdict("Created", reason)
    action = failure_action(code, experiment)
    if action == "FailJob":
        return Verdict("Failed", f"{reason}; podFailurePolicy allows no other try", failed_try=True)
    if action == "Ignore":
        return Verdict("Created", f"{reason}; podFailurePolicy does not count this try")
    return _another_try(trial, reason, experiment)


def _without_metric(trial: Trial, end: End, metric: str) -> str:
    """Returns why a trial that ended in order has no result, with what it printed instead."""
    if trial.values:
        return f"{metric} was {trial.values[-1]}, and a finite number in none of {count(len(trial.values), 'epoch')}"
    return f"no {metric} was reported; " + (f"last line: {shown(end.last_line)}" if end.last_line else "no output")


def failure_action(code: int, experiment: Experiment) -> str:
    """Returns the action of the Job's podFailurePolicy for an exit code: FailJob, Ignore or, by default, Count.

    The first rule that matches counts (k8s.io/kubernetes, pkg/controller/job/pod_failure_policy.go). Where trials may
    be stopped early, the shell line of Katib's webhook turns every failure into 1; Katib's collector exits with 255
    beside a trainer that failed.
    """
    own = 1 if experiment.search.early_stopping else 128 - code if code < 0 else code
    for rule in experiment.template.failure_rules:
        codes = {own, COLLECTOR_FAILED} if rule.any_container else {own}
        if any((code in rule.values) != rule.others for code in codes):
            return rule.action
    return "Count"


def _another_try(trial: Trial, reason: str, experiment: Experiment) -> Verdict:
    failures, tries = trial.effort.failures + 1, experiment.template.backoff_limit + 1
    if failures >= tries:
        return Verdict("Failed", reason, failed_try=True)
    return Verdict("Created", f"{reason}; try {failures + 1} of {tries}", failed_try=True)
