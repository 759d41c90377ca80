"""What a user sees of the searches on a cluster: one table a search.

On a terminal no wider than it is, watched no longer.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from katib.backend.cluster.status import Progress, Row
from katib.columns import Column, Styled, fit, missing, without_prefix, wrapped
from katib.eta import ends_at
from katib.terminal import STATES, Output
from katib.text import count, short, with_unit
from katib.untrusted import clean

Line = Sequence[Styled]
SELDOM = 5
"""Columns of a higher rank are left out where they would be empty."""
PAGE_SECONDS = 10.0
"""How long a page is shown where not everything fits."""


def records(found: Sequence[Progress]) -> list[dict[str, Any]]:
    """Returns what `status --json` prints."""
    return [
        {
            "experiment": item.search.name,
            "model": item.search.model,
            "state": item.search.state,
            "trials": item.search.trials,
            "max_trials": item.search.max_trials,
            "gpu_hours_used": round(item.hours_used, 3),
            "gpu_hours_planned": round(item.hours_planned, 3),
            "seconds_left": item.seconds_left and round(item.seconds_left),
            "best": item.search.best,
            "lacking": str(item.lacking or ""),
            "rows": [_record(row) for row in item.rows],
        }
        for item in found
    ]


def print_progress(found: Sequence[Progress], out: Output, namespace: str, problem: Exception | None = None) -> None:
    """Prints one table a search; a file or a pipe has no width."""
    for line in lines(found, out.width, namespace, problem):
        out.line(*line)


def screen(
    found: Sequence[Progress],
    width: int,
    height: int,
    namespace: str,
    problem: Exception | None = None,
    page: int = 0,
) -> list[Line]:
    """Returns what a terminal shows: all of it where it fits; else of trials only those that have not ended.

    Where even they do not fit, one page of them after the other.
    """
    for whole in (True, False):
        made = lines(found, width, namespace, problem, whole=whole)
        if len(made) <= height:
            return made
    top, searches = _problem(problem, width), [_search(item, width, whole=False) for item in found]
    below = _left_out(searches, width)
    pages = list(_pages([block for block, _ in searches], max(2, height - 1 - len(top) - len(below))))
    number = page % len(pages)
    foot = f"page {number + 1} of {len(pages)}, the next in {PAGE_SECONDS:.0f} s"
    return [*top, *pages[number], *below, *_words(foot, "dim", width)]


def lines(
    found: Sequence[Progress],
    width: int | None,
    namespace: str,
    problem: Exception | None = None,
    *,
    whole: bool = True,
) -> list[Line]:
    """Returns the searches one below the other, the API server's absence on top.

    Not `whole`: without trials that have ended.
    """
    made = _problem(problem, width)
    if not found:
        text = f"no experiments of ours in namespace '{namespace}'; make deploy MODEL=… starts one"
        made += _words(text, "", width)
    searches = [_search(item, width, whole=whole) for item in found]
    return [*made, *(line for block, _ in searches for line in block), *_left_out(searches, width)]


def headline(item: Progress, now: datetime) -> str:
    """Returns `series3-dprnn  Running  7 of 25 trials  12.3 of 62 GPU-hours  ends about Sat 14:05`."""
    search = item.search
    unit = "GPU-hours" if search.gpus else "hours"
    words = [search.name, "Deleting" if search.deleting else search.state]
    words.append(f"{search.trials} of {search.max_trials} trials")
    words.append(f"{_hours(item.hours_used)} of {_hours(item.hours_planned)} {unit}")
    if item.seconds_left is not None:
        words.append(f"ends about {ends_at(item.seconds_left, now)}")
    if search.state == "Failed" and (why := search.stopped or search.message):
        words.append(why)
    return "  ".join(words)


def _problem(problem: Exception | None, width: int | None) -> list[Line]:
    return [] if problem is None else _words(f"not up to date: {problem}; trying again", "red", width)


def _left_out(searches: Sequence[tuple[list[Line], tuple[str, ...]]], width: int | None) -> list[Line]:
    """Returns what does not fit, once for all searches."""
    names = tuple(dict.fromkeys(name for _, left_out in searches for name in left_out))
    return _words(missing(names, "--json", width), "dim", width) if width and names else []


def _search(item: Progress, width: int | None, *, whole: bool) -> tuple[list[Line], tuple[str, ...]]:
    """Returns the headline, the table and the causes of what went wrong; and which columns do not fit."""
    start = f"{item.search.name}-"
    prefix = without_prefix([row.trial.name for row in item.rows], start)[0] if width else ""
    rows = [row for row in item.rows if whole or not row.trial.finished]
    made = _words(headline(item, datetime.now().astimezone()), "bold", width)
    if prefix not in ("", start):
        made += _words(f"trials {prefix}*", "", width)
    table = fit(_columns(item, rows, prefix), width)
    made += table.lines if rows else ()
    if not whole and (ended := [row for row in item.rows if row.trial.finished]):
        made += _words(f"  {_ended(ended, item)}", "dim", width)
    for note in _notes(item, prefix):
        made += _words(note, "", width)
    return made, table.left_out if rows else ()


def _pages(blocks: Sequence[Sequence[Line]], height: int) -> Iterator[list[Line]]:
    """Whole searches as long as they fit; one that is longer than a page has its headline on each of its pages."""
    page: list[Line] = []
    for block in blocks:
        if page and len(page) + len(block) > height:
            yield page
            page = []
        rest = list(block)
        while len(rest) > height:
            yield rest[:height]
            rest = [block[0], *rest[height:]]
        page += rest
    if page:
        yield page


def _columns(item: Progress, rows: Sequence[Row], prefix: str) -> list[Column]:
    """Returns what a trial is called and has come to comes first, where it runs after that, its settings last."""
    metric = item.search.metric
    states = [row.state for row in rows]
    texts: list[tuple[str, int, Callable[[Row], str]]] = [
        ("epoch", 3, lambda row: str(row.epoch or "")),
        ("now", 4, lambda row: _value(row.current, metric)),
        ("best", 2, lambda row: _value(row.best, metric)),
        ("GPU-hours" if item.search.gpus else "hours", 5, lambda row: _hours(row.hours)),
        ("restarts", 6, lambda row: str(row.restarts or "")),
        ("GPU", 8, lambda row: str(row.gpus or "")),
    ]
    columns = [
        Column("trial", [row.trial.name.removeprefix(prefix) for row in rows]),
        Column("state", states, 1, styles=[STATES.get(state, "") for state in states]),
        *(Column(name, [text(row) for row in rows], rank, right=True) for name, rank, text in texts),
        Column("node", [row.node for row in rows], 7),
        *(
            Column(name, [short(row.trial.assignments.get(name, "")) for row in rows], 9, right=True)
            for name in dict.fromkeys(name for row in rows for name in row.trial.assignments)
        ),
    ]
    return [column for column in columns if column.rank <= SELDOM or any(column.cells)]


def _ended(rows: Sequence[Row], item: Progress) -> str:
    """Returns `12 trials not shown: 8 Succeeded, 4 EarlyStopped, the best with 5.20 dB`."""
    counts = ", ".join(f"{number} {state}" for state, number in Counter(row.state for row in rows).items())
    value = item.search.direction.best(row.best for row in rows if row.best is not None)
    best = "" if value is None else f", the best with {with_unit(value, item.search.metric)}"
    return f"{count(len(rows), 'trial')} not shown: {counts}{best}"


def _notes(item: Progress, prefix: str) -> list[str]:
    """Returns why the search has no more trials, and what became of those it has: a line a cause, with all that it
    befell.
    """
    notes = [f"  {item.lacking}"] if item.lacking else []
    found: dict[str, list[str]] = {}
    for row in item.rows:
        if row.cause is not None:
            found.setdefault(str(row.cause), []).append(row.trial.name)
        if row.interruption:
            text = f"taken off its node before ({row.interruption}); it continues at its checkpoint"
            found.setdefault(text, []).append(row.trial.name)
    for text, names in found.items():
        notes.append(f"  {', '.join(name.removeprefix(prefix) for name in names)}: {text}")
    if item.unreadable:
        notes.append(f"  a log could not be read: {item.unreadable}")
    if item.unread:
        notes.append(
            f"  the logs of {item.unread} running trials were not read in this look; status -w reads them in turn"
        )
    return notes


def _words(text: str, style: str, width: int | None) -> list[Line]:
    """Returns a sentence in lines of the width."""
    text = clean(text)
    found = wrapped(text, width, indent=4) if width else [text]
    return [[(line, style)] for line in found]


def _record(row: Row) -> dict[str, Any]:
    return {
        "trial": row.trial.name,
        "state": row.state,
        "assignments": dict(row.trial.assignments),
        "epoch": row.epoch,
        "current": row.current,
        "best": row.best,
        "node": row.node,
        "gpus": row.gpus,
        "restarts": row.restarts,
        "gpu_hours": round(row.hours, 4),
        "cause": row.cause.problem if row.cause else "",
        "remedy": row.cause.fix if row.cause else "",
    }


def _value(value: float | None, metric: str) -> str:
    return "" if value is None else with_unit(value, metric)


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if hours < 10 else f"{hours:.0f}"
