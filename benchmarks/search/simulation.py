"""Simulates one search: trials on several devices, epoch by epoch, without sleeping."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from benchmarks.search.learning_curves import Array, Landscape
from katib.search.space import Space

NOTHING = -5.0
"""What the choice of a search counts as in which every trial has failed, dB."""
MOST_FAILED = 5
"""maxFailedTrialCount of katib/specs: the search ends when so many trials have failed."""
PACES = (0.95, 1.05)
"""Two trials are never equally fast."""
CLOSE = 0.1
"""A search has come close when what it would choose is truly this much below the best that any search found, dB."""


@dataclass
class Trial:
    """A trial as the strategies see it: `values` are its reports so far."""

    number: int
    assignments: Mapping[str, str]
    truth: float
    planned: Array
    fails_at: int | None
    pace: float
    """Time of one epoch, in epochs of an average trial."""
    state: Literal["running", "completed", "stopped", "failed"] = "running"
    values: list[float] = field(default_factory=list)
    pauses: list[int] = field(default_factory=list)
    """The epochs after which it was stopped; after all but the last it went on."""

    @property
    def best(self) -> float:
        """The best value so far."""
        return max(self.values, default=-np.inf)


class Strategy(Protocol):
    """A way to search: what to try next, and which running trial to stop after its latest report."""

    def propose(self, trials: Sequence[Trial], *, room: bool) -> "Mapping[str, str] | Trial | None":
        """Returns the assignments of a new trial, where there is room for one, or a stopped trial that is to go on.

        None: nothing is to begin until another trial has reported.
        """

    def stops(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        """Returns whether `trial`, which has just reported, should end."""


@dataclass(frozen=True)
class Result:
    """The outcome of a search. Hours are GPU-hours; values are true, in dB."""

    chosen: float
    """Of the trial with the best reported value, which is what a user takes."""
    best: float
    """Of the best point that was tried."""
    hours: float
    epochs: float
    """The epochs of completed trials, on average."""
    continuations: int
    """How often a stopped trial went on."""
    stopped_hours: float
    failed: int
    best_stopped: bool
    """Whether the trial with the truly best point was stopped early."""
    loss: float
    """How far the best of the completed trials lies below the best of those tried."""
    path: tuple[tuple[float, float], ...]
    """After how many hours which trial would have been chosen: its true value."""


def search(landscape: Landscape, strategy: Strategy, seed: int, trials: int, parallel: int) -> Result:
    """Runs one search of at most `trials` configurations to its end.

    The n-th has the same luck whoever proposes it.
    """
    space = Space.of(landscape.parameters)
    hour = landscape.hours / landscape.epochs
    done: list[Trial] = []
    clock: list[tuple[float, int]] = []
    path: list[tuple[float, float]] = []
    spent = 0.0

    def begin(now: float) -> bool:
        number = len(done)
        failed = sum(trial.state == "failed" for trial in done)
        if failed >= MOST_FAILED:
            return False
        following = strategy.propose(done, room=number - failed < trials)
        if following is None:
            return False
        if isinstance(following, Trial):
            following.state = "running"
            heapq.heappush(clock, (now + following.pace, following.number))
            return True
        luck = np.random.default_rng((seed, number, 9))
        point = space.shares(following)
        if point is None:
            raise ValueError(f"{following} lies outside the space")
        values, fails_at = landscape.trial(point, luck)
        truth = float(landscape.truth(np.array([point]))[0])
        done.append(Trial(number, following, truth, values, fails_at, luck.uniform(*PACES)))
        heapq.heappush(clock, (now + done[-1].pace, number))
        return True

    def fill(now: float) -> None:
        while len(clock) < parallel and begin(now):
            pass

    fill(0.0)
    while clock:
        now, number = heapq.heappop(clock)
        trial = done[number]
        spent += hour
        if trial.fails_at == len(trial.values) + 1:
            trial.state = "failed"
        else:
            trial.values.append(float(trial.planned[len(trial.values)]))
            chosen = max((other for other in done if other.state != "failed"), key=lambda other: other.best)
            if not path or path[-1][1] != chosen.truth:
                path.append((spent, chosen.truth))
            if len(trial.values) == landscape.epochs or landscape.is_patient_no_more(trial.values):
                trial.state = "completed"
            elif strategy.stops(trial, done):
                trial.state = "stopped"
                trial.pauses.append(len(trial.values))
            else:
                heapq.heappush(clock, (now + trial.pace, number))
        fill(now)
    return _result(done, hour, spent, path)


def _result(done: Sequence[Trial], hour: float, spent: float, path: Sequence[tuple[float, float]]) -> Result:
    whole = [trial for trial in done if trial.state != "failed"]
    if not whole:
        return Result(NOTHING, NOTHING, spent, 0.0, 0, 0.0, len(done), best_stopped=False, loss=0.0, path=())
    best = max(whole, key=lambda trial: trial.truth)
    completed = [trial.truth for trial in whole if trial.state == "completed"]
    return Result(
        chosen=max(whole, key=lambda trial: trial.best).truth,
        best=best.truth,
        hours=spent,
        epochs=float(np.mean([len(trial.values) for trial in whole if trial.state == "completed"] or [0])),
        continuations=sum(len(trial.pauses) - (trial.state == "stopped") for trial in whole),
        stopped_hours=hour * sum(len(trial.values) for trial in whole if trial.state == "stopped"),
        failed=len(done) - len(whole),
        best_stopped=best.state == "stopped",
        loss=best.truth - max(completed, default=-np.inf),
        path=tuple(path),
    )
