"""From text to a document with line numbers, with scalars resolved as kubectl does (goyaml v2), not as PyYAML does.

kubectl reads 1e-4 as a number and yes as true; PyYAML's loader would hide both. Called by `check_text`.
"""

import math
import re
from typing import Any

import yaml

from katib.check.finding import Finding, error
from katib.check.node import Node, Path
from katib.errors import nearest

API_VERSION = "kubeflow.org/v1beta1"
KIND = "Experiment"
MOST_NODES = 100_000  # what aliases of aliases may grow to; a manifest has some hundred

NULLS = {"", "~", "null", "Null", "NULL"}
TRUE = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
FALSE = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)")

NO_YAML = error(
    "not-yaml",
    finds="the file is no YAML: a tab as indentation, a bracket left open, nesting without end",
    effect="kubectl refuses the file",
    mend="correct this line; indent with spaces",
)
DOCUMENTS = error(
    "one-document",
    finds="the file is empty or holds several documents",
    effect="kubectl applies each document on its own, and nothing if there is none",
    mend="put exactly one Experiment into the file",
)
NO_MAPPING = error(
    "not-a-mapping",
    finds="the document is a list or a single value",
    effect="kubectl refuses the file",
    mend="begin with apiVersion, kind, metadata and spec",
)
NO_EXPERIMENT = error(
    "not-an-experiment",
    finds="apiVersion or kind is another",
    effect="Katib never sees the object",
    mend=f"write apiVersion: {API_VERSION} and kind: {KIND}",
)
DUPLICATE_KEY = error(
    "duplicate-key",
    finds="a mapping has the same key twice",
    effect="kubectl keeps the last one and drops the first in silence",
    mend="keep one of the two",
)
NOT_FINITE = error(
    "not-finite",
    finds="a number that is infinite or not a number",
    effect="kubectl cannot turn it into JSON and refuses the file",
    mend="write a finite number, or quote it where a string is meant",
)


def read(text: str) -> tuple[Node | None, list[Finding]]:
    """The Experiment of `text`, or None where there is none to go on with, and what is wrong with the YAML."""
    try:
        documents = [item for item in yaml.compose_all(text, yaml.SafeLoader) if not _is_null(item)]
    except (yaml.YAMLError, RecursionError, ValueError) as cause:
        return None, [_no_yaml(cause)]
    if len(documents) != 1:
        found = "is empty" if not documents else f"holds {len(documents)} documents"
        line = documents[1].start_mark.line + 1 if documents else 1
        return None, [DOCUMENTS.at(_top(line), found)]
    reader = _Reader()
    try:
        value = reader.value(documents[0], ())
    except (_EndlessError, RecursionError):
        return None, [NO_YAML.at(_top(), "an alias refers to itself, or aliases multiply without measure")]
    top = Node(value, (), reader.lines)
    if not isinstance(value, dict):
        return None, [*reader.findings, NO_MAPPING.at(top, f"is {kind_of(value)}, not a mapping")]
    other = _other_kind(top)
    return (None if other else top), reader.findings + other


def kind_of(value: object) -> str:
    """What a value is, in the words of a message."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value:g}" if isinstance(value, float) else f"the number {value}"
    if isinstance(value, str):
        return f"the string '{value}'" if len(value) <= 40 else "a string"
    return {dict: "a mapping", list: "a list", type(None): "null"}[type(value)]


class _EndlessError(Exception):
    """The document refers to itself."""


class _Reader:
    """Turns composed YAML nodes into plain values, and notes lines and double keys on the way."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.findings: list[Finding] = []
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: Path, line: int | None = None) -> Any:
        """The value of `node`, whose line is that of its key where it has one."""
        self.lines[path] = line or node.start_mark.line + 1
        if id(node) in self._open or len(self.lines) > MOST_NODES:
            raise _EndlessError
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        value: Any
        if isinstance(node, yaml.SequenceNode):
            value = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        else:
            value = self._mapping(node, path)
        self._open.remove(id(node))
        return value

    def _mapping(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                for source in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    value = self.value(source, path, self.lines[path])
                    merged = (value if isinstance(value, dict) else {}) | merged
                continue
            value = self.value(value_node, (*path, key), line)
            if key in own:
                place = Node(value, (*path, key), self.lines)
                self.findings.append(DUPLICATE_KEY.at(place, f"key '{key}' stands here a second time"))
            own[key] = value
        return merged | own

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        value = _resolve(node)
        if isinstance(value, float) and not math.isfinite(value):
            place = Node(value, path, self.lines)
            self.findings.append(NOT_FINITE.at(place, f"'{node.value}' is not finite"))
            return None
        # JSON has one kind of number: kubectl sends 3.0 as 3.
        return int(value) if isinstance(value, float) and value == int(value) and abs(value) < 1e21 else value


def _resolve(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style or (_is_tagged(node) and node.tag == "tag:yaml.org,2002:str"):
        return text
    if text in NULLS:
        return None
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
    return float(plain) if FLOAT.fullmatch(plain) else text


def _is_tagged(node: yaml.ScalarNode) -> bool:
    mark = node.start_mark
    return mark.buffer is not None and mark.buffer[mark.pointer : mark.pointer + 1] == "!"


def _is_null(node: yaml.Node | None) -> bool:
    return node is None or (
        isinstance(node, yaml.ScalarNode) and not node.style and node.value.strip() in NULLS
    )


def _other_kind(top: Node) -> list[Finding]:
    found = []
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if top[key].value != expected:
            is_ = "is missing" if top[key].missing else f"is {kind_of(top[key].value)}"
            hint = nearest(str(top[key].value), [expected])
            found.append(NO_EXPERIMENT.at(top[key], is_, mend=f"write {key}: {expected} ({hint})"))
    return found


def _no_yaml(cause: Exception) -> Finding:
    mark = getattr(cause, "problem_mark", None)
    problem = getattr(cause, "problem", None) or " ".join(str(cause).split())
    if isinstance(cause, RecursionError):
        problem = "it is nested too deeply"
    return NO_YAML.at(_top(mark.line + 1 if mark else 1), f"is not YAML: {problem}")


def _top(line: int = 1) -> Node:
    return Node(None, (), {(): line})
