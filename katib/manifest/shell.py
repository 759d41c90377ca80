"""Reads the commands and the end of a script for sh, because Katib appends to its last character.

It reads quotes, comments, here-documents and the blocks of the shell (if … fi, { … }, ( … )) and expands nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

PIECE = re.compile(
    r"(?P<gap>(?:\\\n|[ \t])+)|(?P<line>\n)|(?P<comment>#[^\n]*)"
    r"|(?P<here><<-?(?!<)[ \t]*(?P<mark>'[^'\n]*'|\"[^\"\n]*\"|[^\s;&|()<>]+))"
    r"|(?P<redirect>\d*(?:[<>]&|&>>?|>>|<<<|<>|>\||[<>]))"
    r"|(?P<operator>&&|\|\||;;|[;&|])|(?P<paren>\$?[()])"
    r"|(?P<word>(?:\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`|\$\(\(|\$(?!\()|[^\s;&|()<>'\"\\`$])+)",
    re.DOTALL,
)
OPENS = ("if", "for", "while", "until", "case", "{")
CLOSES = ("fi", "done", "esac", "}")
BEFORE_A_COMMAND = ("then", "do", "else", "elif", "!", *OPENS)


@dataclass(frozen=True)
class Command:
    """A command outside of all blocks: its first word, and what precedes it (; & | && || or a line end)."""

    word: str
    after: str


@dataclass(frozen=True)
class Script:
    """The commands of a script. `end` says why nothing can be appended to its last character; None if something can."""

    commands: list[Command]
    end: str | None
    complete: bool


def read_script(text: str) -> Script:
    """Reads `text`, a script without placeholders."""
    commands: list[Command] = []
    blocks = parens = 0
    after, end, complete = "\n", None, True
    for kind, piece in _pieces(text):
        if kind == "open":
            complete = False
        if kind in ("comment", "here"):
            end = "has a comment at its end" if kind == "comment" else "ends with a here-document"
        elif kind != "gap":
            end = None
        if kind in ("line", "operator"):
            # A line end behind && and the like continues the list.
            after = after if kind == "line" and after not in ("", "\n", ";") else piece
            end = "ends with a line end" if kind == "line" else f"ends with '{piece}'"
        elif kind == "paren":
            parens, after = (max(parens - 1, 0), "") if piece == ")" else (parens + 1, "(")
        elif kind == "word" and after:
            closes = piece in CLOSES
            if not blocks and not parens and not closes:
                commands.append(Command(piece, after))
            blocks += (piece in OPENS) - (closes and blocks > 0)
            after = after if piece in BEFORE_A_COMMAND else ""
    return Script(commands, end, complete)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yields the kind and text of each piece; the kind is `open` for a quote or a here-document that never ends."""
    position = 0
    marks: list[str] = []
    while position < len(text):
        match = PIECE.match(text, position)
        if match is None:
            yield "open", text[position:]
            return
        position = match.end()
        kind = match.lastgroup or ""
        if match["mark"]:
            marks.append(re.sub(r"['\"\\]", "", match["mark"]))
            yield "redirect", match[0]
            continue
        yield kind, match[0]
        if kind == "line" and marks:
            for mark in marks:
                body = re.compile(rf"(?:[^\n]*\n)*?\t*{re.escape(mark)}(?=\n|\Z)").match(text, position)
                if body is None:
                    yield "open", text[position:]
                    return
                position = body.end()
                yield "here", mark
                position += text[position : position + 1] == "\n"
            yield ("line", "\n") if text[position - 1] == "\n" else ("here", mark)
            marks = []
    if marks:
        yield "open", ""
