"""Builds the tables of the report: all trials, the stopped ones, and the failed ones with cause and fix."""

from dataclasses import dataclass

from katib.conclude.selection import candidates
from katib.measure import Measure
from katib.program import as_typed
from katib.report.cost import hours, saved
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, difference, digits, duration, short, with_unit
from katib.trial import WITHOUT_RESULT
from katib.untrusted import web_address

MOST_ROWS, MOST_FAILURES, MOST_DECISIONS = 1000, 60, 200


@dataclass(frozen=True)
class Column:
    """A heading; `number` is aligned right, and `text` may take several lines."""

    name: str
    number: bool = False
    text: bool = False


@dataclass(frozen=True)
class Line:
    """A row; its first cell links to `link` where there is one."""

    cells: tuple[str, ...]
    link: str = ""
    best: bool = False


@dataclass(frozen=True)
class Grid:
    """A table with a sentence about it."""

    label: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    id: str = ""


def all_trials(table: TrialTable) -> Grid:
    """Returns every trial, the best first; columns without content are left out."""
    metric = table.identity.measure
    columns: list[tuple[Column, list[str]]] = [
        (Column("trial"), [row.trial for row in table.rows]),
        (Column("state"), [row.state for row in table.rows]),
        (Column(str(metric), number=True), [_value(row, metric) for row in table.rows]),
        (Column("over mixture", number=True), [_gain(row, metric) for row in table.rows]),
        (Column("best epoch", number=True), [str(row.best_epoch or "") for row in table.rows]),
        (Column("epochs", number=True), [str(row.epochs or "") for row in table.rows]),
        (Column("time", number=True), [duration(row.seconds) for row in table.rows]),
        (Column("GPU-hours", number=True), [_hours(row) if table.gpus else "" for row in table.rows]),
        *(
            (Column(name, number=True), [short(row.assignments.get(name, "")) for row in table.rows])
            for name in table.settings
        ),
        (Column("restarts", number=True), [str(row.restarts or "") for row in table.rows]),
        (Column("node"), [row.node for row in table.rows]),
        (Column("reason", text=True), [row.reason for row in table.rows]),
    ]
    kept = [(column, cells) for column, cells in columns if any(cells)]
    rows = tuple(
        Line(tuple(cells[index] for _, cells in kept), web_address(row.wandb), row is table.best)
        for index, row in enumerate(table.rows[:MOST_ROWS])
    )
    links = sum(bool(row.link) for row in rows)
    label = "The best first. " + (
        "Each trial's name links to its run in Weights & Biases. "
        if links
        else "No trial has a Weights & Biases run that is known here. "
    )
    if len(table.rows) > MOST_ROWS:
        label += f"The best {MOST_ROWS} of {len(table.rows)} trials; {as_typed('`make results`')} has them all. "
    return Grid(label, tuple(column for column, _ in kept), rows, "trials")


def promising(table: TrialTable) -> Grid | None:
    """Returns the configurations that all trials together favour, which confirm would run; None without a value."""
    found = candidates(table)
    if not found:
        return None
    metric = table.identity.measure
    columns = (
        Column("trial"),
        Column(f"expected {metric}", number=True),
        Column("observed", number=True),
        Column("by observed value", number=True),
        *(Column(name, number=True) for name in found[0].configuration),
    )
    rows = tuple(
        Line(
            (
                one.trials[0],
                with_unit(one.mean, metric) + _deviation(one.sd, metric),
                with_unit(one.observed, metric),
                f"place {one.rank}",
                *(short(text) for text in one.configuration.values()),
            )
        )
        for one in found
    )
    return Grid("The most promising configurations", columns, rows)


def failures(table: TrialTable) -> Grid:
    """Returns the trials that failed, with what happened and how to fix it."""
    failed = [row for row in table.rows if row.state in WITHOUT_RESULT]
    columns = (
        Column("trial"),
        Column("state"),
        Column("epochs", number=True),
        Column("cause", text=True),
        Column("fix", text=True),
    )
    rows = tuple(
        Line(
            (
                row.trial,
                row.state,
                str(row.epochs),
                row.reason or "no reason was recorded",
                as_typed(row.fix) or "none is known",
            ),
            web_address(row.wandb),
        )
        for row in failed[:MOST_FAILURES]
    )
    if not failed:
        return Grid("No trial failed.", columns, ())
    lost = sum(row.gpu_hours for row in failed)
    label = f"{count(len(failed), 'trial')} of {len(table.rows)} failed, after {hours(lost)} in all."
    if len(failed) > MOST_FAILURES:
        label += f" The first {MOST_FAILURES} are listed."
    return Grid(label, columns, rows)


def stop_decisions(table: TrialTable) -> Grid | None:
    """Returns where and why trials were stopped early, and what that saved; None where none was."""
    stopped = [row for row in table.rows if row.state == "EarlyStopped"]
    if not stopped:
        return None
    columns = (
        Column("trial"),
        Column("epochs", number=True),
        Column("saved", number=True),
        Column("why", text=True),
    )
    rows = tuple(
        Line(
            (row.trial, str(row.epochs), _saved(row, table), row.reason or "no reason was recorded"),
            web_address(row.wandb),
        )
        for row in stopped[:MOST_DECISIONS]
    )
    label = count(len(stopped), "trial") + (
        f", the first {MOST_DECISIONS} of them" if len(stopped) > MOST_DECISIONS else ""
    )
    return Grid(label, columns, rows)


def _deviation(sd: float | None, metric: Measure) -> str:
    return "" if sd is None else f" ± {digits(sd, metric)}"


def _value(row: TrialRow, metric: Measure) -> str:
    return "" if row.value is None else with_unit(row.value, metric)


def _gain(row: TrialRow, metric: Measure) -> str:
    return "" if row.gain is None else difference(row.gain, metric)


def _hours(row: TrialRow) -> str:
    return f"{row.gpu_hours:.2f}" if row.gpu_hours else ""


def _saved(row: TrialRow, table: TrialTable) -> str:
    found = saved(row, table)
    return "" if found is None else hours(found)
