"""A sound manifest, and how the tests spoil it: by the path of the place, in the notation of the findings."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from katib.check import check_text
from katib.render import render
from katib.site import load_site
from katib.spec import load_spec

DROP = object()
SHORT = {
    "TRAINER": "POD.containers[0]",
    "POD": "JOB.spec.template.spec",
    "JOB": "TEMPLATE.trialSpec",
    "TEMPLATE": "spec.trialTemplate",
    "FILTER": "spec.metricsCollectorSpec.source.filter.metricsFormat",
    "SPACE": "spec.parameters[0].feasibleSpace",
}


def sound() -> dict[str, Any]:
    document = yaml.safe_load(render(load_spec("sepformer"), load_site()))
    assert isinstance(document, dict)
    return document


def long(path: str) -> str:
    """The path without abbreviations."""
    for word, meaning in SHORT.items():
        path = re.sub(rf"^{word}\b", meaning, path)
    return path


def spoiled(changes: Mapping[str, object]) -> str:
    """The sound manifest with other values; an index past the end appends, DROP removes."""
    document = sound()
    for path, value in changes.items():
        *parents, last = keys(long(path))
        place: Any = document
        for key in parents:
            place = place[key]
        if value is DROP:
            del place[last]
        elif isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
    return json.dumps(document, indent=1)  # which is YAML too, and quotes every string


def keys(path: str) -> list[str | int]:
    parts = re.findall(r"\['([^']*)'\]|\[(\d+)\]|([^.\[\]]+)", path)
    return [int(index) if index else quoted or plain for quoted, index, plain in parts]


def found(text: str) -> set[tuple[str, str, str]]:
    """(severity, rule, path) of every finding."""
    return {(finding.severity, finding.rule, finding.path) for finding in check_text(text, "test")}
