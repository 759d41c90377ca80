"""Represents a place in a document of any shape; a rule that expects another shape there reads nothing.

So no rule can trip over a list where a mapping belongs; katib/check/structure.py reports that itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Path = tuple[str | int, ...]

PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True, eq=False)
class Node:
    """The value at `path`, None where there is none. `lines` knows the line of every path of the document."""

    value: object
    path: Path
    lines: Mapping[Path, int]

    def __getitem__(self, key: str) -> "Node":
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return Node(value, (*self.path, key), self.lines)

    @property
    def present(self) -> bool:
        """Whether the document has this key, even if its value is null."""
        return self.path in self.lines

    @property
    def missing(self) -> bool:
        """Whether there is no value, which to Katib is the same as null."""
        return self.value is None

    @property
    def empty(self) -> bool:
        """Whether the value is missing, or an empty text, list or mapping."""
        return self.value is None or (isinstance(self.value, str | list | dict) and not self.value)

    @property
    def text(self) -> str | None:
        """The value if it is a text."""
        return self.value if isinstance(self.value, str) else None

    @property
    def integer(self) -> int | None:
        """The value if it is a whole number."""
        return self.value if isinstance(self.value, int) and not isinstance(self.value, bool) else None

    @property
    def items(self) -> list["Node"]:
        """The items of a list; none for anything else."""
        values = self.value if isinstance(self.value, list) else []
        return [Node(value, (*self.path, index), self.lines) for index, value in enumerate(values)]

    @property
    def entries(self) -> dict[str, "Node"]:
        """The entries of a mapping; none for anything else."""
        return {key: self[key] for key in self.value} if isinstance(self.value, dict) else {}

    @property
    def line(self) -> int:
        """The line of this place, or of the nearest enclosing place that the document has."""
        path = self.path
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    @property
    def where(self) -> str:
        """The path as text: spec.parameters[0].feasibleSpace.min; the document itself is `.`."""
        parts = ""
        for part in self.path:
            if isinstance(part, int):
                parts += f"[{part}]"
            else:
                parts += f".{part}" if PLAIN_KEY.fullmatch(part) else f"['{part}']"
        return parts.removeprefix(".") or "."

    def texts(self) -> Iterator[tuple["Node", str]]:
        """Yields every text at or below this place, keys of mappings included."""
        if isinstance(self.value, str):
            yield self, self.value
        for item in self.items:
            yield from item.texts()
        for key, entry in self.entries.items():
            yield entry, key
            yield from entry.texts()


def named(items: list[Node]) -> dict[str, Node]:
    """Returns the items of a list by name; the last one wins if two have the same, as in Go's maps."""
    return {name: item for item in items if (name := item["name"].text)}
