"""Why a trial ended or cannot go on, in words. Called by the engine."""

import errno
import os
import signal
from pathlib import Path

from katib.errors import EngineError
from katib.experiment import Experiment
from katib.local.view import count, with_unit
from katib.search.stopping import Stop

NO_SPACE = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def because(stop: Stop, experiment: Experiment) -> str:
    """What the rule found."""
    side = "below" if experiment.maximize else "above"
    bars = {
        "medianstop": f"the median of {count(stop.trials, 'other trial')}",
        "successivehalving": f"what goes on from this rung of {count(stop.trials, 'other trial')}",
    }
    return (
        f"best of epoch {stop.step}, {with_unit(stop.best, experiment.metric)}, is {side} "
        f"{bars[stop.rule]}, {with_unit(stop.bar, experiment.metric)}"
    )


def how(code: int) -> str:
    """What an exit code says: a number, or the signal that ended the process."""
    if code >= 0:
        return f"exit code {code}"
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"killed by {signal.Signals(-code).name}{hint}"


def says_disk_full(line: str) -> bool:
    """Whether a trial's last line holds the system's words for a full disk: no fault of the trial, nor mended by a retry."""
    return any(text in line for text in NO_SPACE)


def unwritable(path: Path, error: OSError) -> EngineError:
    """The engine itself cannot write `path`."""
    return EngineError(
        f"{path}: cannot be written ({error.strerror}); what has finished is kept, "
        "make room and start the same command again"
    )
