"""Defines the trial table of an experiment, with one row per trial and the best first: the only form of results.

It holds data only. A backend fills it from its own records; export.py fills it from a table that was written before
its experiment was deleted.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from katib.heartbeat import Heartbeat
from katib.spec import Spec
from katib.spec_parts import Baseline
from katib.text import counted
from katib.trial import ENDED, Direction, Identity, State, shown


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric: `step` is the epoch, from 1, and `time` the Unix time (s) of its end, None if unknown."""

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
    """The planned size of an experiment."""

    trials: int
    epochs: int
    """The epochs of a trial that nothing stops."""
    hours_per_run: float | None
    """The estimate for a trial of so many epochs; None if there is none, as for a small preset of the model."""


@dataclass(frozen=True)
class TrialRow:
    """A trial: `value` is the objective's, `seconds` the training time, and `best_epoch` counts from 1.

    A failed trial has no value, best epoch or gain, whatever it printed before: in Katib, it has no result either.
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
    """How much better the value is than the unprocessed mixture's, in the metric's unit; None if unknown."""
    objective: str = ""
    metrics: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    """Every metric by its name, the objective included; steps without a finite value are missing."""
    reports: tuple[float, ...] = ()
    """The objective by epoch as the local store has it, without reading the run's files; empty on a cluster."""
    gpu_hours: float = 0.0
    """Hours times the GPUs of a trial; for a trial without a GPU, the hours of its process."""
    node: str = ""
    """The machine that it ran on last; empty if that was not recorded."""
    restarts: int = 0
    """How often it was restarted from its checkpoint; going on after a pause is no restart."""
    pauses: tuple[int, ...] = ()
    """The epochs after which it paused and went on, in order."""
    continuations: tuple[str, ...] = ()
    """The names of the trials that went on with it after its pauses, as on Katib; on one machine it keeps its own."""
    may_go_on: bool = False
    """Whether it is paused, and its search may yet let it go on."""
    wandb: str = ""
    """The address of its W&B run; empty if it has none, or none that is known."""
    started: float | None = None
    """Unix time in s."""
    ended: float | None = None
    """Unix time in s; None before its end."""
    heartbeat: Heartbeat | None = None
    """How far it is within its epoch, while it runs and says so."""
    fix: str = ""
    """How to fix the cause of a failure; empty if there was none, or if nothing can be done."""

    def __post_init__(self) -> None:
        if self.state == "Failed":
            for name in ("value", "best_epoch", "gain"):
                object.__setattr__(self, name, None)

    @property
    def shown_state(self) -> str:
        """The state to show.

        A trial that waits to continue is Created to Katib, and Interrupted to people; a paused one is EarlyStopped.
        """
        return shown(self.state, begun=bool(self.epochs or self.seconds), may_go_on=self.may_go_on)

    @property
    def curve(self) -> tuple[Point, ...]:
        """The objective by epoch."""
        return self.metrics.get(self.objective, ())

    @property
    def values(self) -> tuple[float, ...]:
        """The objective by epoch, from 1; NaN, which no rule counts, for an epoch whose value is missing."""
        if self.reports or not self.curve:
            return self.reports
        found = {point.step: point.value for point in self.curve}
        return tuple(found.get(step, math.nan) for step in range(1, max(found) + 1))

    def at_best(self, metric: str) -> float | None:
        """Returns what another metric was at the best epoch."""
        return next((point.value for point in self.metrics.get(metric, ()) if point.step == self.best_epoch), None)


@dataclass(frozen=True)
class TrialTable:
    """The trials of one experiment, best first, those without a value last."""

    identity: Identity
    rows: tuple[TrialRow, ...]
    venue: Venue = ONE_MACHINE
    model: str = ""
    """The model that the manifest names; empty if it names none."""
    spec: Spec | None = None
    """The spec that the manifest was rendered from, with its baseline and next phase; None for a manifest written by
    hand or with another preset."""
    budget: Budget | None = None
    """None if the manifest does not tell it."""
    gpus: float = 0
    """The GPUs of a trial, less than 1 if several share one; 0 if it trains on the processor."""
    slots: int = 0
    """How many trials the machine runs at a time; 0: as many as the manifest allows."""
    folder: Path | None = None
    """Its folder on this machine, or None."""
    paces: tuple[float, ...] = ()
    """The seconds that an epoch takes, as running trials measure it within theirs."""
    made_with: str = ""
    """Versions, device and corpus as the trainer prints them, of one trial on a cluster; empty if that is not known."""
    acts: tuple[str, ...] = ()
    """Who paused, resumed, stopped or deleted it on a cluster, such as `paused by ann at 2026-11-28 14:05 UTC`."""
    notes: tuple[str, ...] = ()
    """What could not be read, in a line each; the verbs print them to stderr."""

    @property
    def place(self) -> str:
        """The name of its folder: a copy of a folder keeps the name that the experiment was run as."""
        return self.folder.name if self.folder else self.identity.name

    @property
    def device(self) -> Literal["GPU", "process"]:
        """What the hours of its trials are counted in: GPU-hours, or hours of a process on the processor."""
        return "GPU" if self.gpus else "process"

    @property
    def hours_used(self) -> float:
        """The GPU-hours of all its trials, or hours of their processes."""
        return sum(row.gpu_hours for row in self.rows)

    @property
    def best(self) -> TrialRow | None:
        """The best trial that has a value."""
        return self.rows[0] if self.rows and self.rows[0].value is not None else None

    @property
    def baseline(self) -> Baseline | None:
        """The spec's baseline if the trials can be compared with it: by its metric, and after as many epochs."""
        if self.spec is None or (self.identity.metric, self.identity.direction.value) != self.spec.objective:
            return None
        shortened = self.budget is not None and self.budget.epochs != self.spec.epochs
        return None if shortened else self.spec.baseline

    @property
    def under_way(self) -> tuple[TrialRow, ...]:
        """The trials that have not ended."""
        return tuple(row for row in self.rows if row.state not in ENDED)

    @property
    def counted(self) -> str:
        """Its trials as `3 Succeeded, 1 Running`."""
        return counted(row.shown_state for row in self.rows)

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of the searched hyperparameters."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.assignments))

    @property
    def finished(self) -> tuple[TrialRow, ...]:
        """The trials that ran to their own end and have a value."""
        return tuple(row for row in self.rows if row.state == "Succeeded" and row.value is not None)


def with_pauses(rows: Iterable[TrialRow], *, pauses: bool) -> Iterator[TrialRow]:
    """Yields the rows; those that stopped early may go on if their search pauses trials and has not ended."""
    listed = list(rows)
    goes_on = pauses and any(row.state not in ENDED for row in listed)
    for row in listed:
        yield replace(row, may_go_on=True) if goes_on and row.state == "EarlyStopped" else row


def best_first(rows: Iterable[TrialRow], direction: Direction) -> tuple[TrialRow, ...]:
    """Returns the rows in a table's order: the best first, those without a value last."""
    return tuple(sorted(rows, key=lambda row: (row.value is None, -direction.sign * (row.value or 0))))
