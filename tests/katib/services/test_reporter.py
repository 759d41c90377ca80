"""The way of rows to the DB manager: their times, their batches, and how long the collector waits after a failure.

The clock is the test's own, so that nothing here takes time.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import grpc
import pytest

from katib.services.collector import report
from katib.services.collector.report import Reporter
from katib.services.observations import FIRST, LAST, MetricRow, timestamp
from tests.katib.services.rig import METRIC, START

AT = [START + timedelta(minutes=minute) for minute in range(10)]


class Manager:
    """Keeps rows; while it is `away` no call is answered. `batches` are the reports that came."""

    def __init__(self, *rows: MetricRow) -> None:
        self.rows, self.batches = list(rows), list[int]()
        self.away = False
        self.calls = 0

    def read(self, trial: str, start: datetime = FIRST, end: datetime = LAST) -> list[MetricRow]:
        self._call(trial)
        return [row for row in self.rows if timestamp(start) <= row.time <= timestamp(end)]

    def report(self, trial: str, rows: Sequence[MetricRow]) -> None:
        self._call(trial)
        self.rows += rows
        self.batches.append(len(rows))

    def _call(self, trial: str) -> None:
        assert trial == "t"
        self.calls += 1
        if self.away:
            raise grpc.RpcError("away")

    def values(self, name: str = METRIC) -> list[str]:
        return [row.value for row in self.rows if row.name == name]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of the monotonic clock, as the only element."""
    seconds = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])
    return seconds


def test_a_row_is_what_was_printed() -> None:
    """A number as Python writes it, a text as it is, the time in UTC to the microsecond."""
    manager = Manager()
    reporter = Reporter(manager, "t", METRIC)
    reporter.add(METRIC, 5.0, datetime(2026, 11, 24, 10, 30, 0, 7, timezone(timedelta(hours=1))))
    reporter.add("genotype", "3x3", AT[1])
    assert not reporter.done
    reporter.flush()
    assert reporter.done
    assert manager.rows == [
        MetricRow(METRIC, "2026-11-24T09:30:00.000007Z", "5.0"),
        MetricRow("genotype", "2026-11-24T09:31:00.000000Z", "3x3"),
    ]
    assert (reporter.steps, reporter.range, reporter.inherited) == (1, (5.0, 5.0), 0)


@pytest.mark.parametrize("printed", [None, datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))])
def test_a_row_without_a_time_gets_one_of_its_own(printed: datetime | None) -> None:
    """That of now, each later than the one before, so that each is a step.

    An instant that UTC has no date for is none.
    """
    manager = Manager()
    reporter = Reporter(manager, "t", METRIC)
    before = timestamp(datetime.now(UTC))
    for _ in range(200):
        reporter.add(METRIC, 1.0, printed)
    reporter.flush()
    times = [row.time for row in manager.rows]
    assert times == sorted(set(times))
    assert len(times) == reporter.steps == 200
    assert before <= times[0]
    assert times[-1] <= timestamp(datetime.now(UTC) + timedelta(milliseconds=1))


def test_a_clock_that_was_set_back_makes_no_row_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        nows = iter([AT[5], AT[2], AT[2]])

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return next(cls.nows)

    monkeypatch.setattr(report, "datetime", Clock)
    manager = Manager()
    reporter = Reporter(manager, "t", METRIC)
    for _ in range(3):
        reporter.add(METRIC, 1.0, None)
    reporter.flush()
    assert [row.time for row in manager.rows] == [
        f"2026-11-24T09:35:00.00000{microseconds}Z" for microseconds in range(3)
    ]


def test_a_trial_without_an_objective_is_unavailable() -> None:
    """By the row of Katib's own collector (file-metricscollector.go: UnavailableMetricValue at the zero time of Go)."""
    manager = Manager()
    reporter = Reporter(manager, "t", METRIC)
    reporter.add_unavailable(METRIC)
    reporter.flush()
    assert manager.rows == [MetricRow(METRIC, "0001-01-01T00:00:00.000000Z", "unavailable")]


def test_rows_go_in_batches_that_mysql_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven rows in threes; the default is under the 65 535 placeholders of a MySQL statement, four to a row."""
    assert 4 * report.MOST_ROWS < 65_535
    monkeypatch.setattr(report, "MOST_ROWS", 3)
    manager = Manager()
    reporter = Reporter(manager, "t", METRIC)
    for step in range(7):
        reporter.add(METRIC, float(step), AT[step])
    reporter.flush()
    assert manager.batches == [3, 3, 1]
    assert manager.values() == [f"{step}.0" for step in range(7)]
    reporter.add(METRIC, 6.0, AT[6])
    reporter.flush()
    assert manager.batches == [3, 3, 1]
    assert reporter.done


@pytest.mark.usefixtures("clock")
def test_it_is_full_with_so_many_rows_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were looked at and those that were not count alike."""
    monkeypatch.setattr(report, "MOST_WAITING", 3)
    manager = Manager()
    reporter = Reporter(manager, "t", METRIC)
    reporter.flush()
    reporter.add(METRIC, 0.0, AT[0])
    reporter.add(METRIC, 1.0, AT[1])
    manager.away = True
    reporter.flush()
    reporter.flush()
    assert not reporter.full
    reporter.add(METRIC, 2.0, AT[2])
    assert reporter.full


def test_a_new_trial_without_rows_is_done_only_when_the_manager_was_asked() -> None:
    """An earlier pod's rows are not known before."""
    reporter = Reporter(Manager(), "t", METRIC)
    assert not reporter.done
    assert reporter.inherited is None
    assert (reporter.steps, reporter.range) == (0, (float("inf"), float("-inf")))
    reporter.flush()
    assert reporter.done
    assert reporter.inherited == 0


def test_a_manager_that_is_away_is_asked_again_after_longer_and_longer_pauses(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """1, 2, 4, 8, 16 and then every 30 s: counted by the calls that come in 200 s of a clock in quarters of a second.

    It is said once that it is away, and once that it is back.
    """
    caplog.set_level(logging.INFO)
    manager = Manager()
    manager.away = True
    reporter = Reporter(manager, "t", METRIC)
    reporter.add(METRIC, 1.0, AT[1])
    calls = []
    for _ in range(800):
        before = manager.calls
        reporter.flush()
        if manager.calls > before:
            calls.append(clock[0] - 1000)
        clock[0] += 0.25
    assert calls == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]
    manager.away = False
    clock[0] += 30
    reporter.flush()
    assert reporter.done
    assert [record.message for record in caplog.records] == [
        "the DB manager does not answer (away); rows are kept and sent again",
        "the DB manager is back; nothing is lost",
    ]
    manager.away = True
    reporter.add(METRIC, 2.0, AT[2])
    reporter.flush()
    clock[0] += 1
    manager.away = False
    reporter.flush()
    assert manager.values() == ["1.0", "2.0"]
    assert len(caplog.records) == 4


def test_rows_of_an_earlier_pod_are_not_sent_again_and_count() -> None:
    """Three steps of it, printed again with their times; the manager writes 1.50 for 1.5."""
    earlier = [MetricRow(METRIC, timestamp(AT[step]), text) for step, text in enumerate(("1.50", "-2", "0.5"))]
    manager = Manager(*earlier, MetricRow("loss", timestamp(AT[0]), "7"))
    reporter = Reporter(manager, "t", METRIC)
    for step, value in enumerate((1.5, -2.0, 0.5, 3.0)):
        reporter.add(METRIC, value, AT[step])
    reporter.add("loss", 7.0, AT[0])
    reporter.flush()
    assert manager.batches == [1]
    assert manager.values()[3:] == ["3.0"]
    assert (reporter.inherited, reporter.steps, reporter.range) == (3, 4, (-2.0, 3.0))


def test_lines_without_a_time_repeat_an_earlier_pod_value_by_value() -> None:
    """The first other value ends the repetition for its metric, though later ones are as before.

    A text, and a value more than there were, are new.
    """
    rows = [MetricRow(METRIC, timestamp(AT[step]), text) for step, text in enumerate(("1.0", "2.0", "3.0"))]
    rows += [MetricRow("loss", timestamp(AT[step]), text) for step, text in enumerate(("9.0", "unavailable"))]
    manager = Manager(*rows)
    reporter = Reporter(manager, "t", METRIC)
    for value in (1.0, 2.5, 3.0):
        reporter.add(METRIC, value, None)
    for text in (9.0, "unavailable", 9.0):
        reporter.add("loss", text, None)
    reporter.add("other", 1.0, None)
    reporter.flush()
    assert manager.values()[3:] == ["2.5", "3.0"]
    assert manager.values("loss")[2:] == ["unavailable", "9.0"]
    assert manager.values("other") == ["1.0"]


def test_a_whole_repetition_adds_nothing_and_what_follows_is_new() -> None:
    manager = Manager(*(MetricRow(METRIC, timestamp(AT[step]), f"{step}.0") for step in range(3)))
    reporter = Reporter(manager, "t", METRIC)
    for value in (0.0, 1.0, 2.0, 2.0, 0.0):
        reporter.add(METRIC, value, None)
    reporter.flush()
    assert manager.values()[3:] == ["2.0", "0.0"]
    assert reporter.steps == 5
