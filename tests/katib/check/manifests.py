"""A sound manifest, and how the tests spoil it: by the path of the place, in the notation of the findings."""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import yaml

from katib.check.manifest import check_text
from katib.manifest.render import render
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
    document = deepcopy(_rendered())
    assert isinstance(document, dict)
    return document


@cache
def _rendered() -> Any:
    return yaml.safe_load(render(load_spec("sepformer"), load_site()))


Changes = dict[str, object]
Defects = dict[str, tuple[Changes, set[str]]]
"""By name: what is changed in a sound manifest, and every finding that this must give (rule at path; ? is a
warning)."""
Said = dict[str, tuple[Changes, set[str]]]
"""The same with what a finding says: `rule path: what`."""


def long(path: str) -> str:
    """Returns the path without abbreviations."""
    for word, meaning in SHORT.items():
        path = re.sub(rf"^{word}\b", meaning, path)
    return path


def spoiled(changes: Mapping[str, object]) -> str:
    """Returns the sound manifest with other values; an index past the end appends, DROP removes."""
    document = sound()
    for path, value in changes.items():
        *parents, last = keys(long(path))
        place: Any = document
        for key in parents:
            place = place[key]
        if value is DROP:
            del place[last]
        elif isinstance(place, list) and last == len(place):
            place.append(deepcopy(value))
        else:
            place[last] = deepcopy(value)
    return json.dumps(document, indent=1)  # which is YAML too, and quotes every string


def keys(path: str) -> list[str | int]:
    parts = re.findall(r"\['([^']*)'\]|\[(\d+)\]|([^.\[\]]+)", path)
    return [int(index) if index else quoted or plain for quoted, index, plain in parts]


def words(*first: str) -> list[str]:
    """Returns a command that begins like this and holds every placeholder."""
    names = ("lr", "weight_decay", "grad_clip_norm", "lr_factor", "trialName")
    return [*first, *(f"--{name}=${{trialParameters.{name}}}" for name in names)]


def ours(*last: str, first: tuple[str, ...] = ("--model", "sepformer")) -> list[str]:
    """Returns a command of this project's trainer that holds every placeholder and ends like this."""
    command = [
        "python",
        "-m",
        "trainer",
        *first,
        "--data-dir",
        "/data",
        "--run-dir",
        "/runs/${trialParameters.trialName}",
    ]
    for name in ("lr", "weight_decay", "grad_clip_norm", "lr_factor"):
        command += ["--" + name.replace("_", "-"), f"${{trialParameters.{name}}}"]
    return [*command, *last]


def script(text: str) -> Changes:
    """Returns a command through a shell, with every placeholder behind `text`."""
    return {"TRAINER.command": ["sh", "-c", " ".join(words(text))]}


def foreign(changes: Changes) -> Changes:
    """Returns the changes in a search of somebody else's trainer, whose values are its own affair."""
    return {"TRAINER.command": words("python", "train.py"), **changes}


def categorical(*values: str) -> Changes:
    """Returns the first parameter as one of these values, for somebody else's trainer."""
    return foreign({"spec.parameters[0].parameterType": "categorical", "SPACE": {"list": list(values)}})


def algorithm(name: str, **settings: str) -> Changes:
    """Another algorithm with these settings."""
    listed = [{"name": key, "value": value} for key, value in settings.items()]
    return {"spec.algorithm": {"algorithmName": name, "algorithmSettings": listed}}


def collector(kind: str, **source: object) -> Changes:
    """Another collector, without early stopping."""
    spec = {"collector": {"kind": kind}, "source": source} if source else {"collector": {"kind": kind}}
    return {"spec.metricsCollectorSpec": spec, "spec.earlyStopping": DROP}


def found(text: str) -> set[tuple[str, str, str]]:
    """(severity, rule, path) of every finding."""
    return {(finding.severity, finding.rule, finding.path) for finding in check_text(text, "test")}
