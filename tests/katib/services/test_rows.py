"""A trial's rows reach the DB manager once each, whatever is lost or repeated, and only the newest are kept."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katib.services import observations
from katib.services.collector import report, stored_rows
from katib.services.collector.report import Reporter
from katib.services.observations import FIRST, LAST, MetricRow, ObservationLogs, timestamp
from tests.katib.services.rig import METRIC, START, DbManager


class Lossy:
    """Rows in a list; of each report what `losses` says: done, refused, or written without an answer."""

    def __init__(self, losses: Iterable[str]) -> None:
        self.rows: list[MetricRow] = []
        self.losses = iter(losses)

    def read(self, trial: str, start: datetime = FIRST, end: datetime = LAST) -> Iterator[MetricRow]:
        if next(self.losses, "done") != "done":
            raise grpc.RpcError
        return (row for row in sorted(self.rows, key=_time) if timestamp(start) <= row.time <= timestamp(end))

    def report(self, trial: str, rows: Sequence[MetricRow]) -> None:
        loss = next(self.losses, "done")
        if loss != "refused":
            self.rows += rows
        if loss != "done":
            raise grpc.RpcError


def _time(row: MetricRow) -> str:
    return row.time


LINES = st.lists(st.tuples(st.sampled_from([METRIC, "loss"]), st.integers(0, 30), st.integers(0, 1)), max_size=60)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=4), st.lists(st.sampled_from(["done", "refused", "unanswered"])))
def test_each_row_that_any_pod_printed_is_there_once(pods: list[list[tuple[str, int, int]]], losses: list[str]) -> None:
    """Against the set of what was printed, in any order.

    With so few rows kept and sent at once that all paths are taken.
    """
    logs = Lossy(losses)
    printed: set[MetricRow] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_rows, "MOST_HASHES", 6)
        patch.setattr(report, "MOST_ROWS", 3)
        patch.setattr(report, "LONGEST_PAUSE", 0.0)
        for lines in pods:
            reporter = Reporter(logs, "t", METRIC)
            for name, minute, value in lines:
                at = START + timedelta(minutes=minute)
                reporter.add(name, float(value), at)
                printed.add(MetricRow(name, timestamp(at), repr(float(value))))
                reporter.flush()
            while not reporter.done:
                reporter.flush()
            own = [row for row in printed if row.name == METRIC]
            assert reporter.steps == len({row.time for row in own})
            if own:
                values = [float(row.value) for row in own]
                assert reporter.range == (min(values), max(values))
    assert sorted(logs.rows) == sorted(printed)


def test_a_history_longer_than_a_message_is_resumed(db: DbManager) -> None:
    """70 000 rows are more than gRPC takes at once; the trainer repeats the last ones and continues."""
    begin = datetime.now(UTC) - timedelta(seconds=70_000)
    times = [begin + timedelta(seconds=step) for step in range(70_005)]
    db.rows["t"] = [(timestamp(times[step]), METRIC, str(float(step))) for step in range(70_000)]
    reporter = Reporter(ObservationLogs(db.address), "t", METRIC)
    for step in range(69_000, 70_005):
        reporter.add(METRIC, float(step), times[step])
    reporter.flush()
    assert reporter.done
    assert (reporter.inherited, reporter.steps, reporter.range) == (70_000, 70_005, (0.0, 70_004.0))
    assert db.values("t") == [str(float(step)) for step in range(70_005)]
    assert len(reporter._stored._hashes) <= stored_rows.MOST_HASHES + 2 * 1_005


def test_long_answers_are_read_in_parts(db: DbManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row once and by time, those of one instant together, as by one answer; and the curves of it."""
    monkeypatch.setattr(observations, "PAGE_BYTES", 2_000)
    db.put("t", [float(step) for step in range(1, 501)])
    db.rows["t"] += [("0001-01-01T00:00:00.000000Z", METRIC, "7"), *((db.rows["t"][9][0], "loss", "1"),) * 5]
    logs = ObservationLogs(db.address)
    assert [row.time for row in logs.read("t")] == sorted(time for time, *_ in db.rows["t"])
    assert logs.curves(["t", "none"], METRIC) == {"t": (7.0, *map(float, range(1, 501))), "none": ()}
    noon = datetime(2026, 11, 24, 12, tzinfo=UTC)
    found = list(logs.read("t", noon, noon + timedelta(minutes=3)))
    assert [float(row.value) for row in found] == [150, 151, 152, 153]
