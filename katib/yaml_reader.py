"""Reads YAML as kubectl does (sigs.k8s.io/yaml over goyaml v2): 1e-4 is a number, yes is true, a date is a text.

PyYAML's parser provides the events, but not the resolver, which takes 1e-4 for a text and a date for a date. Each value
keeps its line.
"""

import base64
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from katib.errors import SepsweepError

Path = tuple[str | int, ...]

DEEPEST = 200
"""Levels; a manifest has about 20."""
LARGEST = 3 * 2**20
"""Characters: the API server accepts no more bytes in a request, and etcd stores half as many."""
MOST_NODES, MOST_OF_ALIASES = 150_000, 100_000
"""Keys and values of a text, and those that aliases may add; a manifest has some hundred."""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The loader of libyaml is ten times faster than PyYAML's own."""
SURROGATE = re.compile("[\ud800-\udfff]")
ESCAPED = re.compile(r"(?<!\\)((?:\\\\)*)((?:\\u[dD][89a-fA-F][0-9a-fA-F]{2})+)")

TAGS = "tag:yaml.org,2002:"
TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}
"""The tags that make a text in quotes a value, with its types."""
NULLS = {"", "~", "null", "Null", "NULL"}
TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)")


class YamlError(SepsweepError):
    """The text is not YAML, or too large to be read; `line` counts from 1."""

    def __init__(self, problem: str, line: int = 1, *, too_large: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.too_large = too_large


@dataclass(frozen=True)
class Fault:
    """A part that kubectl drops or refuses: a second entry of a key, or a number that is not finite."""

    kind: str
    path: Path
    what: str


@dataclass
class Document:
    """A document: its value, the line of each of its paths, and its faults."""

    value: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def read_documents(text: str) -> list[Document]:
    """Returns the documents of `text` that hold more than null. Raises YamlError."""
    if len(text) > LARGEST:
        raise YamlError(f"it has {len(text)} characters, and at most {LARGEST} are read", too_large=True)
    text = _joined(text)
    last = text.count("\n") + (not text.endswith("\n"))
    try:
        trees = _trees(text)
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        problem = getattr(cause, "problem", None) or " ".join(str(cause).split())
        raise YamlError(problem, max(1, min(mark.line + 1, last)) if mark else 1) from None
    except UnicodeError:
        raise YamlError("it holds half of a surrogate pair") from None
    documents = []
    for tree in trees:
        reader = _Reader()
        reader.document.value = reader.value(tree, ())
        if reader.document.value is not None or reader.document.faults:
            documents.append(reader.document)
    return documents


def read_yaml(text: str) -> Any:
    """Returns the value of the only document in `text`, or None if there is none. Raises YamlError."""
    documents = read_documents(text)
    if len(documents) > 1:
        raise YamlError(f"holds {len(documents)} documents, and must hold only one", documents[1].lines[()])
    return documents[0].value if documents else None


def _joined(text: str) -> str:
    """Returns the text; in JSON, a pair of surrogate escapes becomes its character, a lone one U+FFFD, as in Go."""
    if not text.lstrip().startswith("{"):
        return text
    return ESCAPED.sub(
        lambda match: (
            match[1] + json.loads(f'"{match[2]}"').encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        ),
        text,
    )


@dataclass
class _Tree:
    """A node whose scalars are not read yet; `parts` are the items of a list, or keys and values in turn."""

    line: int
    kind: str
    text: str = ""
    plain: bool = False
    tag: str = ""
    """The end of YAML's own tag: int of !!int; empty without one, and with somebody's own."""
    parts: list["_Tree"] = field(default_factory=list)


def _trees(text: str) -> list[_Tree]:
    """Returns the documents as trees; an alias is the same object as its anchor's node."""
    roots: list[_Tree] = []
    stack: list[_Tree] = []
    anchors: dict[str, _Tree] = {}
    nodes = 0
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.DocumentStartEvent):
            anchors = {}
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            nodes += 1
            if nodes > MOST_NODES:
                raise YamlError(f"it has more than {MOST_NODES} keys and values", line, too_large=True)
            if isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    raise YamlError(f"found undefined alias '{event.anchor}'", line)
                tree = anchors[event.anchor]
                if tree in stack:
                    raise YamlError("an alias refers to itself", line)
            else:
                tree = _tree(event, line)
                if event.anchor:
                    anchors[event.anchor] = tree
            (stack[-1].parts if stack else roots).append(tree)
            if isinstance(event, yaml.CollectionStartEvent):
                stack.append(tree)
            if len(stack) > DEEPEST:
                raise YamlError("it is nested too deeply", line)
    return roots


def _tree(event: yaml.NodeEvent, line: int) -> _Tree:
    if isinstance(event, yaml.ScalarEvent):
        tag = event.tag
        # libyaml refuses it, as goyaml does; PyYAML's own parser does not.
        if SURROGATE.search(event.value):
            raise YamlError("found invalid Unicode character escape code", line)
        own = tag.removeprefix(TAGS) if tag and tag.startswith(TAGS) else ""
        plain = own in TYPES if tag else not event.style
        return _Tree(line, "scalar", event.value, plain, own)
    return _Tree(line, "list" if isinstance(event, yaml.SequenceStartEvent) else "mapping")


class _Reader:
    """Turns a tree into plain values and records lines and faults."""

    def __init__(self) -> None:
        self.document = Document()
        self._seen: set[int] = set()
        self._read = self._repeated = 0

    def value(self, tree: _Tree, path: Path, line: int | None = None) -> object:
        """Returns the value of `tree`, whose line is that of its key if it has one."""
        self.document.lines[path] = line or tree.line
        self._count(tree)
        if len(path) > DEEPEST:
            raise YamlError("aliases multiply beyond measure", tree.line)
        if tree.kind == "scalar":
            return self._scalar(tree, path)
        if tree.kind == "list":
            return [self.value(item, (*path, index)) for index, item in enumerate(tree.parts)]
        return self._mapping(tree, path)

    def _mapping(self, tree: _Tree, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        own: set[str] = set()
        for key_tree, value_tree in zip(tree.parts[::2], tree.parts[1::2], strict=True):
            if key_tree.text == "<<" and key_tree.plain:
                # Of several mappings the first one counts, and of an entry and a merge that which stands below.
                for source in reversed(value_tree.parts if value_tree.kind == "list" else [value_tree]):
                    value = self.value(source, path, self.document.lines[path])
                    if not isinstance(value, dict):
                        raise YamlError("a merge (<<) takes a mapping or a list of mappings", key_tree.line)
                    found |= value
                continue
            key = self._key(key_tree, path)
            value = self.value(value_tree, (*path, key), key_tree.line)
            if key in own:
                self.document.faults.append(Fault("twice", (*path, key), f"key '{key}' stands here a second time"))
            own.add(key)
            found[key] = value
        return found

    def _key(self, tree: _Tree, path: Path) -> str:
        """Returns a key as kubectl writes it into JSON: 0x10 becomes 16, and yes becomes true, which is a fault."""
        self._count(tree)
        key = self._scalar(tree, path) if tree.kind == "scalar" else None
        if key is None:
            raise YamlError("a key is null, a list or a mapping; it must be a text", tree.line)
        if isinstance(key, bool) and tree.text.lower() not in ("true", "false"):
            what = f"key '{tree.text}' is the boolean {str(key).lower()}; write it in quotes where the text is meant"
            self.document.faults.append(Fault("boolean", (*path, str(key).lower()), what))
        return str(key).lower() if isinstance(key, bool) else str(key)

    def _count(self, tree: _Tree) -> None:
        """Raises YamlError where aliases multiply the text beyond measure, or beyond goyaml's (decode.go)."""
        self._read += 1
        self._repeated += id(tree) in self._seen
        self._seen.add(id(tree))
        excessive = self._repeated > 100 and self._read > 1000 and self._repeated > 0.99 * self._read
        if excessive or self._repeated > MOST_OF_ALIASES:
            raise YamlError("aliases multiply beyond measure", tree.line)

    def _scalar(self, tree: _Tree, path: Path) -> object:
        if tree.tag == "binary":
            return _decoded(tree)
        value = resolve(tree.text) if tree.plain else tree.text
        if tree.tag in TYPES and not _is_of(value, tree.tag):
            raise YamlError(f"'{tree.text}' is no !!{tree.tag}", tree.line)
        if isinstance(value, float) and not math.isfinite(value):
            self.document.faults.append(Fault("not-finite", path, f"'{tree.text}' is not finite"))
            return None
        # JSON has one kind of number: kubectl sends 3.0 as 3.
        return int(value) if isinstance(value, float) and value == int(value) and abs(value) < 1e21 else value


def _decoded(tree: _Tree) -> str:
    """Returns the text of a binary value. Raises YamlError."""
    try:
        return base64.b64decode("".join(tree.text.split()), validate=True).decode(errors="replace")
    except ValueError:
        raise YamlError("a !!binary value is no base64", tree.line) from None


def _is_of(value: object, tag: str) -> bool:
    """Returns whether a value that was resolved fits its tag."""
    return type(value) in TYPES[tag]


def resolve(text: str) -> object:
    """Returns the value of a scalar without quotes."""
    if text in NULLS:
        return None
    if text.startswith("_"):
        return text
    if text in TRUE or text in FALSE:
        return text in TRUE
    if INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    plain = text.replace("_", "")
    whole = INTEGER.fullmatch(plain)
    if whole and len(plain) < 20:
        digits = whole[2]
        old_octal = digits[0] == "0" and digits[1:].isdigit()
        return int(whole[1] + digits, 8 if old_octal else 0)
    # A number that is too large for a float is a text, as in Go.
    return float(plain) if FLOAT.fullmatch(plain) and math.isfinite(float(plain)) else text
