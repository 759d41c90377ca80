"""What a search knows of its trials: the history that a sampler is asked with, and a trial's curve from its reported
rows.

Pure; filled by the local engine from its store and by the services from Katib's requests.
"""

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
"""What an algorithm makes of a trial's state."""


@dataclass(frozen=True)
class Observation:
    """A trial of the history.

    `value` is what its objective came to: the best so far of a trial that was stopped early. `values` are its reports,
    one a step from 1, and empty where only the value is known. A value that is not finite is no value.
    """

    assignments: Mapping[str, str]
    outcome: Outcome
    value: float | None = None
    values: Sequence[float] = ()

    @property
    def worth(self) -> float | None:
        """The value, where there is one."""
        return self.value if self.value is not None and math.isfinite(self.value) else None


def curve(rows: Iterable[tuple[str, str]]) -> tuple[float, ...]:
    """Returns a trial's values, one a step from 1, from its rows (RFC 3339 timestamp, value as text) in any order.

    A resumed trial reports its history again with the timestamps of old: a timestamp is one step, and its last readable
    row counts. A row that cannot be read takes up its step with NaN, which no rule counts.
    """
    steps: dict[str, float] = {}
    for stamp, text in rows:
        value = number(text)
        if stamp not in steps or value is not None:
            steps[stamp] = math.nan if value is None else value
    return tuple(steps[stamp] for stamp in sorted(steps, key=_instant))


def _instant(stamp: str) -> str:
    """Returns a key that sorts stamps of one zone by time: `…:00Z` lies before `…:00.5Z`, which plain text does not
    see.
    """
    return stamp.removesuffix("Z")
