"""Draws the importance of each hyperparameter: by the search's model where it has one, else by how trials differ.

Nothing is drawn of a parameter that matters no more than chance would have it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from katib.conclude.belief import Belief
from katib.conclude.shares import Share
from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import dot, interval, line, rect, text
from katib.draw.scale import Category, Linear
from katib.report.figure import Figure, listed, sized
from katib.report.trial_marks import NOTHING
from katib.table.trial_table import TrialTable
from katib.text import count

if TYPE_CHECKING:
    from katib.table.importance import Importance

KEY, TITLE = "importance", "Hyperparameter importance"
THICK = 22.0


def importance_figure(table: TrialTable, belief: Belief = NOTHING) -> Figure:
    """Returns the share of the model's variation that each parameter explains, with its interval.

    Without a model it is a bar per parameter, and a mark at the level that chance reaches.
    """
    from katib.table.importance import importances  # loads NumPy, which --help need not wait for

    try:
        found = importances(table)
    except ValueError as reason:
        return Figure(KEY, TITLE, f"Not enough data: {reason}.")
    trials = sum(row.value is not None for row in table.rows)
    height = 84.0 + 40 * len(found)
    if any(one.name in belief.shares for one in found):
        return _modelled(found, belief, trials, height)
    finding = _finding(found, trials)
    return Figure(
        KEY, TITLE, finding, sized(lambda wide, high: _drawing(found, wide, high, finding), height, height + 20)
    )


def _modelled(found: "Sequence[Importance]", belief: Belief, trials: int, height: float) -> Figure:
    """Returns the figure of what both the model and the test against chance tell."""
    told = {
        one.name: share
        for one in found
        if one.significant and (share := belief.shares.get(one.name)) is not None and share.told
    }
    if not told:
        return Figure(KEY, TITLE, _finding([], trials))
    order = sorted(told, key=lambda name: -told[name].middle)
    rest = [one.name for one in found if one.name not in told]
    words = [f"{name} explains {_percent(told[name].middle)} ({_ends(told[name])})" for name in order]
    finding = f"By itself, as the model has it, {listed(words)} of the variation over the space; 90 % intervals."
    if rest:
        finding += f" Nothing can be said of {listed(rest)}: no more than chance."

    def draw(width: float, high: float) -> Drawing:
        return _shares(told, [*order, *rest], width, high, finding)

    return Figure(KEY, TITLE, finding, sized(draw, height - 20, height))


def _shares(told: dict[str, Share], names: Sequence[str], width: float, height: float, finding: str) -> Drawing:
    entries = (Entry("share explained by itself, with its 90 % interval", "s-Succeeded"),)
    scale = Category(tuple(reversed(names)))
    frame = Frame(width, height, Linear(0, 100), scale, "share of the model's variation (%)", "", entries)
    marks = []
    for name in names:
        y = frame.up(name)
        if name in told:
            share = told[name]
            low, middle, high = (frame.across(100 * one) for one in (share.low, share.middle, share.high))
            tip = f"{name}: {_percent(share.middle)}, {_ends(share)}"
            marks += [interval(y, low, high, "s-Succeeded"), dot(middle, y, "s-Succeeded", radius=5, tip=tip)]
        else:
            marks.append(text(frame.left + 6, y - 5, "no more than chance", "note"))
    return frame.drawing(TITLE, finding, marks)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _ends(share: Share) -> str:
    return f"{100 * share.low:.0f} to {_percent(share.high)}"


def _drawing(found: "Sequence[Importance]", width: float, height: float, finding: str) -> Drawing:
    entries = (
        Entry("more than chance", "s-Succeeded", "bar"),
        Entry("not distinguishable", "s-EarlyStopped", "bar"),
        Entry("level of chance", "baseline thick", "line"),
    )
    scale = Category(tuple(one.name for one in reversed(found)))
    most = max(max(one.share, one.chance) for one in found)
    frame = Frame(width, height, Linear(0, min(100.0, 105 * most)), scale, "share of all importance (%)", "", entries)
    marks = []
    for one in found:
        y, kind = frame.up(one.name), "s-Succeeded" if one.significant else "s-EarlyStopped"
        wide, x = frame.across(100 * one.share) - frame.left, frame.across(min(100 * one.chance, 100.0))
        tip = f"{one.name}: {100 * one.share:.0f} %, chance reaches {100 * one.chance:.0f} %"
        marks.append(rect(frame.left, y - THICK / 2, wide, THICK, kind, radius=2, tip=tip))
        marks.append(line([(x, y - 14), (x, y + 14)], "baseline thick"))
    return frame.drawing(TITLE, finding, marks)


def _finding(found: "Sequence[Importance]", trials: int) -> str:
    important = [f"{one.name} ({100 * one.share:.0f} %)" for one in found if one.significant]
    if not important:
        return f"{count(trials, 'trial')} are too few to distinguish the importance of any parameter from chance."
    rest = [one.name for one in found if not one.significant]
    words = f"Most important: {listed(important)}."
    if rest:
        words += f" Not distinguishable from chance (grey bars that end before the mark): {listed(rest)}."
    return words
