"""A running trial: its process, its device, its deadline, and the grace period after a stop."""

import time
from dataclasses import dataclass
from pathlib import Path

from katib.backend.local.ending import End
from katib.backend.local.process import TrialProcess
from katib.manifest.experiment import TrialTemplate
from katib.trainer_contract import OUTPUT

SAVE_TIMEOUT = 120.0
"""The seconds from SIGTERM to SIGKILL at an early stop, as in our collector, and for a trial without a manifest."""
POLL_SECONDS = 0.05
"""The seconds between two looks at a program whose shell has ended, since nobody is notified of its end."""


@dataclass(frozen=True)
class Deadline:
    """When a try is ended, in s on the monotonic clock, and why."""

    at: float
    reason: str
    for_good: bool
    """Whether it is the Job's, which fails the trial whatever its backoffLimit says; the pod's fails this try."""


def deadline(template: TrialTemplate, first: float, now: float) -> Deadline | None:
    """Returns the earlier deadline of a try that starts `now`, of a trial that started at `first`; None without one.

    Kubernetes counts a Job's activeDeadlineSeconds over all tries, a pod's for one (k8s.io/api: batch/v1 JobSpec,
    core/v1 PodSpec).
    """
    deadlines = []
    for limit, begin, whose in (
        (template.job_deadline, first, "the Job"),
        (template.pod_deadline, now, "the pod"),
    ):
        if limit is not None:
            reason = f"ran past its deadline (activeDeadlineSeconds {limit} of {whose})"
            deadlines.append(Deadline(begin + limit, reason, whose == "the Job"))
    return min(deadlines, key=lambda limit: limit.at, default=None)


def seen_for(folder: Path, started: float) -> float:
    """Returns the seconds between the start of a trial that was cut off and its last output."""
    try:
        last = (folder / OUTPUT).stat(follow_symlinks=False).st_mtime
        return max(0.0, min(last, time.time()) - started)
    except OSError:
        return 0.0


@dataclass
class Running:
    """A running trial. `step` is that of its process's last report: a resumed trial reports its history first."""

    process: TrialProcess
    device: str | None
    ours: bool
    """Whether its command is our trainer, whose exit codes have a meaning."""
    grace: float
    """Seconds from SIGTERM to SIGKILL where Kubernetes would end the pod."""
    deadline: Deadline | None = None
    step: int = 0
    late: bool = False
    """Whether its deadline has ended it."""
    text: str = ""
    """The last text that it printed as the objective and that is no number."""

    @property
    def wakes(self) -> float | None:
        """When it has to be checked although it has printed nothing, in s on the monotonic clock."""
        if self.process.saves:
            return time.monotonic() + POLL_SECONDS
        return self.process.ends_by or (self.deadline.at if self.deadline else None)

    def check(self) -> None:
        """Asks it to end at its deadline, and kills it once its time to save is over."""
        now, ends_by = time.monotonic(), self.process.ends_by
        if ends_by is not None:
            if ends_by < now:
                self.process.kill()
        elif self.deadline is not None and self.deadline.at <= now:
            self.late = True
            self.process.stop(self.grace)

    def end(self, code: int) -> End:
        """Returns how it ended."""
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
