"""What a user sees of the searches on a cluster. Called by the verb status."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from katib.cluster.status import Progress, Row
from katib.metrics import UNIT
from katib.text import with_unit

STYLES = {
    "Created": "dim",
    "Waiting": "yellow",
    "Paused": "magenta",
    "Running": "cyan",
    "Succeeded": "green",
    "EarlyStopped": "yellow",
    "Failed": "red",
    "MetricsUnavailable": "red",
    "Killed": "red",
}


def records(found: Sequence[Progress]) -> list[dict[str, Any]]:
    """What `status --json` prints."""
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


def print_progress(
    found: Sequence[Progress], console: Console, namespace: str, problem: Exception | None = None
) -> None:
    """One table a search; a file or a pipe has no width."""
    wide = console if console.is_terminal else Console(width=1000, file=console.file)
    wide.print(table(found, wide, namespace, problem))


def table(
    found: Sequence[Progress], console: Console, namespace: str, problem: Exception | None = None
) -> RenderableType:
    """The searches one below the other, the API server's absence on top."""
    parts: list[RenderableType] = []
    if problem is not None:
        parts.append(Text(f"not up to date: {problem}; trying again", style="red"))
    if not found:
        parts.append(
            Text(f"no experiments of ours in namespace '{namespace}'; make deploy MODEL=… starts one")
        )
    for item in found:
        parts += [Text(headline(item), style="bold"), _trials(item)]
        parts += [Text(note) for note in _notes(item)]
    return Group(*parts)


def headline(item: Progress) -> str:
    """`series3-dprnn  Running  7 of 25 trials  12.3 of 62 GPU-hours  about 20 h left`."""
    search = item.search
    unit = "GPU-hours" if search.gpus else "hours"
    words = [search.name, "Deleting" if search.deleting else search.state]
    words.append(f"{search.trials} of {search.max_trials} trials")
    words.append(f"{_hours(item.hours_used)} of {_hours(item.hours_planned)} {unit}")
    if item.seconds_left is not None:
        words.append(f"about {_hours(item.seconds_left / 3600)} h left")
    if search.state == "Failed" and (why := search.stopped or search.message):
        words.append(why)
    return "  ".join(words)


def _trials(item: Progress) -> Table:
    """On a terminal that is too narrow the last columns are cut; what a trial is called and has come to is not."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    names = max((len(row.trial.name) for row in item.rows), default=0)
    made.add_column("trial", no_wrap=True, min_width=names)
    made.add_column("state", no_wrap=True, min_width=max((len(row.state) for row in item.rows), default=0))
    made.add_column("epoch", justify="right", no_wrap=True)
    for heading in ("now", "best"):
        made.add_column(heading, justify="right", no_wrap=True, min_width=len(f"-99.99 {UNIT}"))
    for heading in ("GPU-hours" if item.search.gpus else "hours", "restarts"):
        made.add_column(heading, justify="right", no_wrap=True)
    for heading in ("GPU", "node"):
        made.add_column(heading, no_wrap=True)
    for row in item.rows:
        made.add_row(
            row.trial.name,
            f"[{STYLES.get(row.state, '')}]{row.state}[/]",
            str(row.epoch or ""),
            _value(row.current, item.search.metric),
            _value(row.best, item.search.metric),
            _hours(row.hours),
            str(row.restarts or ""),
            str(row.gpus or ""),
            escape(row.node),
        )
    return made


def _notes(item: Progress) -> list[str]:
    notes = [f"  {item.lacking}"] if item.lacking else []
    for row in item.rows:
        if row.cause is not None:
            notes.append(f"  {row.trial.name}: {row.cause}")
        if row.interruption:
            notes.append(
                f"  {row.trial.name}: taken off its node before ({row.interruption}); it continues at its checkpoint"
            )
    if item.unreadable:
        notes.append(f"  a log could not be read: {item.unreadable}")
    if item.unread:
        notes.append(
            f"  the logs of {item.unread} running trials were not read in this look; status -w reads them in turn"
        )
    return notes


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
        "cause": row.cause.what if row.cause else "",
        "remedy": row.cause.remedy if row.cause else "",
    }


def _value(value: float | None, metric: str) -> str:
    return "" if value is None else with_unit(value, metric)


def _hours(hours: float) -> str:
    return f"{hours:.2f}" if hours < 10 else f"{hours:.0f}"
