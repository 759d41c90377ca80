"""The words that everybody uses of trials: their states, the direction of the objective, and what identifies a search."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isfinite
from typing import Literal

from katib.untrusted import checked, clean, is_name

State = Literal["Created", "Running", "Succeeded", "Failed", "EarlyStopped", "MetricsUnavailable"]
ENDED: tuple[State, ...] = ("Succeeded", "EarlyStopped", "Failed", "MetricsUnavailable")
WITHOUT_RESULT: tuple[State, ...] = ("Failed", "MetricsUnavailable")
CONDITIONS: Mapping[str, State] = {
    "EarlyStopped": "EarlyStopped",
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "MetricsUnavailable": "MetricsUnavailable",
    # Part of Katib's API, though its controllers never set it.
    "Killed": "Failed",
    "Running": "Running",
    "Created": "Created",
}
"""The states by the conditions of a Katib trial, those that count most first (status_util.go): an early-stopped trial
keeps Running=True."""


class Direction(Enum):
    """Which values of the objective are better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    @classmethod
    def of(cls, maximize: bool) -> "Direction":
        """Returns the direction of an objective that is to be maximized, or minimized."""
        return cls.MAXIMIZE if maximize else cls.MINIMIZE

    @property
    def strategy(self) -> Literal["max", "min"]:
        """Katib's metric strategy where a manifest names none: what of a trial's reports is its value."""
        return "max" if self is Direction.MAXIMIZE else "min"

    @property
    def sign(self) -> float:
        """1 where greater values are better, else -1: a value times the sign is the better, the greater it is."""
        return 1.0 if self is Direction.MAXIMIZE else -1.0

    def better(self, value: float, other: float) -> bool:
        """Returns whether `value` is strictly better than `other`."""
        return self.sign * value > self.sign * other

    def reaches(self, value: float, goal: float) -> bool:
        """Returns whether `value` is as good as `goal`, or better."""
        return self.sign * value >= self.sign * goal

    def best(self, values: Iterable[float]) -> float | None:
        """Returns the best of the finite values; None where there is none."""
        choose = max if self is Direction.MAXIMIZE else min
        return choose(filter(isfinite, values), default=None)


@dataclass(frozen=True)
class Identity:
    """What a store is the store of."""

    name: str
    metric: str
    maximize: bool
    strategy: Literal["max", "min", "latest"]
    spec: Mapping[str, object]
    corpus: str = ""
    """What the corpus is known by (katib/backend/local/corpus.py); empty where none is mounted."""

    @property
    def direction(self) -> Direction:
        """The direction of its objective."""
        return Direction.of(self.maximize)


def state_of(conditions: Collection[str]) -> State:
    """Returns the state of a Katib trial in which these conditions are true."""
    return next((state for condition, state in CONDITIONS.items() if condition in conditions), "Created")


def shown(state: State, *, begun: bool) -> str:
    """Returns the state as people read it: what has trained for a while and waits to continue is Interrupted."""
    return "Interrupted" if begun and state == "Created" else state


def objective_value(values: Sequence[float], strategy: str) -> float | None:
    """Returns what the reports of a trial come to by Katib's metric strategy; None where no finite one came."""
    finite = [value for value in values if abs(value) < float("inf")]
    if not finite:
        return None
    return finite[-1] if strategy == "latest" else max(finite) if strategy == "max" else min(finite)


def identity_from(found: object) -> Identity:
    """Returns the identity of a search that somebody has written down. Raises ValueError where it is none."""
    made = checked(Identity, found)
    if not is_name(made.name):
        raise ValueError(f"a search of the name {clean(made.name)!r}")
    if clean(made.metric) != made.metric:
        raise ValueError("control characters in the metric's name")
    return made
