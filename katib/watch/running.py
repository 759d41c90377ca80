"""Shows the trials that run now: where each is within its epoch, and its curve beside the bar of the stop rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from types import MappingProxyType

from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.labels import Entry, Label, apart, cut, written
from katib.draw.marks import dot, line, whisker
from katib.draw.scale import Linear
from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.manifest.search import Algorithm
from katib.search.stop_rules import stop_rule
from katib.table.ends import End, ends
from katib.table.sample import foremost, spread
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, duration, estimate, with_unit
from katib.tree import text_at
from katib.watch.strip import when
from katib.watch.view import View

WIDE, NARROW = 1020.0, 360.0
MOST, MOST_OTHERS, MOST_POINTS, MOST_BARS = 32, 30, 60, 25
BESIDE = 86.0
"""Pixels at the right for the names of trials in their last epoch."""
AWFUL = 1e9
"""A value with which no trial continues, in any unit."""


@dataclass(frozen=True)
class Now:
    """A running trial in words; `share` is the part of its epoch that is done, None where it does not say."""

    trial: str
    share: float | None
    where: str
    pace: str
    best: str
    silence: str
    """That it takes no steps; empty where it may just be slow."""


def running(table: TrialTable) -> list[TrialRow]:
    """Returns the trials that run, the best first."""
    return [row for row in table.rows if row.state == "Running"][:MOST]


def expected(view: View) -> dict[str, End]:
    """Returns where each running trial would end, by what completed trials gained after the same epoch."""
    rows = [replace(row, state="EarlyStopped") for row in running(view.table)]
    return ends(replace(view.table, rows=(*rows, *view.table.finished)))


def now(row: TrialRow, view: View, end: End | None = None) -> Now:
    """Returns what a running trial is doing."""
    beat, metric = row.heartbeat, view.table.identity.measure
    most = beat.epochs if beat else view.table.budget.epochs if view.table.budget else None
    of = f" of {most}" if most else ""
    best = "" if row.value is None else f"best {with_unit(row.value, metric)} at epoch {row.best_epoch}"
    if end is not None:
        best += f", expected to end at {estimate(end.value, end.sd, metric)}"
    last = view.curve(row).last_time
    if beat is None or beat.epoch <= row.epochs:
        # A trainer of somebody else's may print no times.
        since = f", the last one ended {when(last, view.now)}" if last else "" if row.epochs else ", none has ended yet"
        return Now(row.trial, None, f"after {count(row.epochs, 'epoch')}{of}{since}", "", best, "")
    what = "validation" if beat.validating else "step"
    where = f"epoch {beat.epoch}{of}, {what} {beat.step} of {beat.steps}"
    pace = [f"{beat.mixtures_per_second:.3g} mixtures/s"] if beat.mixtures_per_second else []
    if beat.epoch_seconds:
        pace.append(f"{duration(beat.epoch_seconds)} an epoch")
        if beat.epochs > beat.epoch:
            rest = (beat.epochs - beat.epoch + 1 - beat.share) * beat.epoch_seconds
            pace.append(f"its last would end {when(view.now + rest, view.now)}")
    return Now(row.trial, beat.share, where, ", ".join(pace), best, beat.silence(view.now))


class StopBars:
    """Keeps the bar of each search until another of its trials has ended: to ask for it compares all trials."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, list[tuple[int, float]]]] = {}

    def of(self, view: View) -> list[tuple[int, float]]:
        """Returns `stop_bar` of a search."""
        name, ended = view.table.identity.name, len(view.table.rows) - len(view.table.under_way)
        if name not in self._kept or self._kept[name][0] != ended:
            self._kept[name] = ended, stop_bar(view)
        return self._kept[name][1]


def stop_bar(view: View) -> list[tuple[int, float]]:
    """Returns the value that a trial needs at each epoch to go on, where the stop rule looks; empty without a rule."""
    table = view.table
    manifest = Manifest(table.identity.spec)
    name = text_at(manifest.spec, "earlyStopping", "algorithmName")
    if not name:
        return []
    direction = table.identity.direction
    try:
        rule = stop_rule(Algorithm(name, manifest.stop_settings), direction, table.identity.measure)
    except ManifestError:
        return []
    completed = [row.values for row in table.rows if row.state == "Succeeded" and row.values]
    others = [row.values for row in table.rows if row.state in ("EarlyStopped", "Running") and row.values]
    most = max((len(values) for values in (*completed, *others)), default=0)
    steps = range(1, most + 1)
    if len(table.rows) > 300 and not manifest.pauses:
        steps = range(1, most + 1, max(1, most // MOST_BARS))
    found = []
    for step in steps:
        stop = rule.decide([-direction.sign * AWFUL] * step, others, completed)
        if stop is not None and abs(stop.bar) < AWFUL:
            found.append((step, stop.bar))
    return found


def curves(
    view: View, bar: Sequence[tuple[int, float]], expected: Mapping[str, End] = MappingProxyType({})
) -> tuple[Drawing, ...]:
    """Returns the curves of the running trials before those of the others, for a page and for a phone."""
    rows = [row for row in running(view.table) if len(view.curve(row).values)]
    if not rows:
        return ()
    return tuple(
        replace(_drawing(view, rows, bar, width, expected), kind=kind)
        for width, kind in ((WIDE, "across"), (NARROW, "narrow"))
    )


def _drawing(
    view: View, rows: Sequence[TrialRow], bar: Sequence[tuple[int, float]], width: float, expected: Mapping[str, End]
) -> Drawing:
    table = view.table
    metric = table.identity.measure
    others = foremost([row for row in table.rows if row.state in ("Succeeded", "EarlyStopped")], MOST_OTHERS)
    found = [end.value for end in expected.values()]
    values = sorted(value for row in (*rows, *others) for value in view.curve(row).values if isfinite(value))
    reached = [view.curve(row).values[-1] for row in rows]
    # The steep beginnings would press the rest together; what runs is always on the axis.
    tail = len(values) // 8
    low, high = (
        (min(values[tail], *reached), max(values[-1], *found, *reached))
        if table.identity.maximize
        else (min(values[0], *found, *reached), max(values[-1 - tail], *reached))
    )
    margin = 0.06 * (high - low) or 0.5
    last = max(view.curve(row).steps[-1] for row in (*rows, *others) if len(view.curve(row).steps))
    most = max(last, table.budget.epochs if table.budget else 0)
    entries = [Entry("running", "s-Running thick", "line"), Entry("others", "others thin", "line")]
    entries += [Entry("expected end", "s-Running", hollow=True)] if expected else []
    entries += [Entry("needed to go on", "baseline dotted", "line")] if bar else []
    across, up = Linear(0, most, whole=True), Linear(low - margin, high + margin)
    frame = Frame(width, 340, across, up, "epoch", metric.title, tuple(entries), BESIDE)
    marks = [_curve(view, row, frame, "others thin") for row in others]
    marks += [line([frame.at(step, value) for step, value in bar], "baseline dotted")] if len(bar) > 1 else []
    marks += [dot(*frame.at(step, value), "baseline", shape="diamond") for step, value in bar] if len(bar) < 8 else []
    marks += [_curve(view, row, frame, "s-Running thick") for row in rows]
    marks += [_end(expected[row.trial], row.trial, frame, most) for row in rows if row.trial in expected]
    start = f"{table.identity.name}-"
    labels = [
        Label(
            frame.across(view.curve(row).steps[-1]) + 6,
            frame.up(view.curve(row).values[-1]),
            cut(row.trial.removeprefix(start), BESIDE),
            "note halo",
        )
        for row in rows
    ]
    words = f"The curves of {count(len(rows), 'running trial')} among {len(others)} others."
    placed = written(apart(labels, frame.top, frame.floor - 6)) if len(labels) <= 12 else ""
    return frame.drawing("Running trials", words, [frame.inside(marks), placed], interactive=True)


def _end(end: End, trial: str, frame: Frame, most: int) -> str:
    """Returns the expected end as a hollow dot with a whisker of one deviation, at the right edge."""
    x, up = frame.across(most) - 6, frame.up
    return whisker(x, up(end.value - end.sd), up(end.value + end.sd), "s-Running", trial) + dot(
        x, up(end.value), "s-Running", trial, hollow=True
    )


def _curve(view: View, row: TrialRow, frame: Frame, kind: str) -> str:
    curve = view.curve(row)
    points = spread(list(zip(curve.steps, curve.values, strict=True)), MOST_POINTS)
    if len(points) == 1:
        return dot(*frame.at(*points[0]), kind, row.trial, radius=2.5)
    return line([frame.at(step, value) for step, value in points], kind, row.trial)
