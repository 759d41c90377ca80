"""How two searches differ, in the words of flags and spec keys and not in paths of the manifest. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yields how the specs of two manifests differ, one text a setting: `preset: huge became debug`, `search.lr.max: 1
    became 2`.
    """
    found = list(_named_changes(before, after))
    yield from found or map(_leaf, differences(before, after))


def _named_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from pairs(flags(before), flags(after))
    yield from pairs(searched(before), searched(after))
    for section, label in (("algorithm", "algorithm"), ("earlyStopping", "early_stopping")):
        yield from pairs(settings(before, section, label), settings(after, section, label))
    yield from map(_leaf, differences(_rest(before), _rest(after)))


def leaf(path: str) -> str:
    """Returns the last key of a path, by the name that a flag has for it."""
    key = re.sub(r".*[.]", "", path)
    return _FLAGS.get(key, key)


_FLAGS = {
    "maxTrialCount": "trials",
    "parallelTrialCount": "parallel",
    "maxFailedTrialCount": "max_failed_trials",
}


def _leaf(text: str) -> str:
    path, _, change = text.partition(": ")
    return f"{leaf(path)}: {change}"


def pairs(before: Mapping[str, str], after: Mapping[str, str], between: str = "became") -> Iterator[str]:
    """Yields what differs between two sets of named values, one text a name."""
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key, 'none')} {between} {after.get(key, 'none')}"


def _container(spec: Mapping[str, Any]) -> dict[str, Any]:
    template = spec["trialTemplate"]
    containers = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = next(one for one in containers if one["name"] == template["primaryContainerName"])
    return found


def flags(spec: Mapping[str, Any]) -> dict[str, str]:
    """Returns the settings that the command of a trial fixes, by their name in a spec."""
    container = _container(spec)
    found: dict[str, str] = {}
    name = "command"
    for word in (*container.get("command", ()), *container.get("args", ())):
        if word.startswith("--"):
            name, sign, value = word.removeprefix("--").partition("=")
            name = name.replace("-", "_")
            found[name] = value if sign else ""
        else:
            found[name] = f"{found.get(name, '')} {word}".strip()
    return {name: value for name, value in found.items() if "${" not in value}


def searched(spec: Mapping[str, Any]) -> dict[str, str]:
    """Returns the space of the search, by the keys of a spec."""
    found = {}
    for parameter in spec.get("parameters", ()):
        label = f"search.{parameter['name']}"
        found[label] = parameter["parameterType"]
        for key, value in parameter.get("feasibleSpace", {}).items():
            found[f"{label}.{key}"] = str(value)
    return found


def settings(spec: Mapping[str, Any], section: str, label: str) -> dict[str, str]:
    """Returns the name and settings of a service, by the keys of a spec's section `label`."""
    service = spec.get(section) or {}
    found = {f"{label}.name": service["algorithmName"]} if service else {}
    for setting in service.get("algorithmSettings", ()):
        key = setting["name"] if section == "earlyStopping" else f"settings.{setting['name']}"
        found[f"{label}.{key}"] = setting["value"]
    return found


def _rest(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the spec without what has a name of its own, as the trial is with no command."""
    named = ("parameters", "algorithm", "earlyStopping")
    rest = {key: value for key, value in spec.items() if key not in named}
    bare = {key: value for key, value in _container(spec).items() if key not in ("command", "args")}
    template = {key: value for key, value in rest["trialTemplate"].items() if key != "trialParameters"}
    job = template.pop("trialSpec")["spec"]
    pod = {key: value for key, value in job["template"]["spec"].items() if key != "containers"}
    job = {key: value for key, value in job.items() if key != "template"}
    return {**rest, "trialTemplate": {**template, "job": job, "pod": pod, "container": bare}}


def differences(before: Any, after: Any, path: str = "spec") -> Iterator[str]:
    """Yields where two specs differ: `spec.parameters[0].feasibleSpace.max: "0.01" became "0.1"`, one text a place."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {_short(before)} became {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
