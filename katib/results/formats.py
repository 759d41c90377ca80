"""The trial table as text: on a terminal, as Markdown, CSV and JSON. The only printer of trial tables.

Called by the verbs results, delete and local; smaller tables of other verbs look the same.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from katib.local.view import duration, short, with_unit
from katib.results.table import Point, Row, TrialTable
from katib.text import difference, markdown_text, spreadsheet_cell

Format = Literal["table", "markdown", "csv", "json"]
FORMATS = get_args(Format)
FACTS = (
    *("best_epoch", "epochs", "seconds", "over_mixture", "gpu_hours", "node", "restarts", "wandb"),
    *("started", "ended", "remedy"),
)
"""Columns of the CSV behind the metric's: keys of `records`."""


def text(table: TrialTable, format: Format) -> Iterator[str]:
    """The table in one of the formats but that of the terminal, piece by piece: a large one need not fit the memory twice."""
    yield from {"markdown": markdown, "csv": as_csv, "json": as_json}[format](table)


def records(table: TrialTable) -> Iterator[dict[str, Any]]:
    """One object a trial, as in JSON; the value goes by the metric's own name, times are RFC 3339.

    `metrics` has for each metric the lists `epoch`, `value` and `time` (Unix s), as long as each other.
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
            "wandb": row.wandb,
            "started": instant(row.started),
            "ended": instant(row.ended),
            "remedy": row.remedy,
            "metrics": {name: _columns(points) for name, points in row.metrics.items()},
        }


def as_json(table: TrialTable) -> Iterator[str]:
    """A list of `records`, one a line."""
    before = "[\n"
    for record in records(table):
        yield f"{before}{json.dumps(record, allow_nan=False)}"
        before = ",\n"
    yield "\n]\n" if table.rows else "[]\n"


def as_csv(table: TrialTable) -> Iterator[str]:
    """One line a trial; of each other metric the value at the best epoch, as `at_best_…`. Numbers are whole, times RFC 3339.

    A text that a spreadsheet would take for a formula begins with an apostrophe.

    Lines end as RFC 4180 says, by which a reader tells them from an end of line in a cell.
    """
    metric, others = table.identity.metric, _other_metrics(table)
    yield _line(
        ["trial", "state", "reason", *table.settings, metric, *FACTS, *(f"at_best_{name}" for name in others)]
    )
    for row, record in zip(table.rows, records(table), strict=True):
        settings = [row.assignments.get(name, "") for name in table.settings]
        values = [_at_best(row, name) for name in others]
        yield _line(
            [row.trial, row.state, row.reason, *settings, row.value, *(record[key] for key in FACTS), *values]
        )


def markdown(table: TrialTable) -> Iterator[str]:
    """A table as GitHub draws it."""
    columns = _cells(table)
    yield "| " + " | ".join(markdown_text(heading) for heading, _, _ in columns) + " |\n"
    yield "|" + "|".join("---:" if right else "---" for _, right, _ in columns) + "|\n"
    for row in table.rows:
        yield "| " + " | ".join(markdown_text(cell(row)) for _, _, cell in columns) + " |\n"


def print_table(table: TrialTable, console: Console) -> None:
    """On a terminal that is too narrow the settings and reasons stay away; a file or a pipe has no width."""
    printable = _printable(table, whole=True)
    if not console.is_terminal:
        console = Console(width=1000, file=console.file)
    elif console.measure(printable, options=console.options.update(width=1000)).maximum > console.width:
        printable = _printable(table, whole=False)
        printable.caption = "a wider terminal shows the settings and reasons"
    console.print(printable)


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Any other small table: words to the left, numbers to the right."""
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        numbers = all(not row[index] or row[index][0] in "+-0123456789" for row in rows)
        made.add_column(heading, justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        made.add_row(*map(escape, row))
    (console if console.is_terminal else Console(width=1000, file=console.file)).print(made)


def instant(time: float | None) -> str | None:
    """A Unix time as RFC 3339 in UTC."""
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")


def _cells(table: TrialTable, *, whole: bool = True) -> list[tuple[str, bool, Callable[[Row], str]]]:
    """What people read: heading, whether a number, and the cell of a row. A column that would be empty is left out."""
    metric, rows = table.identity.metric, table.rows
    columns: list[tuple[str, bool, Callable[[Row], str]]] = [
        ("trial", False, lambda row: row.trial),
        ("state", False, lambda row: row.state),
        (metric, True, lambda row: "" if row.value is None else with_unit(row.value, metric)),
    ]
    if any(row.gain is not None for row in rows):
        columns.append(
            ("over mixture", True, lambda row: "" if row.gain is None else difference(row.gain, metric))
        )
    columns += [
        ("best epoch", True, lambda row: str(row.best_epoch or "")),
        ("of", True, lambda row: str(row.epochs or "")),
        ("time", True, lambda row: duration(row.seconds)),
    ]
    if table.backend == "cluster":
        columns.append((f"{table.device}-hours", True, lambda row: f"{row.gpu_hours:.2f}"))
    if any(row.restarts for row in rows):
        columns.append(("restarts", True, lambda row: str(row.restarts or "")))
    if not whole:
        return columns
    for name in table.settings:
        columns.append((name, True, lambda row, name=name: short(row.assignments.get(name, ""))))  # type: ignore[misc]
    if len({row.node for row in rows if row.node}) > 1:
        columns.append(("node", False, lambda row: row.node))
    if any(row.reason for row in rows):
        columns.append(("reason", False, lambda row: row.reason))
    if any(row.wandb for row in rows):
        columns.append(("W&B", False, lambda row: row.wandb))
    return columns


def _printable(table: TrialTable, *, whole: bool) -> RichTable:
    columns = _cells(table, whole=whole)
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, right, _ in columns:
        made.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in table.rows:
        made.add_row(*(escape(cell(row)) for _, _, cell in columns))
    return made


def _columns(points: tuple[Point, ...]) -> dict[str, list[Any]]:
    return {
        "epoch": [point.step for point in points],
        "value": [point.value for point in points],
        "time": [point.time for point in points],
    }


def _other_metrics(table: TrialTable) -> tuple[str, ...]:
    """Those that are not the objective, in the order in which they are met."""
    names = dict.fromkeys(name for row in table.rows for name in row.metrics)
    return tuple(name for name in names if name != table.identity.metric)


def _at_best(row: Row, metric: str) -> float | None:
    points = row.metrics.get(metric, ())
    return next((point.value for point in points if point.step == row.best_epoch), None)


def _line(cells: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(map(spreadsheet_cell, cells))
    return buffer.getvalue()
