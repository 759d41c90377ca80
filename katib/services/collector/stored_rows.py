"""Keeps track of the rows of a trial that the DB manager has: the newest are cached, older ones are looked up.

The manager is asked in two cases: when a long history is replayed, and when the answer to a report was lost. All else
that a trainer prints is newer than everything before, so the cache does not grow with the trial.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from katib.metrics import rankable
from katib.services.observations import MetricRow

MOST_HASHES = 20_000
"""The hashes of rows and of steps that are kept, 150 bytes each."""


class Logs(Protocol):
    """The part of ObservationLogs that is needed here. Each call raises AWAY where the DB manager does not answer."""

    def read(self, trial: str, start: datetime = ..., end: datetime = ...) -> Iterable[MetricRow]:
        """Returns the rows of a trial from `start` to `end`, both included, by time."""

    def report(self, trial: str, rows: Sequence[MetricRow]) -> None:
        """Adds rows."""


class StoredRows:
    """The rows of one trial. Those of the objective are counted as steps, one per timestamp, as the stop rules do."""

    def __init__(self, logs: Logs, trial: str, objective: str) -> None:
        self._logs = logs
        self._trial = trial
        self._objective = objective
        self._hashes: dict[int, str] = {}
        """The hashes of rows, and of pairs of metric and time, each with its time; the oldest entry comes first."""
        self._forgotten = ""
        """The latest time that is no longer in `_hashes`."""
        self._unsure: frozenset[MetricRow] = frozenset()
        """The rows that were sent and perhaps written: the manager has not answered."""
        self.steps = 0
        self.lowest, self.highest = math.inf, -math.inf
        """The range of the objective; both are infinite where the manager has no value of it."""

    def inherit(self, rows: Iterable[MetricRow]) -> None:
        """Adds the rows that earlier pods have reported, by time."""
        for row in rows:
            self._count(row)
            self._forget()

    def missing(self, rows: Iterable[MetricRow]) -> list[MetricRow]:
        """Returns the rows that the manager lacks, each once. Raises AWAY where it is asked and does not answer."""
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
        """Reports rows that are missing. Raises AWAY, although the rows may have been written."""
        self._unsure = frozenset(rows)
        self._logs.report(self._trial, rows)
        self._unsure = frozenset()
        for row in rows:
            self._count(row)

    def _ask(self, times: set[str]) -> None:
        first, last = (datetime.fromisoformat(choose(times)) for choose in (min, max))
        stored = [plain(row) for row in self._logs.read(self._trial, first, last) if row.time in times]
        for row in stored:
            if row in self._unsure:
                self._count(row)
            self._keep(row)
        self._unsure = frozenset()

    def _count(self, row: MetricRow) -> None:
        """Counts a row that the manager has, unless it is in the cache and so was counted before."""
        if hash(row) in self._hashes:
            return
        if row.name == self._objective:
            self.steps += _step(row) not in self._hashes
            if (value := rankable(row.value)) is not None:
                self.lowest, self.highest = min(value, self.lowest), max(value, self.highest)
        self._keep(row)

    def _keep(self, row: MetricRow) -> None:
        self._hashes[hash(row)] = row.time
        if row.name == self._objective:
            self._hashes[_step(row)] = row.time

    def _forget(self) -> None:
        """Drops the older half of the cache once it is full."""
        if len(self._hashes) > MOST_HASHES:
            items = list(self._hashes.items())
            half = len(items) // 2
            self._forgotten = max(self._forgotten, *(time for _, time in items[:half]))
            self._hashes = dict(items[half:])


def plain(row: MetricRow) -> MetricRow:
    """Returns the row with its number as Python writes it."""
    value = rankable(row.value)
    return row if value is None else row._replace(value=repr(value))


def _step(row: MetricRow) -> int:
    return hash((row.name, row.time))
