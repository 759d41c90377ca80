"""The trial table of an experiment: one row a trial, best on top.

Read from the local store; called by the verbs results and local.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from katib.errors import FolderError, nearest
from katib.local.store import DATABASE, Identity, State, Store, Trial, objective_value
from katib.local.view import duration, short, with_unit

SUMMARY = "summary.json"
"""The trainer's own account of a run, in its folder (trainer/progress.py)."""


@dataclass(frozen=True)
class Row:
    """One trial. `value` is the objective's, `seconds` is training time, `best_epoch` counts from 1."""

    trial: str
    state: State
    reason: str
    assignments: dict[str, str]
    value: float | None
    best_epoch: int | None
    epochs: int
    seconds: float
    gain: float | None
    """How much better than the unprocessed mixture, in dB; None where the run says nothing of it."""


@dataclass(frozen=True)
class TrialTable:
    """The trials of one experiment, best first, those without a value last."""

    identity: Identity
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row | None:
        """The best trial that has a value."""
        return self.rows[0] if self.rows and self.rows[0].value is not None else None

    @property
    def counts(self) -> dict[State, int]:
        """Trials by state."""
        states = [row.state for row in self.rows]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    def records(self) -> list[dict[str, Any]]:
        """What `results --json` prints; the value goes by the metric's own name."""
        return [
            {
                "trial": row.trial,
                "state": row.state,
                "reason": row.reason,
                "assignments": row.assignments,
                self.identity.metric: row.value,
                "best_epoch": row.best_epoch,
                "epochs": row.epochs,
                "seconds": round(row.seconds, 3),
            }
            for row in self.rows
        ]

    def print(self, console: Console) -> None:
        """On a terminal that is too narrow the settings and reasons stay away; a file or a pipe has no width."""
        table = self._printable(whole=True)
        if not console.is_terminal:
            console = Console(width=1000)
        elif console.measure(table, options=console.options.update(width=1000)).maximum > console.width:
            table = self._printable(whole=False)
            table.caption = "a wider terminal shows the settings and reasons"
        console.print(table)

    def _printable(self, *, whole: bool) -> RichTable:
        metric = self.identity.metric
        gains = any(row.gain is not None for row in self.rows)
        settings = list(self.rows[0].assignments) if self.rows and whole else []
        reasons = whole and any(row.reason for row in self.rows)
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("trial", "state"):
            table.add_column(heading, no_wrap=True)
        numbers = [metric, *(["over mixture"] if gains else []), "best epoch", "of", "time", *settings]
        for heading in numbers:
            table.add_column(heading, justify="right", no_wrap=True)
        if reasons:
            table.add_column("reason", no_wrap=True)
        for row in self.rows:
            table.add_row(
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
        return table


def read_table(runs: Path, experiment: str) -> TrialTable:
    """The trial table of `experiment` below `runs`. Raises FolderError where there is none."""
    folder = find(runs, experiment)
    store = Store(folder)
    try:
        return table(store.identity, store.trials(), folder)
    finally:
        store.close()


def find(runs: Path, experiment: str) -> Path:
    """The folder of `experiment`. Raises FolderError that names those there are."""
    there = experiments(runs)
    if experiment not in there:
        hint = nearest(experiment, there) if there else "there is none yet; `make local MODEL=...` starts one"
        raise FolderError(f"{runs}: no experiment '{experiment}': {hint}")
    return runs / experiment


def experiments(runs: Path) -> list[str]:
    """The names of all experiments below `runs`."""
    return sorted(path.parent.name for path in runs.glob(f"*/{DATABASE}"))


def table(identity: Identity, trials: Sequence[Trial], folder: Path) -> TrialTable:
    """The table of these trials, whose run directories lie in `folder`."""
    sign = -1 if identity.maximize else 1
    rows = [_row(trial, identity, folder / trial.name / SUMMARY) for trial in trials]
    rows.sort(key=lambda row: (row.value is None, sign * (row.value or 0)))
    return TrialTable(identity, tuple(rows))


def _row(trial: Trial, identity: Identity, summary: Path) -> Row:
    value = objective_value(trial.values, identity.strategy)
    mixture = _mixture(summary, identity.metric)
    return Row(
        trial=trial.name,
        state=trial.state,
        reason=trial.reason,
        assignments=dict(trial.assignments),
        value=value,
        best_epoch=None if value is None else trial.values.index(value) + 1,
        epochs=len(trial.values),
        seconds=trial.effort.seconds,
        gain=None if value is None or mixture is None else value - mixture,
    )


def _mixture(summary: Path, metric: str) -> float | None:
    """What the unprocessed mixtures score, where the run wrote it down."""
    try:
        found = json.loads(summary.read_text()).get(f"mixture_{metric}")
    except (OSError, ValueError, AttributeError):
        return None
    return float(found) if isinstance(found, int | float) else None


def _gain(row: Row) -> str:
    return "" if row.gain is None else f"{row.gain:+.2f} dB"
