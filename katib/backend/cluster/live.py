"""Holds the rows that status shows, and joins those of a configuration with its continuations. Pure: no I/O."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from katib.backend.causes import Cause
from katib.backend.cluster.model import Search, Trial
from katib.backend.cluster.pod import Pod
from katib.heartbeat import Heartbeat
from katib.search.families import families
from katib.trial import shown


@dataclass(frozen=True)
class LiveTrial:
    """A trial as status shows it."""

    trial: Trial
    state: str
    values: tuple[float, ...]
    """The objective of each epoch, as far as a log that still exists says."""
    epoch: int
    """The number of finished epochs, according to the log, or to the trial's record where there is no log."""
    current: float | None
    best: float | None
    node: str
    gpus: int
    restarts: int
    hours: float
    """GPU-hours so far."""
    cause: Cause | None
    interruption: str
    pod: Pod | None
    smaller: str = ""
    """That it goes on with smaller batches after its memory ran out; empty where that sufficed."""
    heartbeat: Heartbeat | None = None
    """How far it is within its epoch, while its pod runs and its log says so."""
    continuations: tuple[str, ...] = ()
    """The later trials of the same configuration, where the row is that of a whole configuration."""


@dataclass(frozen=True)
class Progress:
    """A search with its trials."""

    search: Search
    rows: tuple[LiveTrial, ...]
    hours_used: float
    hours_planned: float
    """GPU-hours of whole trainings; under promote, of what the rule is expected to spend of them."""
    seconds_left: float | None
    unreadable: str
    """Why a log could not be read; empty where all could."""
    unread: int
    """The number of running trials whose log has not been read yet."""
    shortage: Cause | None = None
    """Why the search has fewer trials than it may have."""


def configurations(item: Progress) -> Progress:
    """Returns the progress with one row for each configuration, as every table has it."""
    by_name = {row.trial.name: row for row in item.rows}
    listed = families({name: row.trial.continues for name, row in by_name.items()})
    rows = [_joined(first, [by_name[name] for name in names], item.search) for first, names in listed.items()]
    return replace(item, rows=tuple(sorted(rows, key=order(item.search))))


def _joined(first: str, rows: Sequence[LiveTrial], search: Search) -> LiveTrial:
    """Returns the row of a configuration; its rows are in the order in which they ran."""
    # One that goes on after its own end only reports its history again.
    last = next((row for row in rows if row.trial.state == "Succeeded"), rows[-1])
    whole = max(reversed(rows), key=lambda row: row.epoch)
    may_go_on = search.pauses and not search.finished
    return replace(
        last,
        trial=replace(last.trial, name=first),
        state=shown(last.trial.state, begun=True, may_go_on=may_go_on) if last.trial.finished else last.state,
        values=whole.values,
        epoch=whole.epoch,
        current=whole.current,
        best=search.direction.best(row.best for row in rows if row.best is not None),
        restarts=sum(row.restarts for row in rows),
        hours=sum(row.hours for row in rows),
        continuations=tuple(row.trial.name for row in rows[1:]),
    )


def order(search: Search) -> Callable[[LiveTrial], tuple[bool, bool, float, str]]:
    """Returns the sort key of rows: running trials first, then by their best value."""

    def key(row: LiveTrial) -> tuple[bool, bool, float, str]:
        return (row.trial.finished, row.best is None, -search.direction.sign * (row.best or 0), row.trial.name)

    return key
