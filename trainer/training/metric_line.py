"""The line on stdout by which whoever started the training learns of an epoch: `2026-11-24T09:30:00.123456Z
val_si_snr=5.1234`.

Katib's collector and the local engine match it with one anchored filter. No other line may contain the metric's name:
with a stop rule at work Katib's collector parses every `key=value` of such a line as a number, or dies. Called by the
epoch loop when an epoch's checkpoint is on disk.
"""

import math
import sys
from datetime import UTC, datetime

METRIC = "val_si_snr"


def metric_line(time: str, val_si_snr: float) -> str:
    """Returns the line of one epoch.

    `time` is what `timestamp` gave when the epoch ended, `val_si_snr` is in dB. Raises ValueError where it is not
    finite, which no reader of the line would take for a number.
    """
    if not math.isfinite(val_si_snr):
        raise ValueError(f"{METRIC} {val_si_snr} is not finite")
    return f"{time} {METRIC}={val_si_snr:.4f}"


def timestamp() -> str:
    """Now, in UTC to the microsecond, as RFC 3339 has it: the collector orders the epochs by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def say(*lines: str) -> None:
    """Lines on stdout that whoever watches has at once.

    They are written in one piece, which nothing that a library prints meanwhile can come between. A metric line
    therefore goes together with a line for people before it: where a library has left its own line open (a progress
    bar, a warning of C code), that one is spoilt and not the metric line.
    """
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
