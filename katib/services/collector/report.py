"""Reports a trial's rows to the DB manager in batches, retries until each is stored, and sends none twice.

The manager adds whatever it is sent. So its rows are read before the first report, the rows in question are read again
after a failure (which may have come after they were written), and only missing rows are sent. A trial that a new pod
resumes prints its history again: a line with a timestamp is recognised by it. Lines without one get the time at which
they were read, and count as a repetition as long as they repeat the values that an earlier pod reported, one by one.
"""

import logging
import math
import time
from array import array
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from katib.metrics import rankable
from katib.services.collector.stored_rows import Logs, StoredRows, plain
from katib.services.observations import AWAY, MetricRow, reason, timestamp

MOST_ROWS = 1_000
"""The rows of one report: MySQL takes 16 383 (four placeholders per row, 65 535 per statement), gRPC 4 MB."""
MOST_WAITING = 5_000
"""The rows that wait in memory; the rest waits in the trainer's output."""
LONGEST_PAUSE = 30.0
"""The most seconds between two tries."""
NO_VALUE = ("0001-01-01T00:00:00.000000Z", "unavailable")
"""Time and value of the row that tells Katib that a trial printed no objective (file-metricscollector.go)."""

log = logging.getLogger("collector")


class Reporter:
    """Reports the rows of one trial."""

    def __init__(self, logs: Logs, trial: str, objective: str) -> None:
        self._logs = logs
        self._trial = trial
        self._objective = objective
        self._stored = StoredRows(logs, trial, objective)
        self._new: deque[tuple[MetricRow, bool]] = deque()
        """The rows as they were printed, each with whether the trainer printed its time."""
        self._waiting: deque[MetricRow] = deque()
        """The rows to be sent, without repetitions of an earlier pod's."""
        self.inherited: int | None = None
        """The steps of the objective that earlier pods have reported; None until the manager was asked."""
        self._earlier: dict[str, Iterator[float]] = {}
        """The values of earlier pods by metric that were not yet repeated in lines without a time."""
        self._last = datetime.min.replace(tzinfo=UTC)
        self._pause = 0.0
        self._again = 0.0

    def add(self, name: str, value: float | str, printed: datetime | None) -> None:
        """Adds a row, with a number or another text.

        Where no time was `printed`, the row gets the current one, later than any such row before.
        """
        try:
            stamp = timestamp(printed) if printed else ""
        except OverflowError:
            # The first hours of the year 1, in a zone east of Greenwich.
            stamp = ""
        if not stamp:
            self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        text = value if isinstance(value, str) else repr(value)
        self._new.append((MetricRow(name, stamp or timestamp(self._last), text), bool(stamp)))

    def add_unavailable(self, name: str) -> None:
        """Adds the row that says that the trial has ended without a value of `name`."""
        self._new.append((MetricRow(name, *NO_VALUE), True))

    @property
    def full(self) -> bool:
        """Whether as many rows wait as are allowed."""
        return len(self._new) + len(self._waiting) >= MOST_WAITING

    @property
    def done(self) -> bool:
        """Whether the manager has every row, and its rows of earlier pods were read."""
        return self.inherited is not None and not self._new and not self._waiting

    @property
    def steps(self) -> int:
        """The steps of the objective that the manager has, those of earlier pods included."""
        return self._stored.steps

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value of the objective; inf and -inf where the manager has none."""
        return self._stored.lowest, self._stored.highest

    def flush(self) -> None:
        """Sends the waiting rows, unless the last failure was too recent. Never raises."""
        if self.done or time.monotonic() < self._again:
            return
        try:
            self._send()
        except AWAY as error:
            if not self._pause:
                log.warning("the DB manager does not answer (%s); rows are kept and sent again", reason(error))
            self._pause = min(LONGEST_PAUSE, 2 * self._pause or 1.0)
            self._again = time.monotonic() + self._pause
        else:
            if self._pause:
                log.warning("the DB manager is back; nothing is lost")
            self._pause = 0.0

    def _send(self) -> None:
        if self.inherited is None:
            self._inherit()
        while self._new:
            row, stamped = self._new.popleft()
            if stamped or not self._repeats(row):
                self._waiting.append(row)
        while self._waiting:
            batch = [self._waiting[index] for index in range(min(MOST_ROWS, len(self._waiting)))]
            if rows := self._stored.missing(batch):
                self._stored.send(rows)
            for _ in batch:
                self._waiting.popleft()

    def _inherit(self) -> None:
        """Reads the rows that earlier pods have reported."""
        stored = StoredRows(self._logs, self._trial, self._objective)
        values: dict[str, array[float]] = {}

        def rows() -> Iterator[MetricRow]:
            for row in map(plain, self._logs.read(self._trial)):
                value = rankable(row.value)
                values.setdefault(row.name, array("d")).append(math.nan if value is None else value)
                yield row

        stored.inherit(rows())
        self._stored, self.inherited = stored, stored.steps
        self._earlier = {name: iter(curve) for name, curve in values.items()}

    def _repeats(self, row: MetricRow) -> bool:
        """Returns whether an earlier pod reported this value next; the first other value ends the repetition."""
        value, earlier = rankable(row.value), self._earlier.get(row.name)
        if value is not None and earlier and next(earlier, None) == value:
            return True
        self._earlier.pop(row.name, None)
        return False
