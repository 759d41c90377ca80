"""What status -w has on a terminal: no line too long, none too many, and every search and trial under way can be
reached.
"""

import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from rich.cells import cell_len

from katib.backend.causes import Cause
from katib.backend.cluster.live import Progress
from katib.backend.cluster.status import Curves, progress_of
from katib.backend.cluster.view import headline, lines, screen
from katib.eta import ends_at, seconds_left
from tests.katib.backend.cluster.test_status import Logs, search, text

WIDTHS = (60, 80, 100, 120, 200)
STATES: tuple[Any, ...] = ("Running", "Waiting", "Succeeded", "EarlyStopped", "Failed", "Succeeded")
CAUSE = Cause("0/4 nodes are available: 4 Insufficient nvidia.com/gpu", "wait, or free a GPU")


def made(name: str, trials: int) -> Progress:
    """Returns a search with the names of Series 3, some of whose trials wait."""
    draw = random.Random(name)
    (found,) = progress_of(Logs(""), search(trials), Curves())
    rows = []
    for row in found.rows:
        state = draw.choice(STATES)
        under_way = state in STATES[:2]
        trial = replace(
            row.trial,
            name=f"{name}-{draw.randrange(16**8):08x}",
            state="Running" if under_way else state,
            assignments={"lr": str(draw.uniform(1e-4, 1e-2)), "weight_decay": "1e-05"},
        )
        shown: dict[str, Any] = {
            "trial": trial,
            "state": state,
            "cause": CAUSE if state == "Waiting" else None,
            "best": draw.uniform(-99, 6),
            "current": draw.uniform(-99, 6),
            "hours": draw.uniform(0, 14),
            "node": "gpu-node-1.cluster.local",
        }
        rows.append(replace(row, **shown))
    own = replace(found.search, name=name, trials=trials, max_trials=trials + 5)
    return replace(found, search=own, rows=tuple(rows), unread=0)


@cache
def series(trials: int) -> list[Progress]:
    return [made(f"series3-{model}", trials) for model in ("convtasnet", "dprnn", "sepformer", "spmamba")]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("trials", [0, 1, 200])
def test_no_line_is_too_long_and_no_number_is_cut(trials: int, width: int) -> None:
    for found in (series(trials), []):
        for line in text(lines(found, width, "sepsweep")).splitlines():
            assert cell_len(line) <= width
            assert line == line.rstrip()
            assert "…" not in line.replace("MODEL=…", "")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("trials", [1, 20])
def test_all_searches_and_waiting_trials_with_their_reason_are_on_some_page_of_30_lines(
    trials: int, width: int
) -> None:
    found = series(trials)
    first = text(screen(found, width, 30, "sepsweep"))
    number = re.search(r"^page 1 of (\d+)", first, re.MULTILINE)
    pages = [text(screen(found, width, 30, "sepsweep", page=page)) for page in range(int(number[1]) if number else 1)]
    assert all(len(page.splitlines()) <= 30 for page in pages)
    printed = "\n".join(pages)
    for item in found:
        assert item.search.name in printed
        for row in item.rows:
            name = row.trial.name.rpartition("-")[2]
            assert f"\n{name}  {row.state}" in printed
            assert row.cause is None or printed.count(name) > 1
    assert "free a GPU" in " ".join(printed.split()) or trials == 1


@pytest.mark.parametrize("height", [16, 24, 40])
def test_trials_that_run_stay_on_each_page_and_those_that_ended_take_turns(height: int) -> None:
    (whole,) = series(200)[:1]
    running = [row for row in whole.rows if row.state == "Running"][:2]
    found = replace(whole, rows=(*running, *(row for row in whole.rows if row.trial.finished)))
    first = text(screen([found], 100, height, "sepsweep"))
    number = re.search(r"^page 1 of (\d+)", first, re.MULTILINE)
    assert number is not None
    pages = [text(screen([found], 100, height, "sepsweep", page=page)) for page in range(int(number[1]))]
    assert all(len(page.splitlines()) <= height for page in pages)
    for row in found.rows:
        name = row.trial.name.rpartition("-")[2]
        assert sum(f"\n{name}  {row.state}" in page for page in pages) == (1 if row.trial.finished else len(pages))
    assert " trials not shown: " in first


def test_a_screen_that_fits_is_shown_whole() -> None:
    found = series(3)
    whole = text(lines(found, 120, "sepsweep"))
    assert text(screen(found, 120, 60, "sepsweep", page=7)) == whole
    assert all(row.trial.name.rpartition("-")[2] in whole for item in found for row in item.rows)


def test_every_page_says_that_the_server_is_away() -> None:
    found = series(20)
    for page in range(4):
        first, *_, last = text(screen(found, 100, 20, "sepsweep", ConnectionError("refused"), page)).splitlines()
        assert first == "not up to date: refused; trying again"
        assert last.startswith(f"page {page + 1} of ")


def test_a_pipe_has_whole_names_and_no_blanks_at_its_ends() -> None:
    (found,) = series(5)[:1]
    printed = text(lines([found], None, "sepsweep"))
    assert all(f"\n{row.trial.name}  " in printed for row in found.rows)
    assert all(line == line.rstrip() for line in printed.splitlines())


NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC).timestamp()
"""A Thursday, 10:00 in Berlin."""


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone, with its summer time."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (0, "10:00"),
        (13.9, "23:54"),
        (14, "Fri 00:00"),
        (52, "Sat 14:00"),
        (6.5 * 24, "Wed 22:00"),
        (6.6 * 24, "Thu 3 Dec"),
        (36.5 * 24, "Fri 1 Jan 2027"),
        (1e9, "in thousands of years"),
    ],
)
def test_the_end_is_a_time_of_the_week_or_a_date(berlin: None, hours: float, said: str) -> None:
    """According to the calendar, 26 November 2026 is a Thursday."""
    assert ends_at(3600 * hours, NOW) == said
    item = replace(made("x", 1), seconds_left=3600 * hours)
    assert headline(item, NOW).endswith(f", ends about {said}")


@pytest.mark.parametrize(("begin", "said"), [((10, 24), "Sun 11:00"), ((3, 28), "Sun 13:00")])
def test_the_end_is_told_by_the_clock_that_will_be_on_the_wall_then(
    berlin: None, begin: tuple[int, int], said: str
) -> None:
    """A day of 24 hours later than noon by summer time is eleven o'clock, and the other way round."""
    noon = datetime(2026, *begin, 12, 0).astimezone().timestamp()
    assert ends_at(24 * 3600, noon) == said


@pytest.mark.parametrize("parallel", [1, 2, 3, 7])
@pytest.mark.parametrize("waiting", [0, 1, 2, 5, 24])
@pytest.mark.parametrize("elapsed", [(), (3.0,), (9.0, 1.0, 12.0)])
def test_time_left_is_that_of_a_plain_schedule(elapsed: tuple[float, ...], waiting: int, parallel: int) -> None:
    """The slot that is free first takes the next trial."""
    free = [max(0.0, 10 - seconds) for seconds in elapsed]
    free += [0.0] * (parallel - len(free))
    for _ in range(waiting):
        first = free.index(min(free))
        free[first] += 10
    assert seconds_left(10, elapsed, waiting, parallel) == pytest.approx(max(free))


def test_the_headline_counts_failed_trials_as_that_of_a_local_search_does() -> None:
    item = made("series3-dprnn", 20)
    failed = sum(row.state == "Failed" for row in item.rows)
    assert failed
    assert f" waiting, {failed} failed, best " in headline(item, NOW)
    well = replace(item, rows=tuple(row for row in item.rows if row.state != "Failed"))
    assert "failed" not in headline(well, NOW)
