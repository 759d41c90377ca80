"""The record of a trial's tries: what is written is read back, and sums are those of a plain loop over its spans."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katib.tries import Record, Span, closed, read_record, seconds, span_of

START = datetime(2026, 11, 28, 10, tzinfo=UTC)
moments = st.integers(0, 10**6).map(lambda number: START + timedelta(seconds=number))
spans = st.builds(Span, moments, st.none() | moments)
pods = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,12}[a-z0-9]", fullmatch=True)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def trial(message: str, status: str = "True") -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Running", "status": status, "message": message}]}}


@given(
    st.dictionaries(pods, spans, min_size=1, max_size=6),
    st.none() | st.tuples(st.integers(1, 999), st.floats(-99, 99)),
)
def test_a_record_is_read_back_as_it_was_written(found: dict[str, Span], progress: tuple[int, float] | None) -> None:
    """The value of the last epoch to six digits."""
    record = Record(found, *(progress or ()))
    back = read_record(trial(str(record), "False"))
    assert dict(back.spans) == found
    assert back.epochs == record.epochs
    assert back.last == (None if record.last is None else pytest.approx(record.last, rel=1e-5, abs=1e-9))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Trial is running",
        "Trial is running; tries: ",
        "Trial is running; tries: a yesterday/today",
        "tries: a b/c",
    ],
)
def test_other_words_of_katibs_are_no_record(message: str) -> None:
    assert read_record(trial(message)) == Record()
    assert read_record({"status": {}}) == Record()


def test_what_nobody_saw_end_ended_when_the_next_one_began() -> None:
    found = {"b": Span(at(2)), "a": Span(at(0)), "c": Span(at(5), at(6)), "d": Span(at(7))}
    assert closed(found, set(), at(9)) == {
        "a": Span(at(0), at(2)),
        "b": Span(at(2), at(5)),
        "c": Span(at(5), at(6)),
        "d": Span(at(7), at(9)),
    }
    assert seconds(found, {"d"}, now=at(10), over=at(9)) == 3600 * (2 + 3 + 1 + 3)
    assert seconds(found, set(), now=at(10), over=at(8)) == 3600 * (2 + 3 + 1 + 1)


def test_a_pod_lasts_from_its_first_container_to_its_last() -> None:
    def state(name: str, start: float, end: float | None) -> dict[str, Any]:
        times = {"startedAt": at(start).isoformat()} | ({"finishedAt": at(end).isoformat()} if end else {})
        return {"name": name, "state": {"terminated" if end else "running": times}}

    running = {
        "status": {
            "startTime": at(0).isoformat(),
            "containerStatuses": [state("a", 1, 3), state("b", 2, None)],
        }
    }
    ended = {"status": {"containerStatuses": [state("a", 1, 3), state("b", 2, 4)]}}
    pulling = {"status": {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "ContainerCreating"}}}]}}
    assert span_of(running) == Span(at(1))
    assert span_of(ended) == Span(at(1), at(4))
    assert span_of(pulling) is None
