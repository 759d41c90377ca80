"""Reads the setting `first_suggestions`, the points that a search tries before all others, and checks them.

The check of manifests, the suggestion service and the local engine all use it, so that they accept the same points.
"""

import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from katib.errors import nearest

SHAPE = (
    'a JSON list of points such as {"assignments": {"lr": "0.001"}, "trial": "optional-name"},'
    ' or {"lr": 0.001} for short'
)
KEYS = ("assignments", "trial")
TRIAL_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""A Trial's name is its Job's and a label of its pods, which Kubernetes limits to 63 characters."""


@dataclass(frozen=True)
class FirstSuggestion:
    """One point, with the name of its trial where that is prescribed."""

    assignments: Mapping[str, str]
    trial: str = ""


def first_suggestions(text: str) -> tuple[FirstSuggestion, ...]:
    """Reads the value of the setting. Raises ValueError where it does not have the `SHAPE`."""
    try:
        items = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(items, list):
        raise ValueError("not a list")
    return tuple(_suggestion(item) for item in items)


def _suggestion(item: object) -> FirstSuggestion:
    if not isinstance(item, dict):
        raise ValueError("not a mapping")
    if not isinstance(item.get("assignments"), dict):
        item = {"assignments": item}
    trial = item.get("trial", "")
    if not item.keys() <= set(KEYS) or not isinstance(trial, str):
        raise ValueError("not a point")
    values: dict[str, object] = item["assignments"]
    if any(isinstance(value, bool) or not isinstance(value, str | int | float) for value in values.values()):
        raise ValueError("a value is neither a number nor a text")
    return FirstSuggestion({name: str(value) for name, value in values.items()}, trial)


def problems(
    suggestions: Sequence[FirstSuggestion],
    names: Sequence[str],
    coordinate: Callable[[str, str], Hashable | None],
) -> Iterator[str]:
    """Yields in words why the suggestions are not points of the space with the parameters `names`.

    `coordinate` returns the position of a parameter's value on its axis; None where it is not a value of the parameter.
    """
    seen: dict[Hashable, int] = {}
    known = set(names)
    for number, suggestion in enumerate(suggestions, 1):
        own = list(_problems_of_one(suggestion, names, known, coordinate))
        yield from (f"point {number}: {problem}" for problem in own)
        point = tuple(coordinate(name, suggestion.assignments.get(name, "")) for name in names)
        for key, what in ((point, "point"), (suggestion.trial, "trial name")):
            if own or not key:
                continue
            if key in seen:
                yield f"point {number} has the {what} of point {seen[key]}, and none is tried twice"
            seen.setdefault(key, number)


def _problems_of_one(
    suggestion: FirstSuggestion,
    names: Sequence[str],
    known: set[str],
    coordinate: Callable[[str, str], Hashable | None],
) -> Iterator[str]:
    values = suggestion.assignments
    for name in values:
        if name not in known:
            yield f"no parameter '{name}': {nearest(name, names)}"
    for name in names:
        if name not in values:
            yield f"the parameter '{name}' is missing"
        elif coordinate(name, values[name]) is None:
            yield f"{name} {values[name]} is outside its feasibleSpace"
    if suggestion.trial and not TRIAL_NAME.fullmatch(suggestion.trial):
        yield f"'{suggestion.trial}' cannot be a trial's name: at most 63 of a-z, 0-9 and '-', a letter first"
