"""Places words so that they cover neither each other nor the edge: legends, labels of points, broken headings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from katib.draw.drawing import group
from katib.draw.marks import Anchor, Shape, dot, line, rect, text

TEXT, ROW = 12.0, 18.0
"""The height of letters and of a line of text, in pixels."""
WIDE = 0.58
"""The mean width of a letter in units of its height, in the fonts of the page, generously."""
SWATCH = 16.0
APART = 14.0
"""The least distance between the labels of one column."""


@dataclass(frozen=True)
class Entry:
    """An entry of a legend: words behind a mark, which is a line, a bar or a point's shape."""

    words: str
    kind: str
    shape: Shape | str = "circle"
    hollow: bool = False


@dataclass(frozen=True)
class Label:
    """Words beside a point; `x` and `y` are where they begin, at half of their height."""

    x: float
    y: float
    words: str
    kind: str = "note"


def width_of(words: str) -> float:
    """Returns about how wide words are, in pixels."""
    return WIDE * TEXT * len(words)


def cut(words: str, width: float) -> str:
    """Returns words that fit into so many pixels: their end, which tells two trials apart."""
    most = max(2, int(width / (WIDE * TEXT)))
    return words if len(words) <= most else f"…{words[1 - most :]}"


def shortened(words: str, width: float) -> str:
    """Returns words that fit into so many pixels: their beginning and end, since either may tell two names apart."""
    most = max(3, int(width / (WIDE * TEXT)))
    return words if len(words) <= most else f"{words[: most // 2]}…{words[most // 2 + 1 - most :]}"


def fitted(x: float, y: float, words: str, width: float, kind: str, anchor: Anchor = "start") -> str:
    """Returns a text of at most so many pixels; a pointer over one that was shortened is told all of it."""
    shown = shortened(words, width)
    return text(x, y, shown, kind, anchor, **({} if shown == words else {"data-tip": words}))


def legend(entries: Sequence[Entry], width: float) -> tuple[str, float]:
    """Returns a legend that is broken into rows of `width`, and the height that it takes."""
    x, y, parts = 2.0, ROW / 2, list[str]()
    for entry in entries:
        wide = SWATCH + 6 + width_of(entry.words) + 12
        if x > 2 and x + wide > width:
            x, y = 2.0, y + ROW
        parts += [_swatch(entry, x, y), text(x + SWATCH + 6, y + 4, entry.words, "tick")]
        x += wide
    return group("legend", parts), (y + ROW / 2 + 4) if entries else 0.0


def apart(labels: Sequence[Label], low: float, high: float) -> list[Label]:
    """Returns labels of one column moved up and down until none covers another, within `low` and `high` if it fits."""
    order = sorted(range(len(labels)), key=lambda index: labels[index].y)
    places = [min(max(labels[index].y, low), high) for index in order]
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + APART)
    if places and places[-1] > high:
        places[-1] = high
        for index in range(len(places) - 2, -1, -1):
            places[index] = min(places[index], places[index + 1] - APART)
    found = list(labels)
    for index, y in zip(order, places, strict=True):
        found[index] = replace(labels[index], y=y)
    return found


def free(labels: Sequence[Label], taken: Sequence[tuple[float, float]], width: float, height: float) -> list[Label]:
    """Returns each label at the first of eight places around its point that no point and no label before it covers.

    `taken` are points that no label may cover. A label for which no place is free stays away.
    """
    kept: list[tuple[float, float, float, float]] = [(x - 5, y - 5, x + 5, y + 5) for x, y in taken]
    found = []
    for label in labels:
        wide = width_of(label.words)
        for dx, dy in ((8, 0), (-8 - wide, 0), (6, -12), (6, 12), (-6 - wide, -12), (-6 - wide, 12), (0, -18), (0, 18)):
            x, y = label.x + dx, label.y + dy
            box = (x, y - 7, x + wide, y + 7)
            inside = box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
            if inside and not any(_overlap(box, other) for other in kept):
                kept.append(box)
                found.append(replace(label, x=x, y=y))
                break
    return found


def written(labels: Sequence[Label]) -> str:
    """Returns the labels as they are placed."""
    return "".join(text(label.x, label.y + 4, label.words, label.kind) for label in labels)


def broken(words: str, letters: int = 12) -> list[str]:
    """Returns a long name in lines of at most so many letters, broken behind blanks and underscores where it can be."""
    lines = [""]
    wholes = words.replace("_", "_\n").replace(" ", " \n").split("\n")
    for part in (whole[at : at + letters] for whole in wholes for at in range(0, len(whole) or 1, letters)):
        if lines[-1] and len(lines[-1]) + len(part) > letters:
            lines.append("")
        lines[-1] += part
    return [one.strip() for one in lines]


def _swatch(entry: Entry, x: float, y: float) -> str:
    if entry.shape == "line":
        return line([(x, y), (x + SWATCH, y)], entry.kind)
    if entry.shape == "bar":
        return rect(x + 2, y - 6, SWATCH - 4, 12, entry.kind)
    shape: Shape = entry.shape  # type: ignore[assignment]
    return dot(x + SWATCH / 2, y, entry.kind, shape=shape, hollow=entry.hollow)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
