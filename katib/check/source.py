"""Finds the Experiment among the documents of a text, with the line of each place, and the defects of the YAML."""

import re

from katib.check.finding import Defect, error, warning
from katib.check.node import Node
from katib.errors import nearest
from katib.manifest.schema import chosen
from katib.yaml_reader import LARGEST, MOST_NODES, Document, YamlError, read_documents

API_VERSION = "kubeflow.org/v1beta1"
KIND = "Experiment"
NO_YAML = error(
    "not-yaml",
    finds="the file is not YAML: a tab as indentation, a bracket left open, nesting without end",
    effect="kubectl refuses the file",
    fix="correct this line; indent with spaces",
)
DOCUMENTS = error(
    "one-document",
    finds="the file is empty, or of its several documents not exactly one is an Experiment",
    effect="kubectl applies each document on its own, and nothing if there is none",
    fix="put exactly one Experiment into the file",
)
NO_MAPPING = error(
    "not-a-mapping",
    finds="the document is a list or a single value",
    effect="kubectl refuses the file",
    fix="begin with apiVersion, kind, metadata and spec",
)
NO_EXPERIMENT = error(
    "not-an-experiment",
    finds="another apiVersion or kind",
    effect="Katib never sees the object",
    fix=f"write apiVersion: {API_VERSION} and kind: {KIND}",
)
DUPLICATE_KEY = error(
    "duplicate-key",
    finds="a mapping has the same key twice",
    effect="kubectl keeps the last one and silently drops the first",
    fix="keep one of the two",
)
NOT_FINITE = error(
    "not-finite",
    finds="a number that is infinite or not a number",
    effect="kubectl cannot turn it into JSON and refuses the file",
    fix="write a finite number, or quote it where a string is meant",
)
BOOLEAN_KEY = warning(
    "boolean-key",
    finds="a key that is a boolean to YAML: y, n, yes, no, on, off",
    effect="kubectl writes true or false in its place",
    fix="put it in quotes",
)
FAULTS = {"twice": DUPLICATE_KEY, "not-finite": NOT_FINITE, "boolean": BOOLEAN_KEY}
"""The rule of each kind of fault that the reader finds."""
TOO_LARGE = error(
    "too-large",
    finds=f"a text of more than {LARGEST} characters, or of more than {MOST_NODES} keys and values",
    effect="the API server takes at most 3 MiB, and etcd stores at most 1.5; a text of so many values is not read here",
    fix="leave out what the search does not need; a list of very many values is a range with a step",
)
MORE = error(
    "too-many-findings",
    finds="more than 500 defects of one part: the search space, the template, the pod, and so on",
    effect="the rest is not listed, and may hold errors",
    fix="correct these, and check again",
)


DIRECTIVE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*%")
"""The beginning of a text that tells a parser its version of YAML; kubectl takes that line for a document by itself."""


def read(text: str) -> tuple[Node | None, list[Defect]]:
    """Returns the Experiment in `text`, None if there is none to check further, and the defects of the YAML."""
    try:
        documents = read_documents(text)
    except YamlError as cause:
        if cause.too_large:
            return None, [TOO_LARGE.at(_top(cause.line), cause.problem)]
        return None, [NO_YAML.at(_top(cause.line), f"is not YAML: {cause.problem}")]
    if directive := DIRECTIVE.match(text):
        top = _top(directive[0].count("\n") + 1)
        return None, [NO_YAML.at(top, "is a directive (%), which kubectl does not read", fix="remove this line")]
    document = chosen(documents)
    if document is None:
        count = sum(map(_is_experiment, documents))
        problem = f"holds {count or len(documents)} {'Experiments' if count else 'documents and no Experiment'}"
        line = documents[1].lines[()] if documents else 1
        return None, [DOCUMENTS.at(_top(line), problem if documents else "is empty")]
    top = Node(document.value, (), document.lines)
    findings = [FAULTS[fault.kind].at(Node(None, fault.path, document.lines), fault.what) for fault in document.faults]
    if not isinstance(document.value, dict):
        return None, [*findings, NO_MAPPING.at(top, f"is {kind_of(document.value)}, not a mapping")]
    other = _other_kind(top)
    return (None if other else top), findings + other


def _is_experiment(document: Document) -> bool:
    return isinstance(document.value, dict) and document.value.get("kind") == KIND


def kind_of(value: object) -> str:
    """Returns a description of a value for a message."""
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value:g}" if isinstance(value, float) else f"the number {value}"
    if isinstance(value, str):
        return f"the string '{value}'" if len(value) <= 40 else "a string"
    return {dict: "a mapping", list: "a list", type(None): "null"}[type(value)]


def _other_kind(top: Node) -> list[Defect]:
    defects = []
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if top[key].value != expected:
            is_ = "is missing" if top[key].missing else f"is {kind_of(top[key].value)}"
            hint = nearest(str(top[key].value), [expected])
            defects.append(NO_EXPERIMENT.at(top[key], is_, fix=f"write {key}: {expected} ({hint})"))
    return defects


def _top(line: int = 1) -> Node:
    return Node(None, (), {(): line})
