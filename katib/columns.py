"""Which columns of a table a width has room for, and the lines that they make.

Every verb's table goes through here. Pure.

No cell is ever cut: a column is shown whole or left out, the one of the highest rank first, and a line says which are
missing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

from katib.text import count
from katib.untrusted import clean

GAP = 2
HEADING_LINES = 3
"""Into how many lines a heading may be broken before a column is left out."""
LONGEST_HEADING = 200
"""Letters of a heading; a name without end would take the time of its square to break."""
MISSING_LINES = 2
PIECE = 16
"""A word of a heading that is longer than this may be broken anywhere."""
EMPTY = "-"
"""An empty cell where there is no width: columns can then be counted (awk -F'  +')."""
RANGE = re.compile(r"(?<=[ _/.-])")

Styled = tuple[str, str]
"""A text and its style in rich's words; empty: none."""


@dataclass(frozen=True)
class Column:
    """One column. On a narrow terminal the one with the highest `rank` gives way first; the lowest never does."""

    heading: str
    cells: Sequence[str]
    rank: int = 0
    right: bool = False
    styles: Sequence[str] = ()
    """One a cell, or none at all."""


@dataclass(frozen=True)
class Table:
    """What is shown: lines of styled texts, without blanks at their ends, and the headings of what is not."""

    lines: tuple[tuple[Styled, ...], ...]
    heading_lines: int
    width: int
    left_out: tuple[str, ...]

    @property
    def plain(self) -> list[str]:
        """The lines without styles."""
        return ["".join(text for text, _ in line) for line in self.lines]


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]], ranks: Sequence[int] = ()) -> list[Column]:
    """Returns the columns of `rows`, numbers to the right; without `ranks` the last one gives way first."""
    made = []
    for index, heading in enumerate(headings):
        cells = [row[index] for row in rows]
        numbers = all(not cell or cell[0] in "+-0123456789" for cell in cells)
        made.append(Column(heading, cells, ranks[index] if ranks else index, right=numbers))
    return made


def fit(found: Sequence[Column], width: int | None) -> Table:
    """Returns the table of these columns as wide as `width` at most.

    None is a pipe or a file, which takes everything.
    """
    found = [_clean(column, EMPTY if width is None else "") for column in found]
    if width is None:
        return _table(found, [_laid(column, 1) for column in found], ())
    shown = _chosen(found, width)
    left_out = tuple(column.heading for column in found if all(column is not other for other in shown))
    for lines in range(1, HEADING_LINES + 1):
        laid = [_laid(column, lines) for column in shown]
        if _total(laid) <= width:
            return _table(shown, _widened(shown, laid, lines, width - _total(laid)), left_out)
    return _table(*_folded(shown[0], width), left_out)


def missing(left_out: Sequence[str], elsewhere: str, width: int) -> str:
    """Returns the sentence that names what was left out, as much of it as there are lines for, and where it can be
    seen; empty where nothing was.
    """
    if not left_out:
        return ""
    verb = "does" if len(left_out) == 1 else "do"
    places = " or ".join(filter(None, ("a wider terminal", elsewhere)))
    line = ""
    for named in range(len(left_out), 0, -1):
        more = f" and {len(left_out) - named} more" if named < len(left_out) else ""
        names = ", ".join(left_out[:named])
        shows = "shows it" if len(left_out) == 1 else "shows them"
        line = f"{count(len(left_out), 'column')} {verb} not fit: {names}{more}; {places} {shows}"
        if len(wrapped(line, width)) <= MISSING_LINES:
            break
    return line


def without_prefix(names: Sequence[str], start: str = "") -> tuple[str, list[str]]:
    """Returns what all names begin with, `start` or else whatever ends with a hyphen, and the names without it."""
    if start and names and all(name.startswith(start) and name != start for name in names):
        return start, [name.removeprefix(start) for name in names]
    first, last = (min(names), max(names)) if names else ("", "")
    same = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None)
    common = first[:same] if same is not None else first[: len(last)]
    prefix = common[: common.rfind("-") + 1]
    if any(name == prefix for name in names):
        return "", list(names)
    return prefix, [name[len(prefix) :] for name in names]


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Returns the words of `text` in lines of at most `width`, the later ones indented; a longer word is broken."""
    # Behind the indent there is room for a wide letter at least, so that each line takes something.
    indent = min(indent, width // 2, max(0, width - 2))
    first, *others = text.lstrip(" ").split(" ")
    lines = list(_pieces(text[: len(text) - len(text.lstrip(" "))] + first, width, indent))
    for word in others:
        if cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines += _pieces(" " * indent + word, width, indent)
    return [line.rstrip() for line in lines]


def _pieces(line: str, width: int, indent: int) -> Iterator[str]:
    """Yields a line in as many as it takes."""
    while cell_len(line) > width:
        first = chop_cells(line, width)[0] or line[0]
        yield first
        line = " " * indent + line[len(first) :]
    yield line


def _clean(column: Column, empty: str) -> Column:
    """In one line, without what a terminal would obey."""
    cells = [_one_line(cell) or empty for cell in column.cells]
    return Column(_one_line(column.heading[:LONGEST_HEADING]), cells, column.rank, column.right, column.styles)


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())


def _chosen(found: Sequence[Column], width: int) -> list[Column]:
    """By rank, as long as they fit under headings as narrow as may be."""
    chosen: set[int] = set()
    room = width + GAP
    for index in sorted(range(len(found)), key=lambda index: found[index].rank):
        room -= _laid(found[index], HEADING_LINES)[0] + GAP
        if chosen and room < 0:
            break
        chosen.add(index)
    return [column for index, column in enumerate(found) if index in chosen]


def _widened(
    shown: Sequence[Column], laid: Sequence[tuple[int, list[str]]], lines: int, room: int
) -> list[tuple[int, list[str]]]:
    """Headings that are broken into fewer lines than they may be, by rank, as far as there is room."""
    widened = list(laid)
    for index in sorted(range(len(shown)), key=lambda index: shown[index].rank):
        for fewer in range(1, lines):
            wider = _laid(shown[index], fewer)
            if wider[0] - laid[index][0] <= room:
                room -= wider[0] - laid[index][0]
                widened[index] = wider
                break
    return widened


def _laid(column: Column, lines: int) -> tuple[int, list[str]]:
    """Returns the narrowest width under a heading of at most so many lines, and that heading."""
    # So many lines hold no more than this; a blank between two of them is lost.
    width = max([*map(cell_len, column.cells), (cell_len(column.heading) - lines + 1) // lines])
    while len(heading := _broken(column.heading, width)) > lines:
        width += 1
    return max(width, *map(cell_len, heading)), heading


def _broken(heading: str, width: int) -> list[str]:
    """Returns a heading in lines, broken behind blanks, underscores and the like."""
    pieces = [part for piece in RANGE.split(heading) for part in chop_cells(piece, PIECE)]
    lines = [""]
    for piece in pieces:
        if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > width:
            lines.append(piece)
        else:
            lines[-1] += piece
    return [line.strip() for line in lines]


def _total(laid: Sequence[tuple[int, list[str]]]) -> int:
    return sum(width + GAP for width, _ in laid) - GAP


def _folded(column: Column, width: int) -> tuple[list[Column], list[tuple[int, list[str]]]]:
    """Returns one column alone that is wider than all there is: its cells take several lines."""
    cells, styles = [], []
    for index, cell in enumerate(column.cells):
        parts = chop_cells(cell, width) or [""]
        cells += parts
        styles += [_style(column, index)] * len(parts)
    heading = chop_cells(column.heading, width) or [""]
    return [Column(column.heading, cells, styles=styles)], [(width, heading)]


def _table(found: Sequence[Column], laid: Sequence[tuple[int, list[str]]], left_out: tuple[str, ...]) -> Table:
    height = max((len(heading) for _, heading in laid), default=0)
    above = [[""] * (height - len(heading)) + heading for _, heading in laid]
    lines = [_line(found, laid, [(heading[line], "bold") for heading in above]) for line in range(height)]
    for row in range(max((len(column.cells) for column in found), default=0)):
        cells = [(column.cells[row], _style(column, row)) for column in found]
        lines.append(_line(found, laid, cells))
    return Table(tuple(lines), height, _total(laid), left_out)


def _line(
    found: Sequence[Column], laid: Sequence[tuple[int, list[str]]], cells: Sequence[Styled]
) -> tuple[Styled, ...]:
    """Cells side by side; blanks come before a text, and so never at the end."""
    made: list[Styled] = []
    blanks = 0
    for column, (width, _), (text, style) in zip(found, laid, cells, strict=True):
        rest = width - cell_len(text)
        blanks += rest if column.right else 0
        if text:
            made += [(" " * blanks, "")] if blanks else []
            made.append((text, style))
            blanks = 0
        blanks += GAP + (0 if column.right else rest)
    return tuple(made)


def _style(column: Column, row: int) -> str:
    return column.styles[row] if column.styles else ""
