"""Lays out a table for a width: chooses the columns that fit and makes the lines. Pure: no I/O.

No cell is ever cut: a column is shown whole or left out, the one with the highest rank first, and a sentence names the
columns that are missing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

from katib.text import count
from katib.untrusted import clean

GAP = 2
HEADING_LINES = 3
"""The most lines that a heading takes before a column is left out."""
LONGEST_HEADING = 200
"""Characters of a heading: the time to break one grows with the square of its length."""
MISSING_LINES = 2
PIECE = 16
"""A longer word of a heading may be broken anywhere."""
EMPTY = "-"
"""An empty cell in a pipe or a file, so that columns can be counted (awk -F'  +')."""
RANGE = re.compile(r"(?<=[ _/.-])")

Styled = tuple[str, str]
"""A text and its style as rich names it; an empty style is none."""


@dataclass(frozen=True)
class Column:
    """A column. On a narrow terminal, the one with the highest `rank` is left out first, the lowest never."""

    heading: str
    cells: Sequence[str]
    rank: int = 0
    right: bool = False
    styles: Sequence[str] = ()
    """One for each cell, or none at all."""


@dataclass(frozen=True)
class Table:
    """A table as it is shown: lines of styled texts without trailing blanks, and the headings that were left out."""

    lines: tuple[tuple[Styled, ...], ...]
    heading_lines: int
    width: int
    left_out: tuple[str, ...]

    @property
    def plain(self) -> list[str]:
        """The lines without styles."""
        return ["".join(text for text, _ in line) for line in self.lines]


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]], ranks: Sequence[int] = ()) -> list[Column]:
    """Returns the columns of `rows`, with numbers aligned to the right; without `ranks`, the last is left out first."""
    made = []
    for index, heading in enumerate(headings):
        cells = [row[index] for row in rows]
        numbers = all(not cell or cell[0] in "+-0123456789" for cell in cells)
        made.append(Column(heading, cells, ranks[index] if ranks else index, right=numbers))
    return made


def fit(found: Sequence[Column], width: int | None) -> Table:
    """Returns the table of these columns in at most `width` characters; None, for a pipe or a file, is no limit."""
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
    """Returns the sentence that names the columns left out and where to see them; empty if there are none.

    It takes at most MISSING_LINES lines, and counts the columns for which there is no room.
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
    """Returns the common prefix of all names, `start` or one that ends with a hyphen, and the names without it."""
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
    """Returns `text` in lines of at most `width`, the later ones indented; a word that is too long is broken."""
    # The indent leaves room for at least one wide character, so that each line takes some of the text.
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
    """Yields a line in as many pieces as it takes."""
    while cell_len(line) > width:
        first = chop_cells(line, width)[0] or line[0]
        yield first
        line = " " * indent + line[len(first) :]
    yield line


def _clean(column: Column, empty: str) -> Column:
    """Returns the column with cells of one line each, without control characters."""
    cells = [_one_line(cell) or empty for cell in column.cells]
    return Column(_one_line(column.heading[:LONGEST_HEADING]), cells, column.rank, column.right, column.styles)


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())


def _chosen(found: Sequence[Column], width: int) -> list[Column]:
    """Returns the columns that fit under the narrowest headings, by rank."""
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
    """Returns the layout with headings in fewer lines than allowed, by rank, as far as there is `room`."""
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
    """Returns the least width with a heading of at most `lines` lines, and that heading."""
    # No narrower column can hold the heading in so many lines, each of which saves a blank.
    width = max([*map(cell_len, column.cells), (cell_len(column.heading) - lines + 1) // lines])
    while len(heading := _broken(column.heading, width)) > lines:
        width += 1
    return max(width, *map(cell_len, heading)), heading


def _broken(heading: str, width: int) -> list[str]:
    """Returns a heading in lines, broken after blanks, underscores and the like."""
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
    """Returns the only column, which is wider than the terminal, with its cells on several lines."""
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
    """Returns cells side by side; blanks are added before a text, and so never at the end."""
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
