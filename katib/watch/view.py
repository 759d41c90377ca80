"""What the sections of the page show: a search's table at one moment, and its curves with their times.

The times of epochs are in files of the runs, which take long to read. Those of a trial are read again only when it has
another epoch, and are kept as plain numbers, so that 2 000 trials of 100 epochs take a few megabytes.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite, nan

from katib.conclude.belief import Belief
from katib.table.run_folder import Later
from katib.table.trial_table import Point, TrialRow, TrialTable
from katib.trial import ENDED


@dataclass(frozen=True)
class Curve:
    """The objective of a trial by epoch; `times` are Unix times in s, NaN where they are unknown."""

    steps: Sequence[int]
    values: Sequence[float]
    times: Sequence[float]

    @property
    def last_time(self) -> float | None:
        """When its last epoch with a known time ended."""
        return next((time for time in reversed(self.times) if isfinite(time)), None)


NO_CURVE = Curve((), (), ())


@dataclass(frozen=True)
class View:
    """A search at `now`, the Unix time in s."""

    table: TrialTable
    now: float
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """By trial."""
    tails: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The last lines of failed trials, by trial."""
    belief: Belief = field(default_factory=Belief)
    """What the search's model said when it was asked last."""
    halted: str = ""
    """Why it stands still, although trials are under way; empty where it does not."""
    price: float | None = None
    """What an hour of a GPU costs."""

    def curve(self, row: TrialRow) -> Curve:
        """Returns the curve of a trial."""
        return self.curves.get(row.trial, NO_CURVE)

    def ended(self, row: TrialRow) -> float | None:
        """Returns when a trial ended, as far as that is known; None while it is under way."""
        if row.state not in ENDED:
            return None
        return row.ended or self.curve(row).last_time or row.started


class Packed(Mapping[str, tuple[Point, ...]]):
    """Metrics as plain numbers, of which points are made as they are asked for: they take a tenth of the memory."""

    def __init__(self, metrics: Mapping[str, tuple[Point, ...]]) -> None:
        self._columns: dict[str, Curve] = {}
        known: dict[bytes, Sequence[float]] = {}
        for name, points in metrics.items():
            times = array("d", (nan if point.time is None else point.time for point in points))
            steps = array("l", (point.step for point in points))
            self._columns[name] = Curve(
                steps, array("d", (point.value for point in points)), known.setdefault(times.tobytes(), times)
            )

    def curve(self, name: str) -> Curve:
        """Returns a metric by epoch."""
        return self._columns.get(name, NO_CURVE)

    def __getitem__(self, name: str) -> tuple[Point, ...]:
        found = self._columns[name]
        return tuple(
            Point(int(step), value, time if isfinite(time) else None)
            for step, value, time in zip(found.steps, found.values, found.times, strict=True)
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class PackedRow(TrialRow):
    """A trial whose metrics are in memory as plain numbers."""

    def at_best(self, metric: str) -> float | None:
        """Returns what another metric was at the best epoch, without a point for each of its epochs."""
        if not isinstance(self.metrics, Packed) or self.best_epoch is None:
            return None
        found = self.metrics.curve(metric)
        return found.values[found.steps.index(self.best_epoch)] if self.best_epoch in found.steps else None


class Curves:
    """Reads the metrics of a search, and keeps them from one table to the next."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[TrialRow, Packed, TrialRow]] = {}

    def packed(self, table: TrialTable) -> TrialTable:
        """Returns the table with metrics that are in memory; a row that is the same as before stays so."""
        kept = {}
        for row in table.rows:
            before, packed, now = self._kept.get(row.trial, (None, None, None))
            if before is not row or packed is None or now is None:
                if before is None or packed is None or (before.state, before.epochs) != (row.state, row.epochs):
                    packed = _packed(row)
                now = _row(row, packed)
            kept[row.trial] = row, packed, now
        self._kept = kept
        return replace(table, rows=tuple(now for _, _, now in kept.values()))

    def of(self, table: TrialTable) -> dict[str, Curve]:
        """Returns the curve of each trial of a packed table."""
        name = table.identity.metric
        return {trial: packed.curve(name) for trial, (_, packed, _) in self._kept.items()}


class Tails:
    """Reads the last lines of the trials that failed last, once each."""

    def __init__(self, read: Callable[[str], Sequence[str]]) -> None:
        self._read = read
        self._kept: dict[tuple[str, float | None], Sequence[str]] = {}

    def of(self, rows: Sequence[TrialRow]) -> dict[str, Sequence[str]]:
        """Returns the last lines of these trials."""
        self._kept = {
            key: self._kept[key] if key in self._kept else self._read(key[0])
            for key in ((row.trial, row.ended) for row in rows)
        }
        return {trial: lines for (trial, _), lines in self._kept.items()}


def _row(row: TrialRow, metrics: Packed) -> TrialRow:
    return PackedRow(**{each.name: getattr(row, each.name) for each in fields(row)} | {"metrics": metrics})


def _packed(row: TrialRow) -> Packed:
    return Packed(row.metrics.read() if isinstance(row.metrics, Later) else row.metrics)
