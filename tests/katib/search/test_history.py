"""A trial's curve from the rows that Katib keeps: missing, empty, repeated and unreadable ones included."""

import math

from hypothesis import given
from hypothesis import strategies as st

from katib.search.history import Observation, curve


def stamp(second: int, fraction: str = "") -> str:
    return f"2026-11-24T09:30:{second:02d}{fraction}Z"


def test_rows_are_steps_in_the_order_of_time() -> None:
    """The database returns them by time, but not those of one second in order."""
    rows = [(stamp(2), "3"), (stamp(1, ".5"), "2"), (stamp(1), "1")]
    assert curve(rows) == (1.0, 2.0, 3.0)


def test_a_history_that_was_reported_again_counts_once() -> None:
    first = [(stamp(1), "1"), (stamp(2), "2")]
    assert curve([*first, *first, (stamp(3), "3")]) == (1.0, 2.0, 3.0)


def test_what_cannot_be_read_takes_up_its_step() -> None:
    found = curve([(stamp(1), ""), (stamp(2), "nan"), (stamp(3), "x"), (stamp(4), "4")])
    assert [math.isfinite(value) for value in found] == [False, False, False, True]
    assert curve([(stamp(1), ""), (stamp(1), "1")]) == curve([(stamp(1), "1"), (stamp(1), "")]) == (1.0,)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_any_rows_make_a_curve(rows: list[tuple[str, str]]) -> None:
    assert len(curve(rows)) == len({stamp for stamp, _ in rows})


def test_a_value_that_is_not_finite_is_no_worth() -> None:
    assert Observation({}, "completed", math.nan).worth is None
    assert Observation({}, "completed", math.inf).worth is None
    assert Observation({}, "completed", 0.0).worth == 0.0
