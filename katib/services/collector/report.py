"""The way of a trial's rows to the DB manager: in batches, tried until they are there, none twice. Called by watch.py.

The manager adds whatever it is sent, so before the first row and after every failure (which may have come after the rows
were written) the rows that it has are read, and only those that lack are sent. A trial that a new pod resumes prints its
history again; a line with a timestamp is known by that. Lines without one get the time at which they were read, and count as
a repetition as long as they repeat the values that an earlier pod reported, one by one.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from katib.services.observations import AWAY, Row, reason, timestamp

MOST_ROWS = 1_000
"""Of one report: MySQL takes 16 383 (four placeholders a row, 65 535 a statement), gRPC 4 MB."""
MOST_WAITING = 5_000
"""Rows that wait in memory; the rest waits in the trainer's output."""
LONGEST_PAUSE = 30.0
"""Seconds between two tries."""
NO_VALUE = ("0001-01-01T00:00:00.000000Z", "unavailable")
"""Time and value of the row by which Katib learns that a trial printed no objective (file-metricscollector.go)."""

log = logging.getLogger("collector")


class Logs(Protocol):
    """Where rows go: ObservationLogs."""

    def read(self, trial: str) -> list[Row]:
        """All rows of a trial."""

    def report(self, trial: str, rows: list[Row]) -> None:
        """Adds rows."""


class Reporter:
    """The rows of one trial; those of its objective are also counted, a step a timestamp, as the stop rules do."""

    def __init__(self, logs: Logs, trial: str, objective: str) -> None:
        self._logs = logs
        self._trial = trial
        self._objective = objective
        self._new: deque[tuple[Row, bool]] = deque()
        """Rows as they were printed, each with whether the trainer gave the time."""
        self._waiting: deque[Row] = deque()
        """Those that are no repetition of an earlier pod's."""
        self._known: set[int] = set()
        """Hashes of the rows that the manager has: a thousand take 75 KB, where the rows would take 400."""
        self._in_step = False
        """Whether `_known` is all of them."""
        self._steps: set[int] = set()
        self.lowest, self.highest = math.inf, -math.inf
        """Of the objective; both infinite where the manager has no value of it."""
        self.inherited = 0
        """Steps of the objective that earlier pods have reported."""
        self._earlier: dict[str, deque[str]] | None = None
        self._last = datetime.min.replace(tzinfo=UTC)
        self._pause = 0.0
        self._again = 0.0

    def add(self, name: str, value: float, printed: datetime | None) -> None:
        """A row to be reported. Where no time was printed it gets that of now, later than any such before."""
        try:
            stamp = timestamp(printed) if printed else ""
        except OverflowError:  # the first hours of the year 1, in a zone east of Greenwich
            stamp = ""
        if not stamp:
            self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        self._new.append((Row(name, stamp or timestamp(self._last), repr(value)), bool(stamp)))

    def add_unavailable(self, name: str) -> None:
        """Say that the trial is over and has no value of `name`."""
        self._new.append((Row(name, *NO_VALUE), True))

    @property
    def full(self) -> bool:
        """Whether as many rows wait as may."""
        return len(self._new) + len(self._waiting) >= MOST_WAITING

    @property
    def done(self) -> bool:
        """Whether the manager has every row, and its rows of earlier pods are known."""
        return self._in_step and not self._new and not self._waiting

    @property
    def steps(self) -> int:
        """Steps of the objective that the manager has, those of earlier pods included."""
        return len(self._steps)

    def flush(self) -> bool:
        """Send what waits, unless a failure is too short a time ago; whether anything was sent. Never raises."""
        if self.done or time.monotonic() < self._again:
            return False
        before = len(self._known)
        try:
            self._send()
        except AWAY as error:
            if not self._pause:
                log.warning(
                    "the DB manager does not answer (%s); rows are kept and tried again", reason(error)
                )
            self._pause = min(LONGEST_PAUSE, 2 * self._pause or 1.0)
            self._again = time.monotonic() + self._pause
        else:
            if self._pause:
                log.warning("the DB manager is back; nothing is lost")
            self._pause = 0.0
        return len(self._known) > before

    def _send(self) -> None:
        if not self._in_step:
            self._read()
        while self._new:
            row, stamped = self._new.popleft()
            if stamped or not self._repeats(row):
                self._waiting.append(row)
        while self._waiting:
            batch = [self._waiting[index] for index in range(min(MOST_ROWS, len(self._waiting)))]
            if rows := [row for row in dict.fromkeys(batch) if hash(row) not in self._known]:
                self._in_step = False  # until the manager has answered
                self._logs.report(self._trial, rows)
                self._in_step = True
                self._remember(rows)
            for _ in batch:
                self._waiting.popleft()

    def _read(self) -> None:
        rows = [row._replace(value=_plain(row.value)) for row in self._logs.read(self._trial)]
        self._remember(rows)
        if self._earlier is None:
            self._earlier = {}
            for row in rows:
                self._earlier.setdefault(row.name, deque()).append(row.value)
            self.inherited = self.steps
        self._in_step = True

    def _repeats(self, row: Row) -> bool:
        """Whether the next value that an earlier pod reported is this one; the first that is not ends that."""
        earlier = (self._earlier or {}).get(row.name)
        if earlier and earlier[0] == row.value:
            earlier.popleft()
            return True
        if earlier:
            earlier.clear()
        return False

    def _remember(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._known.add(hash(row))
            if row.name != self._objective:
                continue
            self._steps.add(hash(row.time))
            if (value := _number(row.value)) is not None:
                self.lowest, self.highest = min(value, self.lowest), max(value, self.highest)


def _plain(text: str) -> str:
    """A number as `add` writes it."""
    value = _number(text)
    return text if value is None else repr(value)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
