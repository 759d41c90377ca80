"""Builds the tables of the report: all trials, the stopped ones, and the failed ones with cause and fix."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from katib.conclude.selection import candidates
from katib.measure import Measure
from katib.program import as_typed
from katib.report.cost import hours, saved
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, difference, digits, duration, estimate, number, short, with_unit
from katib.trial import WITHOUT_RESULT
from katib.untrusted import web_address

MOST_FAILURES, MOST_DECISIONS = 60, 200
ALIKE = 1000.0
"""Values of a column have as many decimals each where the greatest is at most so many times the least."""
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Column:
    """A heading; `number` is aligned right, and `text` may take several lines."""

    name: str
    number: bool = False
    text: bool = False
    more: bool = False
    """Whether it is shown only when asked for."""

    @cached_property
    def kind(self) -> str:
        """The classes of its cells."""
        return f"number{' more' if self.more else ''}" if self.number else "text" if self.text else ""


@dataclass(frozen=True)
class Line:
    """A row; its first cell links to `link` where there is one."""

    cells: tuple[str, ...]
    link: str = ""
    best: bool = False
    trial: str = ""
    """The trial that it is about; empty where it is about several."""
    sorts: tuple[str, ...] = ()
    """What each cell is sorted by: the number where the cell has words."""


@dataclass(frozen=True)
class Grid:
    """A table with a sentence about it."""

    label: str
    columns: tuple[Column, ...]
    rows: tuple[Line, ...]
    id: str = ""


def all_trials(table: TrialTable, most: int) -> Grid:
    """Returns the best `most` trials, the best first; columns without content are left out."""
    metric = table.identity.measure
    columns = [each for each in _columns(table, metric) if any(cell for cell, _ in each[1])]
    rows = tuple(
        Line(
            tuple(cells[index][0] for _, cells in columns),
            web_address(row.wandb),
            row is table.best,
            row.trial,
            tuple(cells[index][1] for _, cells in columns),
        )
        for index, row in enumerate(table.rows[:most])
    )
    links = sum(bool(row.link) for row in rows)
    label = "The best first. " + ("Each trial's name links to its run in Weights & Biases. " if links else "")
    if len(table.rows) > most:
        label += f"The best {most} of {len(table.rows)} trials; {as_typed('`make results`')} has them all. "
    return Grid(label, tuple(column for column, _ in columns), rows, "trials")


Cell = tuple[str, str]
"""What is shown, and what it is sorted by."""


def _columns(table: TrialTable, metric: Measure) -> Iterator[tuple[Column, list[Cell]]]:
    """Yields each column with its cells: what a reader compares first, then what explains it, then all metrics."""
    rows = table.rows
    yield Column("trial"), [(row.trial, "") for row in rows]
    yield Column("state"), [(row.shown_state, "") for row in rows]
    values = [row.value for row in rows]
    yield Column(str(metric), number=True), list(zip(_aligned(values, metric), map(_raw, values), strict=True))
    for name in table.settings:
        texts = [row.assignments.get(name, "") for row in rows]
        yield Column(name, number=True), [(short(text), text) for text in texts]
    yield Column("over mixture", number=True), [(_gain(row, metric), _raw(row.gain)) for row in rows]
    yield Column("best epoch", number=True), [(str(row.best_epoch or ""), "") for row in rows]
    yield Column("epochs", number=True), [(str(row.epochs or ""), "") for row in rows]
    yield Column("time", number=True), [(duration(row.seconds), _raw(row.seconds)) for row in rows]
    yield Column("GPU-hours", number=True), [(_hours(row) if table.gpus else "", "") for row in rows]
    yield Column("restarts", number=True), [(str(row.restarts or ""), "") for row in rows]
    yield Column("node"), [(row.node, "") for row in rows]
    names = dict.fromkeys(name for row in rows for name in row.metrics if name != row.objective)
    for name in names:
        values = [row.at_best(name) for row in rows]
        yield Column(name, number=True, more=True), [(short(_raw(value)), _raw(value)) for value in values]
    yield Column("reason", text=True), [(row.reason, "") for row in rows]


def _raw(value: float | None) -> str:
    return "" if value is None else repr(value)


def promising(table: TrialTable) -> Grid | None:
    """Returns the configurations that all trials together favour, which confirm would run; None without a value."""
    found = candidates(table)
    if not found:
        return None
    metric, names = table.identity.measure, list(dict.fromkeys(name for one in found for name in one.configuration))
    columns = (
        Column("trial"),
        Column(f"expected {metric}", number=True),
        Column("observed", number=True),
        Column("rank", number=True),
        *(Column(name, number=True) for name in names),
    )
    rows = tuple(
        Line(
            (
                one.trials[0],
                estimate(one.mean, one.sd, metric),
                with_unit(one.observed, metric),
                str(one.rank),
                *(short(one.configuration.get(name, "")) for name in names),
            ),
            trial=one.trials[0],
        )
        for one in found
    )
    return Grid("The most promising configurations", columns, rows)


def failures(table: TrialTable) -> Grid:
    """Returns why trials failed, a row for each cause with its trials, their settings and the fix."""
    failed = [row for row in table.rows if row.state in WITHOUT_RESULT]
    columns = (
        Column("cause", text=True),
        Column("trials", number=True),
        Column("first"),
        Column("after epochs"),
        Column("settings", text=True),
        Column("fix", text=True),
    )
    groups: dict[tuple[str, str, str], list[TrialRow]] = {}
    for row in failed:
        # Two causes that differ in a number, such as the bytes that were missing, are one.
        groups.setdefault((row.state, _DIGITS.sub("#", row.reason), _DIGITS.sub("#", row.fix)), []).append(row)
    order = sorted(groups.values(), key=lambda rows: -len(rows))
    rows = tuple(_cause(rows, table) for rows in order[:MOST_FAILURES])
    if not failed:
        return Grid("No trial failed.", columns, ())
    lost = sum(row.gpu_hours for row in failed)
    label = f"{count(len(failed), 'trial')} of {len(table.rows)} failed, after {hours(lost)} in all."
    if len(order) > MOST_FAILURES:
        label += f" The {MOST_FAILURES} most frequent of {len(order)} causes are listed."
    return Grid(label, columns, rows)


def _cause(rows: Sequence[TrialRow], table: TrialTable) -> Line:
    first = min(rows, key=lambda row: row.started or 0.0)
    epochs = sorted({row.epochs for row in rows})
    return Line(
        (
            first.reason or "no reason was recorded",
            str(len(rows)),
            first.trial,
            str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}",
            ", ".join(filter(None, (_range(name, rows) for name in table.settings))),
            as_typed(first.fix) or "none is known",
        ),
        trial=first.trial,
    )


def _range(name: str, rows: Sequence[TrialRow]) -> str:
    """Returns the values of a setting, as `lr 0.001 to 0.01`; empty where no trial has it."""
    texts = list(dict.fromkeys(row.assignments[name] for row in rows if name in row.assignments))
    if len(texts) < 2:
        return f"{name} {short(texts[0])}" if texts else ""
    values = [number(text) for text in texts]
    known = sorted(value for value in values if value is not None)
    if len(known) < len(values):
        return f"{name} {', '.join(texts[:4])}{', …' if len(texts) > 4 else ''}"
    return f"{name} {short(repr(known[0]))} to {short(repr(known[-1]))}"


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
            trial=row.trial,
        )
        for row in stopped[:MOST_DECISIONS]
    )
    label = count(len(stopped), "trial") + (
        f", the first {MOST_DECISIONS} of them" if len(stopped) > MOST_DECISIONS else ""
    )
    return Grid(label, columns, rows)


def _aligned(values: Sequence[float | None], metric: Measure) -> list[str]:
    """Returns the values with their unit, and as many decimals as the longest has, unless their sizes are far apart."""
    bare = [digits(value, metric) for value in values if value is not None]
    sizes = [abs(value) for value in values if value]
    if not sizes or max(sizes) > ALIKE * min(sizes) or any("e" in text for text in bare):
        return ["" if value is None else with_unit(value, metric) for value in values]
    places = max(len(text.partition(".")[2]) for text in bare)
    return ["" if value is None else f"{value:.{places}f} {metric.unit}".rstrip() for value in values]


def _gain(row: TrialRow, metric: Measure) -> str:
    return "" if row.gain is None else difference(row.gain, metric)


def _hours(row: TrialRow) -> str:
    return f"{row.gpu_hours:.2f}" if row.gpu_hours else ""


def _saved(row: TrialRow, table: TrialTable) -> str:
    found = saved(row, table)
    return "" if found is None else hours(found)
