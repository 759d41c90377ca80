"""Prints trial tables on a terminal, and formats them as Markdown, CSV and JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal, get_args

from katib.columns import Column, without_prefix
from katib.table.trial_table import Point, TrialRow, TrialTable
from katib.terminal import STATES, Output, print_columns
from katib.text import difference, duration, markdown_text, short, spreadsheet_cell, with_unit
from katib.trial import WITHOUT_RESULT

Format = Literal["table", "markdown", "csv", "json"]
FORMATS = get_args(Format)
TRIAL, REASON = "trial", "reason"
CAUSES, TRIALS = 4, 3
"""How many causes of failures, and how many trials of each, are named below a table without the reasons."""
FACTS = (
    *("best_epoch", "epochs", "seconds", "over_mixture", "gpu_hours", "node", "restarts", "pauses", "wandb"),
    *("started", "ended", "remedy"),
)
"""The columns of the CSV after the metric's: keys of `records`."""


def text(table: TrialTable, format: Format) -> Iterator[str]:
    """Yields the table in any format but the terminal's, in pieces, so that a large one is not in memory twice."""
    yield from {"markdown": markdown, "csv": as_csv, "json": as_json}[format](table)


def records(table: TrialTable) -> Iterator[dict[str, object]]:
    """Yields the JSON object of each trial; its value has the metric's own name as key, and times are RFC 3339.

    `pauses` lists the epochs after which the trial paused and went on, and `continuations` the trials that went on
    with it, on Katib; what it cost is theirs as well. The state of a paused trial is EarlyStopped.
    `metrics` holds, for each metric, the lists `epoch`, `value` and `time` (Unix time in s) of the same length.
    """
    for row in table.rows:
        yield {
            "trial": row.trial,
            "state": row.state,
            "reason": row.reason,
            "assignments": dict(row.assignments),
            table.identity.metric: row.value,
            "best_epoch": row.best_epoch,
            "epochs": row.epochs,
            "seconds": round(row.seconds, 3),
            "over_mixture": row.gain,
            "gpu_hours": round(row.gpu_hours, 6),
            "node": row.node,
            "restarts": row.restarts,
            "pauses": list(row.pauses),
            "continuations": list(row.continuations),
            "wandb": row.wandb,
            "started": instant(row.started),
            "ended": instant(row.ended),
            "remedy": row.fix,
            "metrics": {name: _columns(points) for name, points in row.metrics.items()},
        }


def as_json(table: TrialTable) -> Iterator[str]:
    """Yields a list of `records`, one per line."""
    before = "[\n"
    for record in records(table):
        yield f"{before}{json.dumps(record, allow_nan=False)}"
        before = ",\n"
    yield "\n]\n" if table.rows else "[]\n"


def as_csv(table: TrialTable) -> Iterator[str]:
    """Yields a line per trial, numbers with all digits, and other metrics at the best epoch as `at_best_…`.

    Times are RFC 3339. A text that a spreadsheet would take for a formula begins with an apostrophe. Lines end with
    CRLF (RFC 4180), which distinguishes them from line ends within a cell.
    """
    metric, others = table.identity.metric, _other_metrics(table)
    yield _line(["trial", "state", "reason", *table.settings, metric, *FACTS, *(f"at_best_{name}" for name in others)])
    for row, record in zip(table.rows, records(table), strict=True):
        settings = [row.assignments.get(name, "") for name in table.settings]
        values = [row.at_best(name) for name in others]
        facts = [_fact(record[key]) for key in FACTS]
        yield _line([row.trial, row.state, row.reason, *settings, row.value, *facts, *values])


def markdown(table: TrialTable) -> Iterator[str]:
    """Yields the table in GitHub's Markdown."""
    columns = _cells(table)
    yield "| " + " | ".join(markdown_text(cell.heading) for cell in columns) + " |\n"
    yield "|" + "|".join("---:" if cell.right else "---" for cell in columns) + "|\n"
    for row in table.rows:
        yield "| " + " | ".join(markdown_text(cell.text(row)) for cell in columns) + " |\n"


def print_table(table: TrialTable, out: Output) -> None:
    """Prints the table: the columns that fit on a terminal, all of them with full names in a file or a pipe."""
    prefix, names = "", [row.trial for row in table.rows]
    if out.terminal:
        prefix, names = without_prefix(names, f"{table.identity.name}-")
    states = [STATES[row.shown_state] for row in table.rows]
    found = [
        Column(
            cell.heading,
            names if cell.heading == TRIAL else [cell.text(row) for row in table.rows],
            cell.rank,
            cell.right,
            states if cell.heading == "state" else (),
        )
        for cell in _cells(table)
    ]
    title = f"trials {prefix}*" if prefix else ""
    if REASON in print_columns(found, out, elsewhere="--format csv", title=title):
        for line in _failures(table, dict(zip((row.trial for row in table.rows), names, strict=True))):
            out.words(line, indent=2)


def _failures(table: TrialTable, names: Mapping[str, str]) -> Iterator[str]:
    """Yields the most frequent causes of failures, with the first trials of each."""
    found: dict[str, list[str]] = {}
    for row in table.rows:
        if row.state in WITHOUT_RESULT and row.reason:
            found.setdefault(row.reason, []).append(names[row.trial])
    causes = sorted(found.items(), key=lambda item: -len(item[1]))
    for reason, trials in causes[:CAUSES]:
        more = f" and {len(trials) - TRIALS} more" if len(trials) > TRIALS else ""
        yield f"failed: {', '.join(trials[:TRIALS])}{more}: {reason}"
    if others := sum(len(trials) for _, trials in causes[CAUSES:]):
        yield f"failed: {others} more, for other causes"


def instant(time: float | None) -> str | None:
    """Returns a Unix time as RFC 3339 in UTC."""
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class _Cell:
    """A column as people read it. On a narrow terminal, the one with the highest rank is left out first."""

    heading: str
    rank: int
    text: Callable[[TrialRow], str]
    right: bool = True


def _cells(table: TrialTable) -> list[_Cell]:
    """Returns the columns that are not empty."""
    metric, rows = table.identity.measure, table.rows
    columns = [
        _Cell(TRIAL, 0, lambda row: row.trial, right=False),
        _Cell("state", 1, lambda row: row.shown_state, right=False),
        _Cell(str(metric), 2, lambda row: "" if row.value is None else with_unit(row.value, metric)),
    ]
    if any(row.gain is not None for row in rows):
        columns.append(_Cell("over mixture", 6, lambda row: "" if row.gain is None else difference(row.gain, metric)))
    columns += [
        _Cell("best epoch", 3, lambda row: str(row.best_epoch or "")),
        _Cell("of", 3, lambda row: str(row.epochs or "")),
        _Cell("time", 4, lambda row: duration(row.seconds)),
    ]
    if table.venue.gpu_hours:
        columns.append(_Cell(f"{table.device}-hours", 7, lambda row: f"{row.gpu_hours:.2f}"))
    if any(row.restarts for row in rows):
        columns.append(_Cell("restarts", 8, lambda row: str(row.restarts or "")))
    if any(row.pauses for row in rows):
        columns.append(_Cell("paused after", 8, lambda row: ", ".join(map(str, row.pauses))))
    columns += [_Cell(name, 5, partial(_setting, name=name)) for name in table.settings]
    if len({row.node for row in rows if row.node}) > 1:
        columns.append(_Cell("node", 9, lambda row: row.node, right=False))
    if any(row.reason for row in rows):
        columns.append(_Cell(REASON, 10, lambda row: row.reason, right=False))
    if any(row.wandb for row in rows):
        columns.append(_Cell("W&B", 11, lambda row: row.wandb, right=False))
    return columns


def _setting(row: TrialRow, name: str) -> str:
    return short(row.assignments.get(name, ""))


def _fact(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _columns(points: tuple[Point, ...]) -> dict[str, list[object]]:
    return {
        "epoch": [point.step for point in points],
        "value": [point.value for point in points],
        "time": [point.time for point in points],
    }


def _other_metrics(table: TrialTable) -> tuple[str, ...]:
    """Returns the metrics that are not the objective, in the order in which they appear."""
    names = dict.fromkeys(name for row in table.rows for name in row.metrics)
    return tuple(name for name in names if name != table.identity.metric)


def _line(cells: list[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(map(spreadsheet_cell, cells))
    return buffer.getvalue()
