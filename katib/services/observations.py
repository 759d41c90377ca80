"""Katib's store of metrics, over gRPC: the rows that each trial has reported. Called by all three services."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import grpc

from katib.search.history import curve
from katib.services.stubs import pb, rpc

TIMEOUT = 10.0
"""Seconds for an answer."""

AT_ONCE = 50
"""Questions under way at once."""

AWAY = grpc.RpcError
"""What a question raises that the DB manager did not answer."""


class Row(NamedTuple):
    """A value of a metric; `time` is in RFC 3339 as `timestamp` writes it, `value` the text of a number."""

    name: str
    time: str
    value: str


def timestamp(instant: datetime) -> str:
    """The one form of an instant here: UTC, to the microsecond, which is what Katib's database keeps (mysql.go).

    Raises OverflowError for the first and the last hours of the calendar, which another zone has and UTC has not.
    """
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


class ObservationLogs:
    """The DB manager at one address, `host:port`. Each call raises AWAY where it does not answer in time."""

    def __init__(self, address: str) -> None:
        # A manager that comes back is found at once: gRPC would wait up to two minutes between two tries.
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_reconnect_backoff_ms", 5_000)])
        self._manager = rpc.DBManagerStub(self._channel)

    def report(self, trial: str, rows: Sequence[Row]) -> None:
        """Adds rows; the manager looks for no doubles, and fails on none at all."""
        logs = [
            pb.MetricLog(time_stamp=row.time, metric=pb.Metric(name=row.name, value=row.value))
            for row in rows
        ]
        request = pb.ReportObservationLogRequest(
            trial_name=trial, observation_log=pb.ObservationLog(metric_logs=logs)
        )
        self._manager.ReportObservationLog(request, timeout=TIMEOUT)

    def read(self, trial: str) -> list[Row]:
        """All rows of a trial, by time."""
        return dict(self.read_all([trial]))[trial]

    def read_all(self, trials: Iterable[str]) -> Iterator[tuple[str, list[Row]]]:
        """Each of `trials` with all of its rows, by time."""
        for name, logs in self._logs(trials):
            yield name, [Row(log.metric.name, _normal(log.time_stamp), log.metric.value) for log in logs]

    def curves(self, trials: Iterable[str], metric: str) -> dict[str, tuple[float, ...]]:
        """The values of a metric a step, for each of `trials`; empty for one that has reported none."""
        return {
            name: curve((log.time_stamp, log.metric.value) for log in logs)
            for name, logs in self._logs(trials, metric)
        }

    def _logs(self, trials: Iterable[str], metric: str = "") -> Iterator[tuple[str, Sequence[Any]]]:
        """Each of `trials` with its rows as they are sent, those of `metric` alone where it is named."""
        names = list(trials)
        for start in range(0, len(names), AT_ONCE):
            asked = {
                name: self._manager.GetObservationLog.future(
                    pb.GetObservationLogRequest(trial_name=name, metric_name=metric), timeout=TIMEOUT
                )
                for name in names[start : start + AT_ONCE]
            }
            for name, answer in asked.items():
                yield name, answer.result().observation_log.metric_logs

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()


@lru_cache(maxsize=4)
def observation_logs(address: str) -> ObservationLogs:
    """The manager at an address that Katib has named; Katib has one, and a stranger's request opens no more than a few."""
    return ObservationLogs(address)


def reason(error: grpc.RpcError) -> str:
    """Why a call failed, for a message."""
    code, details = getattr(error, "code", None), getattr(error, "details", None)
    return f"{code().name}: {' '.join((details() or '').split())}"[:200] if code and details else str(error)


def _normal(time: str) -> str:
    """The manager leaves out zeros at the end of a fraction."""
    try:
        return timestamp(datetime.fromisoformat(time))
    except (ValueError, OverflowError):
        return time
