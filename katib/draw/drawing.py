"""Holds a finished drawing, and writes the elements of which it consists.

Every text passes the escaping of `element` and `escaped`; nothing else writes SVG.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What XML does not allow."""

Attribute = str | float | None


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG: its text is the whole element, which scales to the width that it is given."""

    width: float
    height: float
    title: str
    description: str
    marks: tuple[str, ...]
    """Elements, the lowest first."""
    kind: str = ""
    """More classes, for the style sheet and the script."""
    interactive: bool = False
    """Whether parts of it can be focused; a drawing without such parts is one picture for those who cannot see it."""

    def __str__(self) -> str:
        """Returns the SVG element."""
        return element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "class": f"drawn {self.kind}".strip(),
                "viewBox": f"0 0 {number(self.width)} {number(self.height)}",
                "width": self.width,
                "height": self.height,
                "role": "group" if self.interactive else "img",
                "aria-label": f"{self.title}: {self.description}" if self.description else self.title,
            },
            element("title", {}, escaped(self.title)),
            element("desc", {}, escaped(self.description)),
            *self.marks,
        )


def element(name: str, attributes: Mapping[str, Attribute], *children: str) -> str:
    """Returns an element; attributes that are None or empty are left out, and `children` are elements or escaped."""
    written = "".join(
        f' {key}="{number(value) if isinstance(value, int | float) else escaped(value)}"'
        for key, value in attributes.items()
        if value not in (None, "")
    )
    inner = "".join(children)
    return f"<{name}{written}>{inner}</{name}>" if inner else f"<{name}{written}/>"


def group(kind: str, children: Iterable[str], trial: str = "", **more: Attribute) -> str:
    """Returns a group of elements of one class, which may belong to a trial; empty where there is no child."""
    inner = "".join(children)
    return element("g", {"class": kind, "data-trial": trial, **more}, inner) if inner else ""


def escaped(text: str | None) -> str:
    """Returns a text that no reader of markup takes for markup."""
    return escape(_CONTROL.sub("", text or ""), quote=True)


def number(value: float) -> str:
    """Returns a length with one decimal, which is finer than any screen and keeps the file small."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
