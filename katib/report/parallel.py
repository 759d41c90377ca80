"""Draws each trial as a line over all searched parameters; an axis can be brushed, and the page follows."""

from collections.abc import Mapping, Sequence

from katib.conclude.belief import Belief
from katib.draw.drawing import Drawing, group, number
from katib.draw.labels import ROW, Entry, broken, fitted, legend, width_of
from katib.draw.marks import Anchor, line, rect, text
from katib.draw.scale import Linear, Scale
from katib.report.axes import Line, axes
from katib.report.figure import Figure, Span, listed, sized, span
from katib.report.trial_marks import NOTHING, best_first, worth
from katib.table.sample import foremost
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import settings_text, short

MOST_LINES, SHADES, MOST_HEADING = 300, 8, 4
LETTER = 8.6
"""Pixels of a bold letter, generously."""
SIDE = 26.0
"""Pixels beside the outer axes."""
APART = 0.06
"""Of an axis, between two of its labels at least."""
KEY, TITLE = "parallel", "Parallel coordinates"

Places = list[float | None]


def parallel(table: TrialTable, belief: Belief = NOTHING) -> Figure:
    """Returns each trial as a line over the searched axes, the better the stronger, and the best one thick."""
    lines, best = axes(table), table.best
    if best is None or not lines:
        return Figure(KEY, TITLE, "Not enough data: no trial has reported a value yet.")
    ranked = best_first(table.rows, belief, table.identity.direction)
    ranked = [best, *(row for row in ranked if row is not best)]
    shown, seen = foremost(ranked, MOST_LINES), span(table, belief.expected)
    without = [row for row in table.rows if row.value is None][: MOST_LINES // 4]
    heights = places(table, belief)
    finding = (
        f"Each line is a trial, the better the stronger; the thick orange one is the best, {best.trial}: "
        f"{settings_text(best.assignments)}. {_near(ranked, lines)}"
    )
    left_out = (
        f"Of {len(ranked)} trials with a value the best {MOST_LINES // 2} are drawn, and {MOST_LINES // 2} evenly "
        "from the others."
        if len(ranked) > len(shown)
        else ""
    )
    expected = "Stopped trials (dashed) count as what they would have reached." if belief.ends else ""

    def draw(width: float, height: float) -> Drawing:
        values = (table.identity.measure.title, Linear(seen.low, seen.high))
        scales = [*((one.name, one.scale()) for one in lines), values]
        return _drawing(shown, without, heights, scales, width, height, finding)

    return Figure(KEY, TITLE, finding, sized(draw, 420, 380), " ".join(filter(None, (left_out, expected))))


def places(table: TrialTable, belief: Belief) -> dict[str, Places]:
    """Returns the height of each trial on each axis, 0 to 1, and on that of the value, which is the last."""
    lines = axes(table)
    seen = span(table, belief.expected) if table.best else Span(0.0, 1.0)
    found = {}
    for row in table.rows:
        value = worth(row, belief)
        height = None if value is None else Linear(seen.low, seen.high).place(seen.held(value))
        found[row.trial] = [*(one.place(row.assignments.get(one.name)) for one in lines), height]
    return found


def _drawing(
    shown: Sequence[TrialRow],
    without: Sequence[TrialRow],
    heights: Mapping[str, Places],
    scales: Sequence[tuple[str, Scale]],
    width: float,
    height: float,
    finding: str,
) -> Drawing:
    entries = [Entry("best trial", "best", "line"), Entry("better", "v7", "line"), Entry("worse", "v0", "line")]
    entries += [Entry("no value", "s-Failed dotted", "line")] if without else []
    key, used = legend(entries, width)
    step = (width - 2 * SIDE) / max(1, len(scales) - 1)
    # The outer names begin and end at the edge, so that two neighbours share their step and a side.
    letters = max(6, int(min((step + SIDE) / 1.5, step - 8) / LETTER))
    names = [_heading(name, letters) for name, _ in scales]
    top, floor = used + ROW * max(map(len, names)) + 4, height - 10
    across = [SIDE + index * step for index in range(len(scales))]

    def drawn(row: TrialRow, kind: str) -> str:
        points = zip(across, heights[row.trial], strict=True)
        return line([(x, floor - share * (floor - top)) for x, share in points if share is not None], kind, row.trial)

    marks = [key, *(drawn(row, "thin dotted s-Failed") for row in without)]
    for rank, row in reversed(list(enumerate(shown[1:], 1))):
        shade = SHADES - 1 - SHADES * rank // len(shown)
        marks.append(drawn(row, f"v{shade}{' thin dashed' if row.state == 'EarlyStopped' else ''}"))
    marks.append(drawn(shown[0], "best thick"))
    # The labels of the last axis are at its other side, where those of the one before need room too.
    beside = max((width_of(label) for _, label in _labels(scales[-1][1], ends=False)), default=0.0)
    for x, (name, scale), words in zip(across, scales, names, strict=True):
        room = step - 12 - (beside if x is across[-2] else 0.0)
        marks.append(_axis(x, name, scale, words, top, floor, room, last=x is across[-1]))
    return Drawing(width, height, TITLE, finding, tuple(marks), interactive=True)


def _heading(name: str, letters: int) -> list[str]:
    """Returns a name in at most four lines; a longer one by its beginning and end, since either may tell it apart."""
    lines = broken(name, letters)
    return lines if len(lines) <= MOST_HEADING else [*lines[: MOST_HEADING - 1], f"…{name[1 - letters :]}"]


def _axis(
    x: float, name: str, scale: Scale, words: Sequence[str], top: float, floor: float, room: float, *, last: bool
) -> str:
    """Returns an axis with its name above and its numbers at its side, to be brushed by pointer and by keys."""
    anchor: Anchor = "end" if last else "start" if x <= SIDE else "middle"
    at = {"end": x + SIDE - 2, "start": 2.0, "middle": x}[anchor]
    bottom = top - 10
    heads = [
        text(at, bottom - 0.8 * ROW * (len(words) - 1 - index), one, "name", anchor) for index, one in enumerate(words)
    ]
    side: Anchor = "end" if last else "start"
    ticks = [
        fitted(x - 4 if last else x + 4, floor - share * (floor - top) + 4, label, room, "tick halo", side)
        for share, label in _labels(scale, ends=not last)
    ]
    brush = group(
        "brush best",
        [
            rect(x - 14, top - 4, 28, floor - top + 8, "hit"),
            rect(x - 8, top, 16, 0.5, "range", visibility="hidden"),
        ],
        "",
        tabindex="0",
        role="slider",
        **{
            "data-axis": name,
            "data-top": number(top),
            "data-floor": number(floor),
            "aria-label": f"{name}: drag along the axis, or move the lower end of a range with the arrow keys and the "
            "upper end with Shift; Escape clears",
            "aria-valuemin": "0",
            "aria-valuemax": "100",
            "aria-valuenow": "0",
            "aria-valuetext": "all",
        },
    )
    return line([(x, top), (x, floor)], "axis") + "".join([*heads, *ticks]) + brush


def _labels(scale: Scale, *, ends: bool) -> list[tuple[float, str]]:
    """Returns the labels of an axis, those of its `ends` included where no other is near."""
    found = scale.ticks(5)
    if ends and isinstance(scale, Linear):
        sides = [(0.0, short(repr(scale.low))), (1.0, short(repr(scale.high)))]
        found += [side for side in sides if all(abs(side[0] - share) > APART for share, _ in found)]
    return found


def _near(rows: Sequence[TrialRow], lines: Sequence[Line]) -> str:
    """Returns the parameters on which the five best agree: those where they lie within a quarter of the axis."""
    if len(rows) < 10:
        return ""
    agreed = []
    for one in lines:
        found = [where for row in rows[:5] if (where := one.place(row.assignments.get(one.name))) is not None]
        if len(found) == 5 and max(found) - min(found) < 0.25 and not one.listed:
            texts = sorted((row.assignments[one.name] for row in rows[:5]), key=float)
            agreed.append(f"{one.name} ({short(texts[0])} to {short(texts[-1])})")
    if not agreed:
        return "The five best have no parameter in common: they lie far apart on every axis."
    return f"The five best lie close together in {listed(agreed)}."
