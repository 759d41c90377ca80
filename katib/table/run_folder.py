"""Reads what a run wrote about itself into its folder: the trainer's summary, its output, the address of its W&B run.

The folder may be missing, or come from anybody and from any trainer. What cannot be read counts as missing.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path

from katib import untrusted as foreign
from katib.metrics import MetricParser, Report
from katib.table.trial_table import Point
from katib.trainer_contract import WANDB_ADDRESS
from katib.untrusted import clean, finite

_NO_METRICS = ("epoch", "time")
_TAIL = 1 << 16

Metrics = dict[str, tuple[Point, ...]]


class Later(Mapping[str, tuple[Point, ...]]):
    """Metrics that are read on first use: most verbs never use them, and those of 2 000 trials take 200 MB."""

    def __init__(self, load: Callable[[], Metrics]) -> None:
        self._load = load

    @cached_property
    def _found(self) -> Metrics:
        return self._load()

    def read(self) -> Metrics:
        """Returns the metrics, which are not kept: whoever goes through many trials needs little of each."""
        return self._load()

    def __getitem__(self, name: str) -> tuple[Point, ...]:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def read_json(path: Path) -> Mapping[str, object]:
    """Returns the JSON object in `path`; an empty one if there is none."""
    try:
        found = foreign.read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def history(summary: Mapping[str, object], objective: str) -> Metrics:
    """Returns every metric by epoch from the trainer's summary.

    The name of a variant's validation begins with the objective's, as on W&B.
    """
    listed = summary.get("history")
    records = [
        record
        for record in (listed if isinstance(listed, list) else [])
        if isinstance(record, dict) and foreign.is_epoch(record.get("epoch"))
    ]
    steps = [(record["epoch"], _time(record.get("time"))) for record in records]
    variants = [found if isinstance(found := record.get("variants"), dict) else {} for record in records]
    columns = {name: [record.get(name) for record in records] for name in _names(records)}
    columns |= {f"{objective}_{name}": [record.get(name) for record in variants] for name in _names(variants)}
    found = {
        name: tuple(
            Point(step, number, time)
            for (step, time), value in zip(steps, values, strict=True)
            if (number := finite(value)) is not None
        )
        for name, values in columns.items()
        if name not in _NO_METRICS
    }
    return {clean(name): points for name, points in found.items() if points}


def _names(records: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record))


def printed(output: Path, filters: Sequence[str], names: Iterable[str]) -> Metrics:
    """Returns every metric by step from the output of a trial, read as Katib's collector reads it.

    A resumed trial prints its history again with the original times, so a time identifies a step.
    """
    names = list(names)
    parser = MetricParser(filters, names)
    try:
        found = (report for line in foreign.lines(output, names) for report in parser.parse(line))
        return points(islice(found, foreign.MOST_EPOCHS))
    except OSError:
        return {}


def last_lines(output: Path, most: int) -> list[str]:
    """Returns the last lines of the output of a trial, at most `most`; none where it cannot be read.

    Only its last 64 KiB are read, so that one of 10 GB takes no longer.
    """
    try:
        with os.fdopen(foreign.open_file(output), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            found = file.read(_TAIL).decode(errors="replace").splitlines()
    except OSError:
        return []
    return [clean(line) for line in found[-most:]]


def points(reports: Iterable[Report]) -> Metrics:
    """Returns the points of each metric, one per time, in the order of the reports.

    Each report without a time is a step of its own.
    """
    found: dict[str, dict[object, Report]] = {}
    for report in reports:
        steps = found.setdefault(report.name, {})
        steps[report.time or len(steps)] = report
    return {
        name: tuple(
            Point(step, report.value, report.time.timestamp() if report.time else None)
            for step, report in enumerate(steps.values(), 1)
            if finite(report.value) is not None
        )
        for name, steps in found.items()
    }


def wandb_link(folder: Path) -> str:
    """Returns the address of the run on W&B; empty if there is none, or none that can be shown."""
    try:
        return foreign.web_address(foreign.read_text(folder / WANDB_ADDRESS).strip())
    except (OSError, UnicodeDecodeError):
        return ""


def _time(text: object) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
