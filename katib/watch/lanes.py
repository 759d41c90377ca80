"""Finds out what each GPU, or each slot of a machine without one, has done when: which trial, and when none.

No record names the GPU of a trial. Trials of a node that overlap in time were on different ones, so that all of a node
are laid into as few lanes as hold them; one that goes on keeps its lane if that is free. Pure: no I/O.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite
from statistics import median

from katib.table.trial_table import TrialRow
from katib.trial import ENDED
from katib.watch.view import View

LONG = 3.0
"""An epoch that takes more than so many times the median of its trial holds an interruption."""
SHORTEST_GAP = 20.0
"""Seconds that an interruption takes at least: a restart loads the program and the data."""


@dataclass(frozen=True)
class Stretch:
    """A time in which a trial trained without interruption; Unix times in s."""

    trial: TrialRow
    start: float
    end: float
    epochs: Sequence[float] = ()
    """When its epochs ended."""
    resumed: bool = False
    """Whether an interruption or a pause came before it."""


@dataclass
class Lane:
    """What one GPU or slot of `node` has done, in order."""

    node: str
    stretches: list[Stretch] = field(default_factory=list)

    def idle(self, start: float, end: float) -> float:
        """Returns the seconds between two times in which it trained nothing."""
        return max(0.0, end - start - sum(one.end - one.start for one in self.stretches))


def lanes(view: View, rows: Sequence[TrialRow]) -> list[Lane]:
    """Returns the lanes of the trials in `rows`, node by node."""
    found: dict[str, list[Lane]] = {}
    stretches = sorted((one for row in rows for one in _stretches(view, row)), key=lambda one: (one.start, one.end))
    for one in stretches:
        here = found.setdefault(one.trial.node, [])
        free = [lane for lane in here if lane.stretches[-1].end <= one.start]
        own = [lane for lane in free if lane.stretches[-1].trial.trial == one.trial.trial]
        # Of several free lanes the one that was busy last is the likeliest: a slot takes its next trial at once.
        lane = max(own or free, key=lambda lane: lane.stretches[-1].end, default=None)
        if lane is None:
            lane = Lane(one.trial.node)
            here.append(lane)
        lane.stretches.append(one)
    return [lane for node in sorted(found) for lane in found[node]]


def _stretches(view: View, row: TrialRow) -> Iterator[Stretch]:
    """Yields the times in which a trial trained, as its epochs and its end tell."""
    times = [time for time in view.curve(row).times if isfinite(time)]
    end = view.ended(row) if row.state in ENDED else view.now
    if view.halted and row.state not in ENDED:
        end = times[-1] if times else None
    start = row.started if row.started is not None else (times[0] if times else None)
    if start is None or end is None or not (row.epochs or row.seconds):
        return
    # A trial may wait between its proposal and its start: it trains at most as long as it is said to have trained.
    if not row.pauses and not row.restarts and row.seconds and (row.state in ENDED or view.halted):
        start = max(start, end - row.seconds)
    known = [time for time in times if start <= time <= end]
    usual = median([later - one for one, later in pairwise(known)]) if len(known) > 1 else 0.0
    begin, epochs, resumed = start, list[float](), False
    for before, after in pairwise([start, *known]):
        if usual and after - before > max(LONG * usual, usual + SHORTEST_GAP) and before > start:
            yield Stretch(row, begin, before, tuple(epochs), resumed)
            begin, epochs, resumed = after - usual, [], True
        epochs.append(after)
    yield Stretch(row, begin, max(begin, end), tuple(epochs), resumed)
