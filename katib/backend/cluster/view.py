"""Shows the searches on a cluster to a user: a table per search, no wider than the terminal and, live, no longer."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from katib.backend.cluster.live import LiveTrial, Progress, configurations
from katib.columns import MISSING_LINES, Column, Styled, fit, missing, without_prefix, wrapped
from katib.eta import ends_at
from katib.measure import Measure
from katib.program import as_typed
from katib.sparkline import sparklines
from katib.terminal import PAGE_SECONDS, STATES, Output
from katib.text import count, counted, short, with_unit
from katib.untrusted import clean

Line = Sequence[Styled]
FEWEST = 3
"""The fewest ended trials of a search for which a page has room."""
ALWAYS = 5
"""The highest rank of columns that are shown even if they are empty."""


def records(searches: Sequence[Progress]) -> list[dict[str, object]]:
    """Returns the records that `status --json` prints."""
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
            "lacking": str(item.shortage or ""),
            "rows": [_record(row) for row in configurations(item).rows],
        }
        for item in searches
    ]


def print_progress(searches: Sequence[Progress], out: Output, namespace: str, problem: Exception | None = None) -> None:
    """Prints a table for each search; in a file or a pipe, it is as wide as its text."""
    for line in lines(searches, out.width, namespace, problem, curves=out.terminal and out.blocks):
        out.line(*line)


def screen(
    searches: Sequence[Progress],
    width: int,
    height: int,
    namespace: str,
    problem: Exception | None = None,
    page: int = 0,
    *,
    curves: bool = True,
) -> list[Line]:
    """Returns the lines that fit on a terminal.

    Where not everything fits, it is shown in pages, of which `page` counts up. The trials under way stay on each page,
    and those that have ended take turns, unless too few lines are left for them.
    """
    everything = lines(searches, width, namespace, problem, curves=curves)
    if len(everything) <= height:
        return everything
    top = _problem(problem, width)
    turn = _turn(searches, width, height - 1 - len(top), curves=curves)
    if turn >= FEWEST:
        count_of = max(-(-_finished(item) // turn) for item in searches)
        number = page % count_of
        blocks = [_search(item, width, _of_page(item, number, turn), curves=curves) for item in searches]
        below = _left_out(blocks, width)
        shown = [line for block, _ in blocks for line in block]
    else:
        blocks = [_search(item, width, slice(None), curves=curves) for item in searches]
        below = _left_out(blocks, width)
        pages = list(_pages([block for block, _ in blocks], max(2, height - 1 - len(top) - len(below))))
        number, count_of = page % len(pages), len(pages)
        shown = pages[number]
    foot = f"page {number + 1} of {count_of}, the next in {PAGE_SECONDS:.0f} s"
    return [*top, *shown, *below, *_words(foot, "dim", width)]


def _turn(searches: Sequence[Progress], width: int, height: int, *, curves: bool) -> int:
    """Returns how many ended trials of each search have room beside those under way, the same number on each page."""
    lengths = [len(_search(item, width, slice(0), curves=curves)[0]) for item in searches]
    # A search of which nothing runs has no heading of its table yet.
    headings = sum(all(row.trial.finished for row in item.rows) for item in searches)
    room = height - sum(lengths) - headings - MISSING_LINES
    return room // max(1, sum(_finished(item) > 0 for item in searches))


def _finished(item: Progress) -> int:
    return sum(row.trial.finished for row in configurations(item).rows)


def _of_page(item: Progress, number: int, turn: int) -> slice:
    """Returns which of the ended trials of a search are on a page; one with fewer pages begins again."""
    begin = number % max(1, -(-_finished(item) // turn)) * turn
    return slice(begin, begin + turn)


def lines(
    searches: Sequence[Progress],
    width: int | None,
    namespace: str,
    problem: Exception | None = None,
    *,
    curves: bool = False,
) -> list[Line]:
    """Returns the lines of all searches, below the `problem` of the API server where there is one.

    `curves` says whether those can be drawn.
    """
    result = _problem(problem, width)
    if not searches:
        text = f"no experiments of ours in namespace '{namespace}'; make deploy MODEL=… starts one"
        result += _words(text, "", width)
    blocks = [_search(item, width, slice(None), curves=curves) for item in searches]
    return [*result, *(line for block, _ in blocks for line in block), *_left_out(blocks, width)]


def headline(item: Progress, now: float) -> str:
    """Returns the headline of a search.

    For example `series3-dprnn  Running  3 of 25 trials ended, 2 running, best 3.20 dB, 12.3 of about 62 GPU-hours, ends
    about Sat 14:05`. Where trials continue others, `4 of 25 configurations` stands before the trials.
    """
    search, parts = item.search, list[str]()
    if search.pauses:
        begun = len({row.trial.first for row in item.rows})
        parts.append(f"{begun} of {search.configurations} configurations")
    ended = sum(row.trial.finished for row in item.rows)
    parts.append(f"{ended} of {search.max_trials} trials ended")
    states = Counter(row.state for row in item.rows)
    parts += [f"{states[state]} {state.lower()}" for state in ("Running", "Waiting", "Failed") if states[state]]
    if (best := search.direction.best(row.best for row in item.rows if row.best is not None)) is not None:
        parts.append(f"best {with_unit(best, search.measure)}")
    unit = "GPU-hours" if search.gpus else "hours"
    parts.append(f"{_hours(item.hours_used)} of about {_hours(item.hours_planned)} {unit}")
    if item.seconds_left is not None:
        parts.append(f"ends about {ends_at(item.seconds_left, now)}")
    words = [search.name, "Deleting" if search.deleting else search.state, ", ".join(parts)]
    if search.state == "Failed" and (why := search.stopped or search.message):
        words.append(why)
    elif search.deleting:
        words += [str(act) for act in search.acts if act.word == "deleted"]
    elif states["Paused"] and search.paused:
        words.append(search.paused)
    return "  ".join(words)


def _problem(problem: Exception | None, width: int | None) -> list[Line]:
    return [] if problem is None else _words(f"not up to date: {problem}; trying again", "red", width)


def _left_out(blocks: Sequence[tuple[list[Line], tuple[str, ...]]], width: int | None) -> list[Line]:
    """Returns a line with the columns that do not fit, once for all searches."""
    names = tuple(dict.fromkeys(name for _, left_out in blocks for name in left_out))
    return _words(missing(names, "--json", width), "dim", width) if width and names else []


def _search(item: Progress, width: int | None, ended: slice, *, curves: bool) -> tuple[list[Line], tuple[str, ...]]:
    """Returns the headline, the table and the causes of what went wrong, and the columns that do not fit.

    `ended` says which of the trials that have ended are in the table.
    """
    item = configurations(item)
    start = f"{item.search.name}-"
    prefix = without_prefix([row.trial.name for row in item.rows], start)[0] if width else ""
    over = [row for row in item.rows if row.trial.finished]
    rows = [*(row for row in item.rows if not row.trial.finished), *over[ended]]
    block = _words(headline(item, time.time()), "bold", width)
    if prefix not in ("", start):
        block += _words(f"trials {prefix}*", "", width)
    table = fit(_columns(item, rows, prefix, curves=curves), width)
    block += table.lines if rows else ()
    if left := [row for row in over if row not in over[ended]]:
        block += _words(f"  {_ended(left, item)}", "dim", width)
    for note in _notes(item, prefix):
        block += _words(note, "", width)
    return block, table.left_out if rows else ()


def _pages(blocks: Sequence[Sequence[Line]], height: int) -> Iterator[list[Line]]:
    """Yields pages of whole searches; one that is longer than a page has its headline on each of its pages."""
    page: list[Line] = []
    for block in blocks:
        if page and len(page) + len(block) > height:
            yield page
            page = []
        rest = list(block)
        while len(rest) > height:
            # The lines of a sentence stay together; all but its first are indented by four.
            cut = next((at for at in range(height, 2, -1) if not rest[at][0][0].startswith("    ")), height)
            yield rest[:cut]
            rest = [block[0], *rest[cut:]]
        page += rest
    if page:
        yield page


def _columns(item: Progress, rows: Sequence[LiveTrial], prefix: str, *, curves: bool) -> list[Column]:
    """Returns the columns: name and results of a trial first, then where it runs, and its settings last."""
    metric = item.search.measure
    states = [row.state for row in rows]
    texts: list[tuple[str, int, Callable[[LiveTrial], str]]] = [
        ("epoch", 3, _epochs),
        ("now", 4, lambda row: _value(row.current, metric)),
        ("best", 2, lambda row: _value(row.best, metric)),
        ("GPU-hours" if item.search.gpus else "hours", 5, lambda row: _hours(row.hours)),
        ("restarts", 6, lambda row: str(row.restarts or "")),
        ("GPU", 8, lambda row: str(row.gpus or "")),
    ]
    drawn = sparklines([row.values for row in rows], maximize=item.search.direction.sign > 0) if curves else []
    columns = [
        Column("trial", [row.trial.name.removeprefix(prefix) for row in rows]),
        Column("state", states, 1, styles=[STATES.get(state, "") for state in states]),
        *(Column(name, [text(row) for row in rows], rank, right=True) for name, rank, text in texts),
        *([Column("curve", drawn, ALWAYS + 1)] if drawn else []),
        Column("node", [row.node for row in rows], 7),
        *(
            Column(name, [short(row.trial.assignments.get(name, "")) for row in rows], 9, right=True)
            for name in dict.fromkeys(name for row in rows for name in row.trial.assignments)
        ),
    ]
    return [column for column in columns if column.rank <= ALWAYS or any(column.cells)]


def _ended(rows: Sequence[LiveTrial], item: Progress) -> str:
    """Returns a line about trials that are left out.

    For example `12 trials not shown: 8 Succeeded, 4 EarlyStopped, the best with 5.20 dB`.
    """
    value = item.search.direction.best(row.best for row in rows if row.best is not None)
    best = "" if value is None else f", the best with {with_unit(value, item.search.measure)}"
    return f"{count(len(rows), 'trial')} not shown: {counted(row.state for row in rows)}{best}"


def _notes(item: Progress, prefix: str) -> list[str]:
    """Returns why the search has no more trials, and what went wrong: a line per cause, with the trials that it hit."""
    notes = [f"  {item.shortage}"] if item.shortage else []
    trials: dict[str, list[str]] = {}
    for row in item.rows:
        if row.cause is not None:
            trials.setdefault(str(row.cause), []).append(row.trial.name)
        if row.interruption:
            text = f"removed from its node before ({row.interruption}); it resumes from its checkpoint"
            trials.setdefault(text, []).append(row.trial.name)
    for text, names in trials.items():
        notes.append(f"  {', '.join(name.removeprefix(prefix) for name in names)}: {text}")
    if item.unreadable:
        notes.append(f"  a log could not be read: {item.unreadable}")
    if item.unread:
        notes.append(
            f"  the logs of {item.unread} running trials were not read this time; status -w reads them in turn"
        )
    return notes


def _words(text: str, style: str, width: int | None) -> list[Line]:
    """Returns a sentence, wrapped to the width."""
    text = as_typed(clean(text))
    return [[(line, style)] for line in (wrapped(text, width, indent=4) if width else [text])]


def _record(row: LiveTrial) -> dict[str, object]:
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
        "continuations": list(row.continuations),
        "progress": row.heartbeat and asdict(row.heartbeat),
    }


def _epochs(row: LiveTrial) -> str:
    return row.heartbeat.epochs_after(row.epoch) if row.heartbeat else str(row.epoch or "")


def _value(value: float | None, metric: Measure) -> str:
    return "" if value is None else with_unit(value, metric)


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if hours < 10 else f"{hours:.0f}"
