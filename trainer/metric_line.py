"""The line on stdout that reports an epoch: `2026-11-24T09:30:00.123456Z val_si_snr=5.1234`.

Katib's collector and the local engine match it with one anchored filter. No other line may contain the metric's name:
with a stop rule Katib's collector parses every `key=value` of such a line as a number, or crashes.
"""

import math
import sys
from datetime import UTC, datetime

METRIC = "val_si_snr"


def metric_line(time: str, val_si_snr: float) -> str:
    """Returns the line of an epoch that ended at `time`, a timestamp, with `val_si_snr` in dB.

    Raises ValueError where the value is not finite, which no reader of the line would accept as a number.
    """
    if not math.isfinite(val_si_snr):
        raise ValueError(f"{METRIC} {val_si_snr} is not finite")
    return f"{time} {METRIC}={val_si_snr:.4f}"


def timestamp() -> str:
    """Returns the current time in UTC to the microsecond, as in RFC 3339; the collector orders the epochs by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def say_beside(line: str) -> None:
    """Prints a line on stderr, where stdout is for what a program reads."""
    print(line, file=sys.stderr, flush=True)


def say(*lines: str) -> None:
    """Prints lines on stdout and flushes them.

    They are written in one piece, so that nothing that a library prints can come between them. A metric line therefore
    always follows a line for people: where a library has left a line unfinished (a progress bar, a warning of C code),
    it spoils that one and not the metric line.
    """
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
