"""Defines the states of trials, the direction of an objective, and what identifies a search."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import isfinite
from typing import Literal

from katib.measure import Measure, measure_of
from katib.untrusted import checked, clean, is_name

State = Literal["Created", "Running", "Succeeded", "Failed", "EarlyStopped", "MetricsUnavailable"]
ENDED: tuple[State, ...] = ("Succeeded", "EarlyStopped", "Failed", "MetricsUnavailable")
CONTINUES_LABEL = "sepsweep/continues"
"""The label of a continuation on Katib: the name of its configuration's first trial. Katib puts it on the trial and on
its pods."""
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
"""The state that each condition of a Katib trial stands for, the decisive ones first: an early-stopped trial, for
example, keeps Running=True (status_util.go)."""


def meant(word: str, names: Iterable[str]) -> list[str]:
    """Returns the name `word` if there is one, or else all names that end with it, as tables shorten them."""
    names = list(names)
    return [word] if word in names else [name for name in names if name.endswith(f"-{word}")]


def in_words(state: str) -> str:
    """Returns a state as a word of a sentence or a legend, such as `stopped early`."""
    return _IN_WORDS.get(state, state.lower())


_IN_WORDS = {"Created": "waiting", "MetricsUnavailable": "without a metric", "EarlyStopped": "stopped early"}


class Direction(Enum):
    """Which values of the objective are better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    @classmethod
    def of(cls, maximize: bool) -> "Direction":
        """Returns the direction of an objective that is maximized, or else minimized."""
        return cls.MAXIMIZE if maximize else cls.MINIMIZE

    @property
    def strategy(self) -> Literal["max", "min"]:
        """Katib's default metric strategy: which of a trial's reports is its value."""
        return "max" if self is Direction.MAXIMIZE else "min"

    @property
    def sign(self) -> float:
        """1 if greater values are better, else -1; of values times the sign, the greatest is the best."""
        return 1.0 if self is Direction.MAXIMIZE else -1.0

    def better(self, value: float, other: float) -> bool:
        """Returns whether `value` is strictly better than `other`."""
        return self.sign * value > self.sign * other

    def reaches(self, value: float, goal: float) -> bool:
        """Returns whether `value` is as good as `goal`, or better."""
        return self.sign * value >= self.sign * goal

    def best(self, values: Iterable[float]) -> float | None:
        """Returns the best of the finite values, or None if there are none."""
        choose = max if self is Direction.MAXIMIZE else min
        return choose(filter(isfinite, values), default=None)


@dataclass(frozen=True)
class Identity:
    """Identifies a search: a store or a table of another identity belongs to another search."""

    name: str
    metric: str
    maximize: bool
    strategy: Literal["max", "min", "latest"]
    spec: Mapping[str, object]
    corpus: str = ""
    """The fingerprint of the corpus (katib/backend/local/corpus.py); empty if none is mounted."""
    gpu_hours: float | None = None
    """The budget of the search in GPU-hours; None if it has none. It may change while the search stays the same."""
    own_spec: str = ""
    """The user's own spec that the search was rendered from, as JSON; empty where there is none."""

    @property
    def direction(self) -> Direction:
        """The direction of its objective."""
        return Direction.of(self.maximize)

    @property
    def measure(self) -> Measure:
        """Its metric with the unit of its values."""
        return measure_of(self.metric, self.own_spec)


def state_of(conditions: Collection[str]) -> State:
    """Returns the state of a Katib trial in which these conditions are true."""
    return next((state for condition, state in CONDITIONS.items() if condition in conditions), "Created")


def shown(state: State, *, begun: bool, may_go_on: bool = False) -> str:
    """Returns the state to show: Interrupted if a trial has trained for a while and waits to continue.

    One that stopped early is Paused where it may go on.
    """
    if state == "EarlyStopped" and may_go_on:
        return "Paused"
    return "Interrupted" if begun and state == "Created" else state


def objective_value(values: Sequence[float], strategy: str) -> float | None:
    """Returns a trial's value by Katib's metric strategy, or None if it reported no finite number."""
    finite = [value for value in values if abs(value) < float("inf")]
    if not finite:
        return None
    return finite[-1] if strategy == "latest" else max(finite) if strategy == "max" else min(finite)


def identity_from(document: object) -> Identity:
    """Returns the identity that a document of unknown origin holds. Raises ValueError if it holds none."""
    identity = checked(Identity, document)
    if not is_name(identity.name):
        raise ValueError(f"a search cannot have the name {clean(identity.name)!r}")
    if clean(identity.metric) != identity.metric:
        raise ValueError("control characters in the metric's name")
    if identity.gpu_hours is not None and not 0 < identity.gpu_hours < float("inf"):
        raise ValueError("a budget that is no number of GPU-hours")
    return identity
