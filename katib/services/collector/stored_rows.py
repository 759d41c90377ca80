"""Which rows of a trial the DB manager has: the newest are known here, about older ones it is asked again.

Called by report.py.

A replay of a long history, and a report whose answer was lost, are the two cases in which it is asked. Everything else
that a trainer prints is newer than all before, so what is kept here does not grow with the trial.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from katib import metrics
from katib.services.observations import MetricRow

MOST_HASHES = 20_000
"""Of rows and of steps that are kept, 150 bytes each."""


class Logs(Protocol):
    """Where rows are: ObservationLogs. Each call raises AWAY where it does not answer."""

    def read(self, trial: str, start: datetime = ..., end: datetime = ...) -> Iterable[MetricRow]:
        """Returns the rows of a trial from `start` to `end`, both included, by time."""

    def report(self, trial: str, rows: Sequence[MetricRow]) -> None:
        """Adds rows."""


class StoredRows:
    """The rows of one trial; those of its objective are also counted, a step a timestamp, as the stop rules do."""

    def __init__(self, logs: Logs, trial: str, objective: str) -> None:
        self._logs = logs
        self._trial = trial
        self._objective = objective
        self._hashes: dict[int, str] = {}
        """Of rows, and of pairs of metric and time; each with its time, the longest known first."""
        self._forgotten = ""
        """The latest time of what is no longer in `_hashes`."""
        self._unsure: frozenset[MetricRow] = frozenset()
        """Rows that were sent, and perhaps written: the manager has not answered."""
        self.steps = 0
        self.lowest, self.highest = math.inf, -math.inf
        """Of the objective; both infinite where the manager has no value of it."""

    def inherit(self, rows: Iterable[MetricRow]) -> None:
        """These are the rows that earlier pods have reported, by time."""
        for row in rows:
            self._count(row)
            self._forget()

    def missing(self, rows: Iterable[MetricRow]) -> list[MetricRow]:
        """Returns those that the manager has not, each once.

        Raises AWAY where it is to be asked and does not answer.
        """
        self._forget()
        distinct = dict.fromkeys(rows)
        doubtful = {
            row.time
            for row in distinct
            if hash(row) not in self._hashes and (row.time <= self._forgotten or row in self._unsure)
        }
        if doubtful:
            self._ask(doubtful)
        return [row for row in distinct if hash(row) not in self._hashes]

    def send(self, rows: Sequence[MetricRow]) -> None:
        """Report rows that are missing. Raises AWAY; they may be there nevertheless."""
        self._unsure = frozenset(rows)
        self._logs.report(self._trial, rows)
        self._unsure = frozenset()
        for row in rows:
            self._count(row)

    def _ask(self, times: set[str]) -> None:
        first, last = (datetime.fromisoformat(choose(times)) for choose in (min, max))
        there = [plain(row) for row in self._logs.read(self._trial, first, last) if row.time in times]
        for row in there:
            if row in self._unsure:
                self._count(row)
            self._keep(row)
        self._unsure = frozenset()

    def _count(self, row: MetricRow) -> None:
        """A row that the manager has, and that was not counted before unless it is still known."""
        if hash(row) in self._hashes:
            return
        if row.name == self._objective:
            self.steps += _step(row) not in self._hashes
            if (value := number(row.value)) is not None:
                self.lowest, self.highest = min(value, self.lowest), max(value, self.highest)
        self._keep(row)

    def _keep(self, row: MetricRow) -> None:
        self._hashes[hash(row)] = row.time
        if row.name == self._objective:
            self._hashes[_step(row)] = row.time

    def _forget(self) -> None:
        """The older half, once there are too many."""
        if len(self._hashes) > MOST_HASHES:
            items = list(self._hashes.items())
            half = len(items) // 2
            self._forgotten = max(self._forgotten, *(time for _, time in items[:half]))
            self._hashes = dict(items[half:])


def plain(row: MetricRow) -> MetricRow:
    """With its number as Python writes it."""
    value = number(row.value)
    return row if value is None else row._replace(value=repr(value))


def number(text: str) -> float | None:
    """Returns what Katib can rank; None for any other text, such as "1_000", which Python alone takes for a number."""
    value = metrics.number(text)
    return value if value is not None and math.isfinite(value) else None


def _step(row: MetricRow) -> int:
    return hash((row.name, row.time))
