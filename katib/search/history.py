"""The trials of a search as its algorithms see them, and a trial's curve from its reported rows. Pure: no I/O."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from katib.text import number
from katib.trial import State

Outcome = Literal["running", "completed", "stopped", "failed"]
OUTCOMES: Mapping[State, Outcome] = {
    "Created": "running",
    "Running": "running",
    "Succeeded": "completed",
    "EarlyStopped": "stopped",
    "Failed": "failed",
    "MetricsUnavailable": "failed",
}
"""The outcome of a trial by its state."""


@dataclass(frozen=True)
class Observation:
    """A trial as an algorithm sees it."""

    assignments: Mapping[str, str]
    outcome: Outcome
    value: float | None = None
    """The objective: the best so far of a trial that was stopped early. A value that is not finite counts as none."""
    values: Sequence[float] = ()
    """The reported values, one per step from 1; empty where only the final value is known."""
    name: str = ""
    """The name of the configuration, which is that of its first trial."""

    @property
    def worth(self) -> float | None:
        """The value where it is finite."""
        return self.value if self.value is not None and math.isfinite(self.value) else None


def curve(rows: Iterable[tuple[str, str]]) -> tuple[float, ...]:
    """Returns a trial's values, one per step from 1, from its rows (RFC 3339 timestamp, value as text) in any order.

    A resumed trial reports its history again with the same timestamps: a timestamp is one step, and its last readable
    row counts. A row that cannot be read makes its step NaN, which no rule counts.
    """
    steps: dict[str, float] = {}
    for stamp, text in rows:
        value = number(text)
        if stamp not in steps or value is not None:
            steps[stamp] = math.nan if value is None else value
    return tuple(steps[stamp] for stamp in sorted(steps, key=_instant))


def _instant(stamp: str) -> str:
    """Returns a key that sorts stamps of one zone by time: `…:00Z` comes before `…:00.5Z`, which plain text ignores."""
    return stamp.removesuffix("Z")
