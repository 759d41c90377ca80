"""Lays out a figure: the rectangle that the axes span, its ticks, titles and legend, and marks that stay within it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from katib.draw.drawing import Attribute, Drawing, element
from katib.draw.labels import ROW, TEXT, Entry, fitted, legend, width_of
from katib.draw.marks import Point, line, text
from katib.draw.scale import Scale, Value

GAP = 8.0
"""Between an axis and its labels, in pixels."""
EDGE = 2.0
TITLE = 0.92
"""Of the room that the letters of a title take, which are a little larger than those of labels."""
LABELS = 0.4
"""Of the width that the labels of the vertical axis take at most: beyond it they are shortened."""
TICK_DISTANCE = 64.0
"""The least distance of two labels of the horizontal axis."""


@dataclass(frozen=True)
class Frame:
    """The rectangle of a figure's axes within `width` x `height` pixels; y points upwards on the axis."""

    width: float
    height: float
    x: Scale
    y: Scale
    x_title: str = ""
    y_title: str = ""
    entries: tuple[Entry, ...] = ()
    """The legend, above the rectangle."""
    right: float = 12.0
    """Room at the right for labels beside the rectangle."""
    bottom: float = 0.0
    """Room below the rectangle for a rug."""
    x_lines: bool = field(default=False, kw_only=True)
    """Whether vertical lines lead from the ticks of the horizontal axis."""

    @cached_property
    def left(self) -> float:
        """The left side of the rectangle: beyond it the vertical axis has its labels."""
        longest = max((width_of(words) for _, words in self.y.ticks()), default=0.0)
        return EDGE + GAP + min(longest, LABELS * self.width)

    @cached_property
    def top(self) -> float:
        """The upper side of the rectangle, below legend and title of the vertical axis."""
        _, height = legend(self.entries, self.width)
        return height + (ROW + 2 + self._lift if self.y_title else 6.0)

    @cached_property
    def _lift(self) -> float:
        """The room between the title of the vertical axis and a label at its upper end."""
        return 5.0 if any(share > 0.96 for share, _ in self.y.ticks()) else 0.0

    @cached_property
    def floor(self) -> float:
        """The lower side of the rectangle."""
        return self.height - self.bottom - (TEXT + 10) - (ROW if self.x_title else 0.0)

    @cached_property
    def end(self) -> float:
        """The right side of the rectangle."""
        return self.width - self.right

    def across(self, value: Value) -> float:
        """Returns the horizontal position of a value in pixels."""
        return self.left + self.x.place(value) * (self.end - self.left)

    def up(self, value: Value) -> float:
        """Returns the vertical position of a value in pixels."""
        return self.floor - self.y.place(value) * (self.floor - self.top)

    def at(self, x: Value, y: Value) -> Point:
        """Returns the position of two values in pixels."""
        return self.across(x), self.up(y)

    def inside(self, marks: Iterable[str]) -> str:
        """Returns marks at positions of the whole figure, cut off outside of the rectangle."""
        # A nested picture cuts off without an id, of which a page may have only one.
        wide, high = self.end - self.left, self.floor - self.top
        box = f"{self.left:.1f} {self.top:.1f} {wide:.1f} {high:.1f}"
        place: dict[str, Attribute] = {"x": self.left, "y": self.top, "width": wide, "height": high, "viewBox": box}
        return element("svg", place, *marks)

    def axes(self) -> str:
        """Returns both axes with ticks, labels and titles, and the legend."""
        most = max(2, int((self.end - self.left) / TICK_DISTANCE))
        parts = [legend(self.entries, self.width)[0]]
        for share, words in self.y.ticks():
            y = self.floor - share * (self.floor - self.top)
            parts.append(line([(self.left, y), (self.end, y)], "grid"))
            parts.append(fitted(self.left - GAP, y + 4, words, TITLE * LABELS * self.width, "tick", "end"))
        below = self.floor + self.bottom
        ticks = self.x.ticks(min(most, 11))
        apart = min((abs(after - one) for (one, _), (after, _) in pairwise(ticks)), default=1.0)
        room = apart * (self.end - self.left) - GAP
        for share, words in ticks:
            x = self.left + share * (self.end - self.left)
            if self.x_lines:
                parts.append(line([(x, self.top), (x, self.floor)], "grid"))
            parts.append(line([(x, below), (x, below + 4)], "axis"))
            half = min(width_of(words), room) / 2
            x = min(max(x, half), self.width - half)
            parts.append(fitted(x, below + TEXT + 6, words, room, "tick", "middle"))
        parts.append(line([(self.left, below), (self.end, below)], "axis"))
        if self.x_title:
            middle = (self.left + self.end) / 2
            wide = TITLE * 2 * min(middle, self.width - middle)
            parts.append(fitted(middle, self.height - 4, self.x_title, wide, "title", "middle"))
        if self.y_title:
            parts.append(fitted(EDGE, self.top - 7 - self._lift, self.y_title, TITLE * self.width, "title"))
        return "".join(parts)

    def rule(self, value: Value, words: str) -> str:
        """Returns a horizontal line at a value, with words at its right end beyond the rectangle's marks."""
        y = self.up(value)
        return line([(self.left, y), (self.end, y)], "rule") + text(self.end + 4, y + 4, words, "note")

    def drawing(self, title: str, description: str, marks: Sequence[str], *, interactive: bool = False) -> Drawing:
        """Returns the figure: the axes, then the marks."""
        return Drawing(self.width, self.height, title, description, (self.axes(), *marks), interactive=interactive)
