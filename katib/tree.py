"""Reads trees that nobody has checked: parsed YAML and JSON, and objects of the Kubernetes API.

What is missing, or has another type than the caller expects, reads as empty. Pure: no I/O.
"""

from collections.abc import Mapping

Tree = Mapping[str, object]
"""A mapping of a parsed document; its values are texts, numbers, lists and further mappings."""


def at(tree: object, *keys: str) -> Tree:
    """Returns the mapping below `keys`."""
    value = _value(tree, keys)
    return value if isinstance(value, Mapping) else {}


def items_at(tree: object, *keys: str) -> list[Tree]:
    """Returns the mappings in the list below `keys`."""
    return [item for item in _listed(tree, keys) if isinstance(item, Mapping)]


def text_at(tree: object, *keys: str) -> str:
    """Returns the text below `keys`."""
    value = _value(tree, keys)
    return value if isinstance(value, str) else ""


def texts_at(tree: object, *keys: str) -> list[str]:
    """Returns the items of the list below `keys`, numbers and the like as text."""
    return [str(item) for item in _listed(tree, keys)]


def labels_at(tree: object, *keys: str) -> dict[str, str]:
    """Returns the texts in the mapping below `keys`, such as labels, by their key."""
    return {key: value for key, value in at(tree, *keys).items() if isinstance(value, str)}


def named_at(tree: object, *keys: str, of: str = "value") -> dict[str, str]:
    """Returns the texts `of` the mappings in the list below `keys`, by their texts `name`, as Katib writes pairs."""
    return {text_at(item, "name"): text_at(item, of) for item in items_at(tree, *keys)}


def put(tree: Tree, keys: tuple[str, ...], value: object) -> Tree:
    """Returns a copy of `tree` with `value` below `keys`; an entry that exists keeps its place among the others."""
    key, *below = keys
    return {**tree, key: put(at(tree, key), tuple(below), value) if below else value}


def without(tree: Tree, *keys: str) -> Tree:
    """Returns a copy of `tree` that lacks the entries `keys`."""
    return {key: value for key, value in tree.items() if key not in keys}


def _value(tree: object, keys: tuple[str, ...]) -> object:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _listed(tree: object, keys: tuple[str, ...]) -> list[object]:
    value = _value(tree, keys)
    return value if isinstance(value, list) else []
