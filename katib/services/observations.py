"""Reads and writes Katib's store of metrics, the DB manager, over gRPC: the rows that each trial has reported."""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import grpc

from katib.search.history import curve
from katib.services.stubs import Message, pb, rpc

MOST_ROWS = 20_000
"""The rows of a trial's curve that are read: anybody in the cluster can report rows, and they fill this process's
memory."""
TIMEOUT = 10.0
"""Seconds to wait for an answer."""
AT_ONCE = 16
"""The requests that are sent at once; each may be answered with PAGE_BYTES."""
PAGE_BYTES = 1 << 18
"""The size of one answer, some 4 000 rows: longer ones are requested in parts, so that memory does not grow with a
trial's rows."""
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
TICK = timedelta(microseconds=1)
"""The finest time that Katib's database keeps (mysql.go)."""
AWAY = grpc.RpcError
"""The error of a request that the DB manager did not answer."""


class MetricRow(NamedTuple):
    """One value of a metric; `time` is in RFC 3339 as `timestamp` writes it, `value` the text of a number."""

    name: str
    time: str
    value: str


def timestamp(instant: datetime) -> str:
    """Returns an instant in UTC, to the microsecond, in RFC 3339.

    Raises OverflowError for the first and the last hours of the calendar, which another zone has and UTC has not.
    """
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


class ObservationLogs:
    """The DB manager at one address, `host:port`. Each call raises AWAY where it does not answer in time."""

    def __init__(self, address: str) -> None:
        # By default gRPC waits up to two minutes between two tries; a manager that is back shall be noticed at once.
        options = [("grpc.max_reconnect_backoff_ms", 5_000), ("grpc.max_receive_message_length", PAGE_BYTES)]
        self._channel = grpc.insecure_channel(address, options=options)
        self._manager = rpc.DBManagerStub(self._channel)

    def report(self, trial: str, rows: Sequence[MetricRow]) -> None:
        """Adds rows, at least one; the manager accepts duplicates."""
        logs = [pb.MetricLog(time_stamp=row.time, metric=pb.Metric(name=row.name, value=row.value)) for row in rows]
        request = pb.ReportObservationLogRequest(trial_name=trial, observation_log=pb.ObservationLog(metric_logs=logs))
        self._manager.ReportObservationLog(request, timeout=TIMEOUT)

    def read(self, trial: str, start: datetime = FIRST, end: datetime = LAST, metric: str = "") -> Iterator[MetricRow]:
        """Yields the rows of a trial from `start` to `end`, both included, by time; `metric` "" means all metrics."""
        try:
            answer = self._ask(trial, metric, start, end).result()
        except AWAY as error:
            if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED or start == end:
                raise
            middle = _middle(start, end)
            yield from self.read(trial, start, middle, metric)
            yield from self.read(trial, middle + TICK, end, metric)
            return
        for log in answer.observation_log.metric_logs:
            yield MetricRow(log.metric.name, _normal(log.time_stamp), log.metric.value)

    def read_all(self, trials: Iterable[str]) -> Iterator[tuple[str, list[MetricRow]]]:
        """Yields each of `trials` with all of its rows, by time."""
        for name, rows in self._rows(trials):
            yield name, [row._replace(time=_normal(row.time)) for row in rows]

    def curves(self, trials: Iterable[str], metric: str, most: int = MOST_ROWS) -> dict[str, tuple[float, ...]]:
        """Returns the values of a metric by step for each of `trials`, from its first `most` rows.

        The values are empty for a trial that has reported none.
        """
        most = min(most, MOST_ROWS)
        return {
            name: curve((row.time, row.value) for row in islice(rows, most))
            for name, rows in self._rows(trials, metric)
        }

    def _rows(self, trials: Iterable[str], metric: str = "") -> Iterator[tuple[str, Iterable[MetricRow]]]:
        """Yields each of `trials` with its rows; only those of `metric` where it is named."""
        names = list(trials)
        for start in range(0, len(names), AT_ONCE):
            answers = {name: self._ask(name, metric) for name in names[start : start + AT_ONCE]}
            for name, answer in answers.items():
                try:
                    logs = answer.result().observation_log.metric_logs
                    yield name, (MetricRow(log.metric.name, log.time_stamp, log.metric.value) for log in logs)
                except AWAY as error:
                    if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                        raise
                    yield name, self.read(name, metric=metric)

    def _ask(self, trial: str, metric: str = "", start: datetime = FIRST, end: datetime = LAST) -> Message:
        """Returns the manager's answer, as a future."""
        request = pb.GetObservationLogRequest(
            trial_name=trial,
            metric_name=metric,
            start_time="" if start == FIRST else timestamp(start),
            end_time="" if end == LAST else timestamp(end),
        )
        return self._manager.GetObservationLog.future(request, timeout=TIMEOUT)

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()


@lru_cache(maxsize=4)
def observation_logs(address: str) -> ObservationLogs:
    """Returns the manager at an address that Katib has named.

    Katib has one manager; the cache is small, so that strangers' requests open only a few connections.
    """
    return ObservationLogs(address)


def reason(error: grpc.RpcError) -> str:
    """Returns why a call failed, for a message."""
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    return f"{code().name}: {' '.join((details() or '').split())}"[:200] if code and details else str(error)


def _middle(start: datetime, end: datetime) -> datetime:
    """Returns an instant between the two, at the geometric mean of their ages: most rows are of the last hours."""
    now = datetime.now(UTC)
    ages = (max(1.0, (now - instant).total_seconds()) for instant in (start, end))
    middle = now - timedelta(seconds=math.sqrt(math.prod(ages)))
    return middle if start < middle < end else start + (end - start) // 2


def _normal(time: str) -> str:
    """Returns a time with all digits of its fraction: the manager omits zeros at its end."""
    try:
        return timestamp(datetime.fromisoformat(time))
    except (ValueError, OverflowError):
        return time
