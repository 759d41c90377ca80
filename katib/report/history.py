"""Draws how the search went: its trials one after the other in time, and the best value so far."""

from collections.abc import Sequence

from katib.conclude.belief import Belief
from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import line
from katib.draw.scale import Linear
from katib.report.figure import Figure, Span, by_state, sized, span
from katib.report.trial_marks import NOTHING, baseline_mean, baseline_rule, entries, room, trial_mark, worth
from katib.table.sample import foremost
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, with_unit

MOST_POINTS = 1500
KEY, TITLE = "history", "Search history"


def history(table: TrialTable, belief: Belief = NOTHING) -> Figure:
    """Returns each trial's value by start time, and the best value so far, which steps where a trial has ended."""
    order = sorted(table.rows, key=lambda row: (row.started is None, row.started or 0.0))
    numbers = {row.trial: number for number, row in enumerate(order, 1)}
    valued = [row for row in order if row.value is not None]
    best = table.best
    if best is None:
        return Figure(KEY, TITLE, "Not enough data: no trial has reported a value yet.")
    kept = {row.trial for row in foremost([row for row in table.rows if row.value is not None], MOST_POINTS)}
    rows, seen = [row for row in valued if row.trial in kept], span(table, belief.expected)
    flat = " All trials reached the same value." if len(valued) > 1 and seen.low == seen.high else ""
    finding = (
        f"The best value, {with_unit(best.value or 0.0, table.identity.measure)}, came with trial "
        f"{numbers[best.trial]} of {len(order)}.{flat}{_versus_baseline(table)}"
    )
    left_out = f"{MOST_POINTS} of {len(valued)} trials are drawn." if len(valued) > MOST_POINTS else ""
    reached = [value for row in rows if (value := worth(row, belief)) is not None]
    edge = seen.note(reached, table.identity.measure, table.identity.direction)
    note = " ".join(filter(None, (left_out, edge)))
    steps = best_so_far(valued, numbers, table)

    def draw(width: float, height: float) -> Drawing:
        return _drawing(table, belief, seen, rows, numbers, steps, width, height, finding)

    return Figure(KEY, TITLE, finding, sized(draw, 360, 300), note)


def _drawing(
    table: TrialTable,
    belief: Belief,
    seen: Span,
    rows: Sequence[TrialRow],
    numbers: dict[str, int],
    steps: Sequence[tuple[float, float]],
    width: float,
    height: float,
    finding: str,
) -> Drawing:
    frame = Frame(
        width,
        height,
        Linear(0.3, max(numbers.values()) + 0.7, whole=True),
        Linear(*seen.range(*baseline_mean(table))),
        "trial (by start time)",
        table.identity.measure.title,
        (*entries(rows, belief), Entry("best so far", "best", "line")),
        room(table),
        10,
    )
    marks = [frame.inside([line([frame.at(x, y) for x, y in steps], "best", steps=True)])]
    for group in by_state(rows).values():
        marks += [trial_mark(row, frame.across(numbers[row.trial]), frame, seen, belief) for row in group]
    return frame.drawing(TITLE, finding, [baseline_rule(table, frame), *marks])


def best_so_far(rows: Sequence[TrialRow], numbers: dict[str, int], table: TrialTable) -> list[tuple[float, float]]:
    """Returns the corners of the line of the best value so far, by number and value.

    With trials side by side a value counts from the first trial that started after it was reached.
    """
    found: list[tuple[float, float]] = []
    ends = sorted(rows, key=lambda row: row.ended or row.started or 0.0)
    starts = sorted((row.started, numbers[row.trial]) for row in table.rows if row.started is not None)
    for row in ends:
        value, x = row.value or 0.0, numbers[row.trial]
        if row.ended is not None:
            begun = [number for started, number in starts if started < row.ended]
            x = max([x, *begun])
        if not found or table.identity.direction.better(value, found[-1][1]):
            found.append((x, value))
    return [*found, (max(numbers.values()), found[-1][1])]


def _versus_baseline(table: TrialTable) -> str:
    baseline, best = table.baseline, table.best
    if baseline is None or best is None or best.value is None:
        return " There is no baseline to compare it with."
    seeds = count(len(baseline.seeds), "seed")
    side = "above" if best.value >= baseline.mean else "below"
    difference = f"{with_unit(abs(best.value - baseline.mean), table.identity.measure)} {side}"
    return (
        f" That is {difference} the baseline's mean of {seeds}; but the best of many single runs is also a lucky one; "
        "only more seeds show by how much."
    )
