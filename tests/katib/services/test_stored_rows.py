"""The collector's cache of the rows that the DB manager has: what is asked, counted and remembered."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import grpc
import pytest

from katib.metrics import rankable
from katib.services.collector import stored_rows
from katib.services.collector.stored_rows import StoredRows, plain
from katib.services.observations import FIRST, LAST, MetricRow, timestamp
from tests.katib.services.rig import METRIC, START


class Manager:
    """Keeps rows as MySQL's table does; `away` calls are not answered, and those of `lost` are done all the same."""

    def __init__(self) -> None:
        self.rows: list[MetricRow] = []
        self.asked: list[tuple[str, str]] = []
        self.away = self.lost = 0

    def read(self, trial: str, start: datetime = FIRST, end: datetime = LAST) -> list[MetricRow]:
        assert trial == "t"
        if self.away:
            self.away -= 1
            raise grpc.RpcError
        self.asked.append((timestamp(start), timestamp(end)))
        return [row for row in self.rows if timestamp(start) <= row.time <= timestamp(end)]

    def report(self, trial: str, rows: Sequence[MetricRow]) -> None:
        assert trial == "t"
        if self.away:
            self.away -= 1
            raise grpc.RpcError
        self.rows += rows
        if self.lost:
            self.lost -= 1
            raise grpc.RpcError


def row(minute: int, value: float | str, name: str = METRIC) -> MetricRow:
    return MetricRow(
        name,
        timestamp(START + timedelta(minutes=minute)),
        value if isinstance(value, str) else repr(float(value)),
    )


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
def rows(manager: Manager) -> StoredRows:
    return StoredRows(manager, "t", METRIC)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of the objective are remembered: four hashes."""
    monkeypatch.setattr(stored_rows, "MOST_HASHES", 4)


def test_new_rows_are_missing_once_each_and_nobody_is_asked(manager: Manager, rows: StoredRows) -> None:
    """In the order in which they were printed."""
    assert rows.missing([row(2, 1.0), row(1, 1.0), row(2, 1.0)]) == [row(2, 1.0), row(1, 1.0)]
    rows.send([row(2, 1.0)])
    assert rows.missing([row(2, 1.0), row(1, 1.0)]) == [row(1, 1.0)]
    assert manager.asked == []


@pytest.mark.parametrize("written", ["1.50", "15e-1", "+1.5", "1.5"])
def test_a_number_is_the_same_however_the_manager_writes_it(written: str, manager: Manager, rows: StoredRows) -> None:
    """Its answer to the report was lost, and it gives 1.50 for 1.5: the row is there, and is counted once."""
    manager.lost = 1
    with pytest.raises(grpc.RpcError):
        rows.send([row(1, 1.5)])
    manager.rows = [row(1, written)]
    assert rows.missing([row(1, 1.5), row(2, 2.0)]) == [row(2, 2.0)]
    assert (rows.steps, rows.lowest, rows.highest) == (1, 1.5, 1.5)
    assert plain(row(1, written)) == row(1, "1.5")
    assert plain(row(1, "a genotype")) == row(1, "a genotype")


def test_a_report_that_was_refused_is_asked_about_and_sent_again(manager: Manager, rows: StoredRows) -> None:
    """The question covers the rows in doubt and nothing else; what was counted stays what it was."""
    rows.send([row(1, 1.0)])
    manager.away = 2
    with pytest.raises(grpc.RpcError):
        rows.send([row(2, 2.0), row(4, 4.0)])
    with pytest.raises(grpc.RpcError):
        rows.missing([row(2, 2.0), row(4, 4.0)])
    assert rows.missing([row(2, 2.0), row(4, 4.0), row(9, 9.0)]) == [row(2, 2.0), row(4, 4.0), row(9, 9.0)]
    assert manager.asked == [(row(2, 0).time, row(4, 0).time)]
    assert (rows.steps, rows.highest) == (1, 1.0)
    rows.missing([row(2, 2.0)])
    assert len(manager.asked) == 1


def test_a_report_that_was_half_written_is_sent_by_half(manager: Manager, rows: StoredRows) -> None:
    """What is there, though it lies between, is not sent again; a foreign row between the two is none of ours."""
    manager.lost = 1
    with pytest.raises(grpc.RpcError):
        rows.send([row(1, 1.0), row(2, 2.0), row(3, 3.0)])
    manager.rows = [row(1, 1.0), row(3, 3.0), row(2, 7.0, "loss")]
    assert rows.missing([row(1, 1.0), row(2, 2.0), row(3, 3.0)]) == [row(2, 2.0)]
    assert (rows.steps, rows.lowest, rows.highest) == (2, 1.0, 3.0)
    rows.send([row(2, 2.0)])
    assert (rows.steps, rows.lowest, rows.highest) == (3, 1.0, 3.0)


def test_steps_are_the_times_of_the_objective(rows: StoredRows) -> None:
    """Two values of one time are one step, as for the stop rules; another metric, and a text, have no rank."""
    assert (rows.steps, rows.lowest, rows.highest) == (0, float("inf"), float("-inf"))
    rows.send([row(1, 2.0), row(1, 3.0), row(1, -9.0, "loss"), row(2, "nan"), row(3, "best so far"), row(4, 1.0)])
    assert (rows.steps, rows.lowest, rows.highest) == (4, 1.0, 3.0)
    rows.inherit([row(1, 2.0), row(5, 4.0)])
    assert (rows.steps, rows.lowest, rows.highest) == (5, 1.0, 4.0)


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "", "two", "1_000", " 1", "１"])
def test_what_katib_cannot_rank_is_no_number(text: str) -> None:
    """Nothing can be ranked by the first three.

    The others are no number for Go (strconv.ParseFloat), as for Python are the last three.
    """
    assert rankable(text) is None


def test_a_text_that_python_alone_takes_for_a_number_is_sent_once(manager: Manager, rows: StoredRows) -> None:
    """Its answer was lost; it is a text for Katib, and counts as no value."""
    manager.lost = 1
    with pytest.raises(grpc.RpcError):
        rows.send([row(1, "1_000")])
    assert rows.missing([row(1, "1_000")]) == []
    assert (rows.steps, rows.lowest) == (1, float("inf"))


def test_rows_of_an_earlier_pod_are_stored(manager: Manager, rows: StoredRows) -> None:
    rows.inherit([row(1, 1.0), row(2, 2.0)])
    assert rows.missing([row(1, 1.0), row(2, 2.0), row(3, 3.0)]) == [row(3, 3.0)]
    assert manager.asked == []


@pytest.mark.usefixtures("few")
def test_what_was_forgotten_is_asked_about_and_what_is_newer_is_not(manager: Manager, rows: StoredRows) -> None:
    """After six steps the newest are known; of an old one the manager is asked, once; a lie about its value is new."""
    for minute in range(1, 7):
        assert rows.missing([row(minute, minute)])
        rows.send([row(minute, minute)])
    assert manager.asked == []
    assert rows.missing([row(6, 6), row(7, 7)]) == [row(7, 7)]
    assert manager.asked == []
    assert rows.missing([row(1, 1), row(2, 99)]) == [row(2, 99)]
    assert manager.asked == [(row(1, 0).time, row(2, 0).time)]
    assert (rows.steps, rows.highest) == (6, 6)


@pytest.mark.usefixtures("few")
def test_a_new_row_between_rows_that_are_known_needs_no_question(manager: Manager, rows: StoredRows) -> None:
    """It is later than all that was forgotten."""
    for minute in range(10, 70, 10):
        rows.missing([row(minute, minute)])
        rows.send([row(minute, minute)])
    assert rows.missing([row(55, 5)]) == [row(55, 5)]
    assert manager.asked == []


@pytest.mark.usefixtures("few")
def test_a_row_of_the_very_time_that_was_forgotten_last_is_asked_about(manager: Manager, rows: StoredRows) -> None:
    rows.send([row(minute, minute) for minute in (1, 2, 3)])
    assert rows.missing([row(1, 1)]) == []
    assert manager.asked == [(row(1, 0).time, row(1, 0).time)]
    assert rows.steps == 3


@pytest.mark.usefixtures("few")
def test_what_lies_between_two_old_rows_is_not_remembered(manager: Manager, rows: StoredRows) -> None:
    """A trainer that prints the first and the last of a hundred rows again has the manager send all of them."""
    manager.rows = [row(minute, minute) for minute in range(100)]
    rows.inherit(manager.rows)
    assert rows.missing([row(0, 0), row(99, 99)]) == []
    assert rows.missing([row(0, 0), row(97, 97)]) == []
    assert len(rows._hashes) <= 4 + 4
    assert rows.steps == 100


@pytest.mark.usefixtures("few")
def test_what_was_forgotten_stays_forgotten_when_times_go_backwards(manager: Manager, rows: StoredRows) -> None:
    """A clock that was set back: the newest time that was forgotten counts, not the last one."""
    rows.send([row(9, 9), row(8, 8), row(7, 7)])
    rows.missing([])
    rows.send([row(1, 1), row(2, 2), row(3, 3)])
    rows.missing([])
    assert rows.missing([row(9, 9)]) == []
    assert manager.asked == [(row(9, 0).time, row(9, 0).time)]


@pytest.mark.parametrize("inherited", [False, True])
def test_memory_is_bounded_however_long_the_trial_is(
    inherited: bool, rows: StoredRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 000 rows, where 100 hashes are kept: never more than those and one batch's.

    The last row is known, the number of steps and the range are of all.
    """
    monkeypatch.setattr(stored_rows, "MOST_HASHES", 100)
    batches = [[row(10 * step + place, step) for place in range(10)] for step in range(500)]
    if inherited:
        rows.inherit(one for batch in batches for one in batch)
        assert len(rows._hashes) <= 100
    else:
        for batch in batches:
            assert len(rows.missing(batch)) == 10
            assert len(rows._hashes) <= 100
            rows.send(batch)
            assert len(rows._hashes) <= 100 + 2 * 10
    assert len(rows._hashes) >= 50
    assert rows.missing(batches[-1][-1:]) == []
    assert (rows.steps, rows.lowest, rows.highest) == (5000, 0, 499)
