"""What the end of a trial's process means: Katib's state of the trial, why, and whether the whole search has to end.

Exit codes say something of their own only where the process was our trainer; of any other program a code that is not 0
is a failed try, as it is for a Job of Kubernetes. Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from katib.backend.local.reasons import how, says_disk_full, shown
from katib.backend.local.record import Trial
from katib.manifest.experiment import Experiment
from katib.text import count
from katib.trainer_contract import Exit
from katib.trial import WITHOUT_RESULT, State

NOT_RUNNABLE = (126, 127)
"""The exit codes of a shell for a command that it cannot run."""
COLLECTOR_FAILED = 255
INTERRUPTED = "interrupted"
"""Why a trial has not ended although its process has: it is no fault of the trial."""


@dataclass(frozen=True)
class Halt:
    """Why the search ends before its budget is spent; `code` is the exit code."""

    code: int
    reason: str
    then: str = "the same command goes on where it ended"
    """What the user can do about it."""

    def __str__(self) -> str:
        """Returns the reason and what to do, unless the reason says that itself."""
        return self.reason if "same command" in self.reason else f"{self.reason}; {self.then}"


@dataclass(frozen=True)
class End:
    """How a process ended.

    `said` is its last line, `late` why it was ended for its deadline; empty where it was not.
    """

    code: int
    said: str
    ours: bool
    """Whether it was our trainer."""
    asked: bool = False
    """Whether the engine had asked it to end."""
    late: str = ""
    late_for_good: bool = False
    """Whether the deadline was the Job's, behind which there is no other try."""
    text: str = ""
    """What it has printed for the objective that is no number; the last of it."""


@dataclass(frozen=True)
class Verdict:
    """What follows for the trial. Created: it runs again. `failed_try` counts against the backoffLimit."""

    state: State
    reason: str = ""
    failed_try: bool = False
    halt: Halt | None = None


def goal_reached(trials: Iterable[Trial], experiment: Experiment) -> bool:
    """Returns whether a trial that has ended, and has a result, is as good as the search's goal."""
    goal, reaches = experiment.goal, experiment.search.direction.reaches
    values = [trial.value(experiment.strategy) for trial in trials if trial.finished]
    return goal is not None and any(value is not None and reaches(value, goal) for value in values)


def too_many_failures(trials: Sequence[Trial], experiment: Experiment) -> Halt | None:
    """Returns why a search with these trials has failed (Katib, experiment/util/status_util.go); None where it has not.

    One that has reached its goal has succeeded, whatever fails after that.
    """
    failed, limit = [trial for trial in trials if trial.state in WITHOUT_RESULT], experiment.max_failed_trials
    if not failed or limit is None or len(failed) < limit or goal_reached(trials, experiment):
        return None
    why = f"{count(len(failed), 'failed trial')} of {limit} allowed; {failed[-1].name}: {failed[-1].reason}"
    # A search without a finished epoch makes room for the next one (katib/backend/local/another.py).
    begun = any(trial.values for trial in trials)
    then = "a higher maxFailedTrialCount continues it" if begun else "once that is fixed, the same command begins anew"
    return Halt(1, f"experiment {experiment.name} failed: {why}", then)


def verdict(trial: Trial, end: End, experiment: Experiment, *, halted: bool) -> Verdict:
    """Returns what the end of a process means for `trial`, whose values are those of this try.

    `halted`: the search is ending.
    """
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
        if end.text:
            return Verdict(
                "MetricsUnavailable", f"{experiment.search.metric} was '{shown(end.text)}', which is no number"
            )
        return Verdict("MetricsUnavailable", f"no {experiment.search.metric} was reported")
    if end.ours and code == Exit.DIVERGED:
        return Verdict("Failed", f"diverged: {said}")
    if end.ours and (code == Exit.BAD_INPUT or code in NOT_RUNNABLE):
        return Verdict("Created", INTERRUPTED, halt=Halt(2, f"trial {trial.name}: {said}"))
    if end.ours and says_disk_full(said):
        return Verdict("Created", INTERRUPTED, halt=Halt(1, f"trial {trial.name}: {said}"))
    if halted:
        return Verdict("Created", INTERRUPTED)
    reason = f"{how(code)}: {said}" if said else how(code)
    action = failure_action(code, experiment)
    if action == "FailJob":
        return Verdict("Failed", f"{reason}; podFailurePolicy allows no other try", failed_try=True)
    if action == "Ignore":
        return Verdict("Created", f"{reason}; podFailurePolicy does not count this try")
    return _another_try(trial, reason, experiment)


def failure_action(code: int, experiment: Experiment) -> str:
    """Returns what the Job's podFailurePolicy makes of an exit code: FailJob, Ignore, or Count, which is also what no
    rule gives.

    The first rule that matches counts (k8s.io/kubernetes, pkg/controller/job/pod_failure_policy.go). Where trials may
    be stopped early, the shell line of Katib's webhook makes any failure 1; Katib's collector exits with 255 beside a
    trainer that failed.
    """
    own = 1 if experiment.search.early_stopping else 128 - code if code < 0 else code
    for rule in experiment.template.failure_rules:
        codes = {own, COLLECTOR_FAILED} if rule.any_container else {own}
        if any((found in rule.values) != rule.others for found in codes):
            return rule.action
    return "Count"


def _another_try(trial: Trial, reason: str, experiment: Experiment) -> Verdict:
    failures, tries = trial.effort.failures + 1, experiment.template.backoff_limit + 1
    if failures >= tries:
        return Verdict("Failed", reason, failed_try=True)
    return Verdict("Created", f"{reason}; try {failures + 1} of {tries}", failed_try=True)
