"""Draws single marks at positions in pixels: lines, dots, whiskers, bands, bars and texts.

`kind` names CSS classes, such as `s-Failed` or `v3`, which give a mark its colour; `trial` is the name of the trial
that it belongs to, and `tip` what a pointer over it is told.
"""

from collections.abc import Sequence
from typing import Literal

from katib.draw.drawing import Attribute, element, escaped, group, number

Point = tuple[float, float]
Shape = Literal["circle", "cross", "plus", "triangle", "star", "diamond"]
Anchor = Literal["start", "middle", "end"]
RADIUS, CAP = 4.0, 2.5
"""Of a dot, and half of the bar at the end of a whisker, in pixels."""
STAR = "M0-8L1.9-2.6 7.6-2.5 3.1 1 4.7 6.5 0 3.2-4.7 6.5-3.1 1-7.6-2.5-1.9-2.6Z"


def line(points: Sequence[Point], kind: str = "", trial: str = "", *, steps: bool = False, tip: str = "") -> str:
    """Returns a line through the points, horizontal and then vertical between two of them where it has `steps`."""
    return element("path", _marked(f"line {kind}", trial, tip) | {"d": path(points, steps=steps)})


def path(points: Sequence[Point], *, steps: bool = False) -> str:
    """Returns the data of a path through the points, in short relative numbers."""
    written: list[str] = []
    x, y = 0.0, 0.0
    for index, (to_x, to_y) in enumerate(points):
        # What was rounded away goes into the next difference, so that errors do not add up.
        right, down = round(to_x - x, 1), round(to_y - y, 1)
        if not index:
            written.append(f"M{_short(right)} {_short(down)}")
        elif steps:
            written.append(f"h{_short(right)}v{_short(down)}")
        else:
            # Of many line commands in a row the first has the letter, and a minus separates as well as a blank.
            first = "l" if index == 1 else "" if right < 0 else " "
            written.append(f"{first}{_short(right)}{'' if down < 0 else ' '}{_short(down)}")
        x, y = x + right, y + down
    return "".join(written)


def dot(
    x: float,
    y: float,
    kind: str = "",
    trial: str = "",
    *,
    shape: Shape = "circle",
    radius: float = RADIUS,
    hollow: bool = False,
    tip: str = "",
) -> str:
    """Returns a mark of a shape around a point; a hollow one shows its outline."""
    attributes = _marked(f"dot {'hollow ' if hollow else ''}{kind}", trial, tip)
    if shape == "circle":
        return element("circle", attributes | {"cx": x, "cy": y, "r": radius})
    r = _short(radius)
    outline = {
        "cross": f"M-{r}-{r}L{r} {r}M-{r} {r}L{r}-{r}",
        "plus": f"M-{r} 0H{r}M0-{r}V{r}",
        "triangle": f"M0-{r}L{r} {r}L-{r} {r}Z",
        "diamond": f"M0-{r}L{r} 0 0 {r}-{r} 0Z",
        "star": STAR,
    }[shape]
    if shape in ("cross", "plus"):
        attributes["class"] = f"stroke {kind}".strip()
    return element("path", attributes | {"transform": f"translate({number(x)} {number(y)})", "d": outline})


def whisker(
    x: float,
    low: float,
    high: float,
    kind: str = "",
    trial: str = "",
    *,
    cap: float = CAP,
    ends: Sequence[float] | None = None,
) -> str:
    """Returns a vertical line from `low` to `high` with a short bar at both, or at those that `ends` names."""
    barred = (low, high) if ends is None else ends
    bars = "".join(f"M{_short(x - cap)} {_short(end)}H{_short(x + cap)}" for end in barred)
    data = f"M{_short(x)} {_short(low)}V{_short(high)}{bars}"
    return element("path", _marked(f"whisker {kind}", trial) | {"d": data})


def interval(y: float, low: float, high: float, kind: str = "", trial: str = "", *, cap: float = 4.0) -> str:
    """Returns a horizontal line from `low` to `high` with a short bar at each end."""
    y0, y1 = _short(y - cap), _short(y + cap)
    data = f"M{_short(low)} {y0}V{y1}M{_short(low)} {_short(y)}H{_short(high)}M{_short(high)} {y0}V{y1}"
    return element("path", _marked(f"whisker {kind}", trial) | {"d": data})


def band(points: Sequence[tuple[float, float, float]], kind: str = "") -> str:
    """Returns the area between two lines, of points (x, lower, upper), with an edge that can be seen by itself."""
    lower, upper = [(x, low) for x, low, _ in points], [(x, high) for x, _, high in points]
    area = element("path", {"class": f"area {kind}".strip(), "d": f"{path([*upper, *reversed(lower)])}Z"})
    edge = element("path", {"class": f"edge {kind}".strip(), "d": path(upper) + path(lower)})
    return area + edge


def rect(
    x: float,
    y: float,
    width: float,
    height: float,
    kind: str = "",
    trial: str = "",
    *,
    radius: float = 0,
    tip: str = "",
    **more: Attribute,
) -> str:
    """Returns a filled rectangle; one that would have no area has a pixel."""
    sides: dict[str, Attribute] = {"x": x, "y": y, "width": max(width, 0.5), "height": max(height, 0.5)}
    return element("rect", _marked(f"bar {kind}", trial, tip) | sides | {"rx": radius or None} | more)


def rug(x: float, y: float, kind: str, trial: str) -> str:
    """Returns a short vertical stroke at the edge of a frame, for a value beyond it."""
    return element("path", _marked(f"rug {kind}", trial) | {"d": f"M{_short(x)} {_short(y)}v-8"})


def text(x: float, y: float, words: str, kind: str = "", anchor: Anchor = "start", **more: Attribute) -> str:
    """Returns words whose base line begins, has its middle or ends at a point."""
    attributes: dict[str, Attribute] = {"class": kind, "x": x, "y": y}
    anchored = None if anchor == "start" else anchor
    return element("text", attributes | {"text-anchor": anchored} | more, escaped(words))


def marked(kind: str, trial: str, *marks: str, **more: Attribute) -> str:
    """Returns several marks of one trial as a group, which is highlighted as one."""
    return group(kind, marks, trial, **more)


def _marked(kind: str, trial: str, tip: str = "") -> dict[str, Attribute]:
    return {"class": kind.strip(), "data-trial": trial, "data-tip": tip}


def _short(value: float) -> str:
    """Returns a number without the 0 before its point, as paths may have it."""
    written = number(value)
    return written.replace("0.", ".", 1) if written.startswith(("0.", "-0.")) else written
