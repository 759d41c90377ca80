"""The trial table on a terminal. Called by the verbs results and local."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from katib.local.view import duration, short, with_unit
from katib.results.table import Row, TrialTable


def print_table(table: TrialTable, console: Console) -> None:
    """On a terminal that is too narrow the settings and reasons stay away; a file or a pipe has no width."""
    printable = _printable(table, whole=True)
    if not console.is_terminal:
        console = Console(width=1000)
    elif console.measure(printable, options=console.options.update(width=1000)).maximum > console.width:
        printable = _printable(table, whole=False)
        printable.caption = "a wider terminal shows the settings and reasons"
    console.print(printable)


def _printable(table: TrialTable, *, whole: bool) -> RichTable:
    metric = table.identity.metric
    gains = any(row.gain is not None for row in table.rows)
    settings = table.settings if whole else ()
    reasons = whole and any(row.reason for row in table.rows)
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("trial", "state"):
        made.add_column(heading, no_wrap=True)
    numbers = [metric, *(["over mixture"] if gains else []), "best epoch", "of", "time", *settings]
    for heading in numbers:
        made.add_column(heading, justify="right", no_wrap=True)
    if reasons:
        made.add_column("reason", no_wrap=True)
    for row in table.rows:
        made.add_row(
            row.trial,
            row.state,
            "" if row.value is None else with_unit(row.value, metric),
            *([_gain(row)] if gains else []),
            str(row.best_epoch or ""),
            str(row.epochs or ""),
            duration(row.seconds),
            *(short(row.assignments.get(name, "")) for name in settings),
            *([escape(row.reason)] if reasons else []),
        )
    return made


def _gain(row: Row) -> str:
    return "" if row.gain is None else f"{row.gain:+.2f} dB"


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    """Any other small table: words to the left, numbers to the right."""
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        numbers = all(not row[index] or row[index][0] in "+-0123456789" for row in rows)
        made.add_column(heading, justify="right" if numbers else "left", no_wrap=True)
    for row in rows:
        made.add_row(*map(escape, row))
    (console if console.is_terminal else Console(width=1000)).print(made)
