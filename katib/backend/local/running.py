"""A trial at work: its process, the device that it has, and what time does to it: a deadline, and the grace behind a
stop.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from katib.backend.local.ending import End
from katib.backend.local.process import TrialProcess
from katib.manifest.experiment import TrialTemplate
from katib.trainer_contract import OUTPUT

SAVE_SECONDS = 120.0
"""From SIGTERM to SIGKILL at an early stop, as our collector has it, and for a trial of which the manifest is not at
hand."""
SAVING_SECONDS = 0.05
"""How often a program is looked at whose shell is gone: its end is reported to nobody."""


@dataclass(frozen=True)
class Deadline:
    """When a try is ended, on the monotonic clock, and why."""

    at: float
    reason: str
    for_good: bool
    """Whether it is the Job's, which fails the trial whatever its backoffLimit says; the pod's fails this try."""


def deadline(template: TrialTemplate, first: float, now: float) -> Deadline | None:
    """Returns the earlier deadline of a try that begins `now` of a trial that began at `first`; None where it has none.

    Kubernetes counts a Job's activeDeadlineSeconds over all tries, a pod's for one (k8s.io/api: batch/v1 JobSpec,
    core/v1 PodSpec).
    """
    found = []
    for limit, begin, whose in (
        (template.job_deadline, first, "the Job"),
        (template.pod_deadline, now, "the pod"),
    ):
        if limit is not None:
            reason = f"ran past its deadline (activeDeadlineSeconds {limit} of {whose})"
            found.append(Deadline(begin + limit, reason, whose == "the Job"))
    return min(found, key=lambda one: one.at, default=None)


def seen_for(folder: Path, started: float) -> float:
    """Returns the seconds between the start of a trial that was cut off and its last output."""
    try:
        last = (folder / OUTPUT).stat(follow_symlinks=False).st_mtime
        return max(0.0, min(last, time.time()) - started)
    except OSError:
        return 0.0


@dataclass
class Running:
    """A trial at work. `step` is that of its process's last report: a resumed trial begins with its history."""

    process: TrialProcess
    device: str | None
    ours: bool
    """Whether its command is our trainer, whose exit codes say more than that it failed."""
    grace: float
    """Seconds from SIGTERM to SIGKILL where Kubernetes would end the pod."""
    deadline: Deadline | None = None
    step: int = 0
    late: bool = False
    """Whether its deadline has ended it."""
    text: str = ""
    """The last that it has printed for the objective and is no number."""

    @property
    def wakes(self) -> float | None:
        """When it has to be looked at although nothing was heard of it, on the monotonic clock."""
        if self.process.saves:
            return time.monotonic() + SAVING_SECONDS
        return self.process.ends_by or (self.deadline.at if self.deadline else None)

    def check(self) -> None:
        """Ask it to end at its deadline; kill it where it has had its time to save."""
        now, ends_by = time.monotonic(), self.process.ends_by
        if ends_by is not None:
            if ends_by < now:
                self.process.kill()
        elif self.deadline is not None and self.deadline.at <= now:
            self.late = True
            self.process.stop(self.grace)

    def end(self, code: int) -> End:
        """Returns how it has ended."""
        late = self.deadline if self.late else None
        return End(
            code,
            self.process.last_line.removeprefix("error: "),
            self.ours,
            asked=self.process.ends_by is not None,
            late=late.reason if late else "",
            late_for_good=late is not None and late.for_good,
            text=self.text,
        )
