"""Prints tables and sentences to a terminal, which has a width and perhaps colours, or to a pipe, which has neither."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from rich.console import Console
from rich.text import Text

from katib.columns import Column, Styled, Table, columns, fit, missing, wrapped
from katib.program import as_typed
from katib.untrusted import clean

MARGIN = 2
"""Columns that a live display leaves free, so that the terminal's own `^C` does not begin a new line."""
PAGE_SECONDS = 10.0
"""How long a page of a live display is shown where not everything fits on one."""
STATES = {
    "Created": "dim",
    "Waiting": "yellow",
    "Interrupted": "yellow",
    "Paused": "magenta",
    "Running": "cyan",
    "Succeeded": "green",
    "EarlyStopped": "yellow",
    "Failed": "red",
    "MetricsUnavailable": "red",
}
"""The style of a trial's state."""


@dataclass(frozen=True)
class Output:
    """Where tables are printed."""

    console: Console
    terminal: bool

    @property
    def width(self) -> int | None:
        """The characters of a line; None for a pipe or a file."""
        return self.size.columns if self.terminal else None

    @property
    def size(self) -> os.terminal_size:
        """The present size of the terminal, unless COLUMNS and LINES say otherwise."""
        try:
            columns, lines = os.get_terminal_size(self.console.file.fileno())
        except (AttributeError, ValueError, OSError):
            columns, lines = 0, 0
        given = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
        wide, high = (int(text) if text.isdecimal() else 0 for text in given)
        return os.terminal_size((max(wide or columns or 80, MARGIN + 2), high or lines or 24))

    @property
    def live(self) -> bool:
        """Whether what was printed can be replaced."""
        return self.terminal and not dumb(os.environ)

    @property
    def blocks(self) -> bool:
        """Whether it can show more characters than ASCII has."""
        return self.console.encoding.lower().startswith("utf")

    def line(self, *parts: Styled) -> None:
        """Prints texts in their styles as one line, however long."""
        self.console.print(assembled(parts), soft_wrap=True)

    def words(self, text: str, style: str = "", *, lead: Styled = ("", ""), indent: int = 0) -> None:
        """Prints a sentence after `lead`, in lines of the terminal's width, without control characters."""
        start, own = lead
        text = as_typed(clean(start + text))
        lines = wrapped(text, self.width, indent) if self.width else [text]
        self.line((lines[0][: len(start)], own), (lines[0][len(start) :], style))
        for line in lines[1:]:
            self.line((line, style))


def output(file: IO[str] | None = None) -> Output:
    """Returns the output that stdout, or `file`, is."""
    file = file or sys.stdout
    isatty = getattr(file, "isatty", None)
    terminal = bool(isatty and isatty())
    colours = wants_colours(os.environ, terminal=terminal)
    system = None if not colours else "auto" if terminal and not dumb(os.environ) else "standard"
    return Output(
        Console(
            file=file,
            force_terminal=terminal or colours,
            color_system=system,  # type: ignore[arg-type]  # one of its words
            no_color=False,
            highlight=False,
            markup=False,
            emoji=False,
        ),
        terminal,
    )


def wants_colours(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Returns whether the output has colours: by default, if it is a terminal and not a dumb one.

    NO_COLOR switches them off (no-color.org); FORCE_COLOR, unless it is 0, switches them on for a pipe too
    (force-color.org).
    """
    if environment.get("NO_COLOR"):
        return False
    forced = environment.get("FORCE_COLOR", "").lower()
    if forced:
        return forced not in ("0", "false")
    return terminal and not dumb(environment)


def dumb(environment: Mapping[str, str]) -> bool:
    """Returns whether the terminal says of itself that it can only print lines."""
    return environment.get("TERM", "").lower() in ("dumb", "unknown")


def assembled(parts: Iterable[Styled]) -> Text:
    """Returns texts with their styles, one after the other."""
    return Text.assemble(*parts, no_wrap=True, overflow="ignore")


def print_columns(found: Sequence[Column], out: Output, *, elsewhere: str, title: str = "") -> tuple[str, ...]:
    """Prints a table under its title, and returns the headings for which the terminal has no room.

    A sentence below the table names those, and `elsewhere`, where they can be seen.
    """
    made = fit(found, out.width)
    if title and out.terminal:
        out.words(title, "bold")
    for number, line in enumerate(made.lines):
        if number == made.heading_lines and out.terminal:
            out.line((rule(made, out), "dim"))
        out.line(*line)
    if out.width and made.left_out:
        out.words(missing(made.left_out, elsewhere, out.width), "dim")
    return made.left_out


def print_rows(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    ranks: Sequence[int] = (),
    *,
    out: Output | None = None,
    title: str = "",
) -> None:
    """Prints a small table, words aligned to the left and numbers to the right."""
    print_columns(columns(headings, rows, ranks), out or output(), elsewhere="--json", title=title)


def print_words(*sentences: str, indent: int = 0, file: IO[str] | None = None) -> None:
    """Prints each sentence that is not empty, on a terminal in lines of its width, the later ones indented."""
    out = output(file)
    for sentence in filter(None, sentences):
        out.words(sentence, indent=indent)


def say(text: str) -> None:
    """Prints a line at once, even into a pipe, without control characters: much of it comes from a cluster."""
    print(as_typed(clean(text)), flush=True)


def rule(table: Table, out: Output) -> str:
    """Returns the line below the headings."""
    width = min(table.width, out.width or table.width)
    return ("─" if out.blocks else "-") * width
