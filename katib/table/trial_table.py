"""The trial table of an experiment: one row a trial, best on top. The one form in which results are read.

It holds data only. A backend fills it from its own records; export.py fills it from a table that was written before
its experiment was deleted.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from katib.metrics import METRIC
from katib.spec import Baseline, Spec
from katib.trial import ENDED, Direction, Identity, State, shown


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric.

    `step` is the epoch, from 1; `time` the Unix time in s at which it ended, None where nobody says.
    """

    step: int
    value: float
    time: float | None


@dataclass(frozen=True)
class Venue:
    """Where a search ran, in the terms that messages and conclusions need."""

    name: str
    """As it stands behind "on" in a sentence."""
    variables: str = ""
    """What a make command needs besides the experiment's name to find the search there; begins with a blank."""
    run_directories: bool = False
    """Whether the run directories of its trials, and what follows from the search, are on this machine."""
    gpu_hours: bool = False
    """Whether its GPUs are shared, so that a table lists the hours that each trial took of them."""


ONE_MACHINE = Venue("one machine", run_directories=True)
CLUSTER = Venue("a cluster", variables=" CLUSTER=1", gpu_hours=True)
DELETED = replace(CLUSTER, variables="")
"""A cluster from which the search was deleted; its table is on this machine."""


@dataclass(frozen=True)
class Budget:
    """What an experiment was meant to take."""

    trials: int
    epochs: int
    """A trial's, where nothing stops it."""
    hours_per_run: float | None
    """The estimate for one trial of so many epochs; None where there is none, as for a small preset of the model."""


@dataclass(frozen=True)
class TrialRow:
    """One trial. `value` is the objective's, `seconds` is training time, `best_epoch` counts from 1.

    A trial that failed has no value, no best epoch and no gain, whatever it printed before: it has no result in Katib.
    """

    trial: str
    state: State
    reason: str
    assignments: Mapping[str, str]
    value: float | None
    best_epoch: int | None
    epochs: int
    seconds: float
    gain: float | None = None
    """How much better than the unprocessed mixture, in the metric's unit; None where the run says nothing of it."""
    objective: str = ""
    metrics: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    """Every metric by its name, the objective among them; finite values only, so that steps may be missing."""
    reports: tuple[float, ...] = ()
    """The objective by epoch as the local store has it, at hand without reading the run's own files; empty
    elsewhere."""
    gpu_hours: float = 0.0
    """Hours times the GPUs of a trial. Of a trial without a GPU the hours of its process: the processor is its
    device."""
    node: str = ""
    """The machine it ran on last; empty where that was not recorded."""
    restarts: int = 0
    """How often it was begun again, at its checkpoint."""
    wandb: str = ""
    """Address of its W&B run; empty where it has none that is known."""
    started: float | None = None
    """Unix time in s."""
    ended: float | None = None
    """Unix time in s; None while it has not ended."""
    remedy: str = ""
    """What to do about a failure; empty where there was none, or nothing is to be done."""

    def __post_init__(self) -> None:
        if self.state == "Failed":
            for name in ("value", "best_epoch", "gain"):
                object.__setattr__(self, name, None)

    @property
    def shown_state(self) -> str:
        """As people read it: a trial that has begun and waits to continue is Created only to Katib."""
        return shown(self.state, begun=bool(self.epochs or self.seconds))

    @property
    def curve(self) -> tuple[Point, ...]:
        """The objective by epoch."""
        return self.metrics.get(self.objective, ())

    @property
    def values(self) -> tuple[float, ...]:
        """The objective by epoch from 1; NaN where an epoch's is missing, which no rule counts."""
        if self.reports or not self.curve:
            return self.reports
        found = {point.step: point.value for point in self.curve}
        return tuple(found.get(step, math.nan) for step in range(1, max(found) + 1))


@dataclass(frozen=True)
class TrialTable:
    """The trials of one experiment, best first, those without a value last."""

    identity: Identity
    rows: tuple[TrialRow, ...]
    venue: Venue = ONE_MACHINE
    model: str = ""
    """As the manifest's label has it; empty where it has none."""
    spec: Spec | None = None
    """The spec that the manifest was rendered from, and so its baseline and next phase; None where it comes from none:
    written by hand, or with another preset."""
    budget: Budget | None = None
    """None where the manifest does not say it."""
    gpus: int = 0
    """That one trial uses; on this machine one or, where it trains on the processor, none."""
    slots: int = 0
    """How many trials the machine runs at a time; 0: as many as the manifest allows."""
    folder: Path | None = None
    """Its folder on this machine; None where it has none."""
    notes: tuple[str, ...] = ()
    """What could not be read, one line each; the verbs print them to stderr."""

    @property
    def device(self) -> Literal["GPU", "process"]:
        """Whose hours its trials take: those of a GPU, or of a process on the processor."""
        return "GPU" if self.gpus else "process"

    @property
    def best(self) -> TrialRow | None:
        """The best trial that has a value."""
        return self.rows[0] if self.rows and self.rows[0].value is not None else None

    @property
    def baseline(self) -> Baseline | None:
        """The spec's baseline, where the trials can be compared with it: by its metric, after as many epochs."""
        if self.spec is None or (self.identity.metric, self.identity.direction) != (METRIC, Direction.MAXIMIZE):
            return None
        shortened = self.budget is not None and self.budget.epochs != self.spec.epochs
        return None if shortened else self.spec.baseline

    @property
    def under_way(self) -> tuple[TrialRow, ...]:
        """Trials that have not ended."""
        return tuple(row for row in self.rows if row.state not in ENDED)

    @property
    def counts(self) -> dict[str, int]:
        """Trials by the state that is shown."""
        states = [row.shown_state for row in self.rows]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of what was searched."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.assignments))

    @property
    def finished(self) -> tuple[TrialRow, ...]:
        """Trials that ran to their own end and have a value."""
        return tuple(row for row in self.rows if row.state == "Succeeded" and row.value is not None)


def best_first(rows: Iterable[TrialRow], direction: Direction) -> tuple[TrialRow, ...]:
    """Returns the order of a table: those without a value last."""
    return tuple(sorted(rows, key=lambda row: (row.value is None, -direction.sign * (row.value or 0))))
