"""What the output is, a terminal with a width or a pipe that has none, whether colours are wanted on it, and printing
to it.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from rich.console import Console
from rich.text import Text

from katib.columns import Column, Styled, Table, columns, fit, missing, wrapped
from katib.untrusted import clean

DUMB = ("dumb", "unknown")
MARGIN = 2
"""Columns that stay free in a picture that is drawn anew, so that the terminal's own `^C` begins no new line."""
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
    """Where tables are printed to."""

    console: Console
    terminal: bool

    @property
    def width(self) -> int | None:
        """None of a pipe or a file."""
        return self.size.columns if self.terminal else None

    @property
    def size(self) -> os.terminal_size:
        """Of the terminal as it is now; COLUMNS and LINES come first, as everywhere."""
        try:
            columns, lines = os.get_terminal_size(self.console.file.fileno())
        except (AttributeError, ValueError, OSError):
            columns, lines = 0, 0
        given = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
        wide, high = (int(text) if text.isdecimal() else 0 for text in given)
        return os.terminal_size((max(wide or columns or 80, MARGIN + 2), high or lines or 24))

    @property
    def live(self) -> bool:
        """Whether what stands there can be drawn anew."""
        return self.terminal and os.environ.get("TERM", "").lower() not in DUMB

    def line(self, *parts: Styled) -> None:
        """Prints texts in their styles as one line, however long."""
        self.console.print(assembled(parts), soft_wrap=True)

    def words(self, text: str, style: str = "", *, lead: Styled = ("", ""), indent: int = 0) -> None:
        """Prints a sentence behind `lead`, without what a terminal would obey, in lines of its width, the later ones
        indented.
        """
        start, own = lead
        text = clean(start + text)
        lines = wrapped(text, self.width, indent) if self.width else [text]
        self.line((lines[0][: len(start)], own), (lines[0][len(start) :], style))
        for line in lines[1:]:
            self.line((line, style))


def output(file: IO[str] | None = None) -> Output:
    """Returns what stdout, or `file`, is."""
    file = file or sys.stdout
    isatty = getattr(file, "isatty", None)
    terminal = bool(isatty and isatty())
    colours = wants_colours(os.environ, terminal=terminal)
    known = terminal and os.environ.get("TERM", "").lower() not in DUMB
    system = None if not colours else "auto" if known else "standard"
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
    """NO_COLOR forbids them anywhere (no-color.org), FORCE_COLOR asks for them on a pipe too (force-color.org) unless
    it is 0; else a terminal has them, unless it is a dumb one.
    """
    if environment.get("NO_COLOR"):
        return False
    forced = environment.get("FORCE_COLOR", "").lower()
    if forced:
        return forced not in ("0", "false")
    return terminal and environment.get("TERM", "").lower() not in DUMB


def assembled(parts: Iterable[Styled]) -> Text:
    """Texts in their styles, one after the other."""
    return Text.assemble(*parts, no_wrap=True, overflow="ignore")


def print_columns(found: Sequence[Column], out: Output, *, elsewhere: str, title: str = "") -> tuple[str, ...]:
    """Prints a table under its title, and below it what a terminal has no room for, which is returned.

    `elsewhere` shows it.
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
    elsewhere: str = "--json",
    out: Output | None = None,
    title: str = "",
) -> None:
    """Prints a small table: words to the left, numbers to the right."""
    print_columns(columns(headings, rows, ranks), out or output(), elsewhere=elsewhere, title=title)


def print_words(*sentences: str, indent: int = 0, file: IO[str] | None = None) -> None:
    """Prints each sentence, none where it is empty: on a terminal in lines of its width, the later ones indented."""
    out = output(file)
    for sentence in filter(None, sentences):
        out.words(sentence, indent=indent)


def say(text: str) -> None:
    """Prints a line at once, also into a pipe, without what a terminal would obey: much of it comes from a cluster."""
    print(clean(text), flush=True)


def rule(table: Table, out: Output) -> str:
    """Returns the line below the headings."""
    width = min(table.width, out.width or table.width)
    return ("─" if out.console.encoding.lower().startswith("utf") else "-") * width
