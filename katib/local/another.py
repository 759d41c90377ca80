"""A folder that holds another search: how the two differ, in the words of flags and spec keys, and whether it may be replaced.

A search in which no trial has finished an epoch holds no result, and makes room for the next one of its name.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from katib.errors import ManifestError
from katib.experiment import load_experiment
from katib.local.process import end_leftovers
from katib.local.record import DATABASE, MANIFEST, Trial, read
from katib.local.running import SAVE_SECONDS
from katib.local.store import differences
from katib.metrics import MetricParser

BEST = "best.pt"
"""What the trainer leaves after an epoch."""
OUTPUTS = "output*.log"
"""What the tries of a trial have printed."""
_TRIAL = re.compile(r"[a-z0-9][a-z0-9-]*")


def clear(folder: Path, trials: Sequence[Trial]) -> bool:
    """Remove the search in `folder` where none of its `trials` has finished an epoch; returns whether it has. Its processes
    are ended first. The caller holds the folder's lock and has closed the store."""
    if _trained(folder, trials):
        return False
    ours = [folder / trial.name for trial in trials if _TRIAL.fullmatch(trial.name)]
    end_leftovers([place for place in ours if place.is_dir()], SAVE_SECONDS)
    if _trained(folder, trials):  # what was ended may have finished an epoch meanwhile
        return False
    for place in ours:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
    # Last of all: as long as it is there, a start that was cut off comes here again.
    (folder / f"{DATABASE}-journal").unlink(missing_ok=True)
    (folder / DATABASE).unlink()
    return True


def untrained(folder: Path) -> bool:
    """Whether the search in `folder`, if there is one, holds no finished epoch."""
    return not (folder / DATABASE).exists() or not _trained(folder, read(folder)[1])


def _trained(folder: Path, trials: Sequence[Trial]) -> bool:
    """Whether a trial has finished an epoch, told or not; also where that cannot be found out."""
    if any(trial.values for trial in trials):
        return True
    try:
        experiment = load_experiment((folder / MANIFEST).read_text(encoding="utf-8"), str(folder / MANIFEST))
        parser = MetricParser(experiment.filters, [experiment.metric])
        for trial in trials:
            place = folder / trial.name
            if (place / BEST).exists():
                return True
            for output in place.glob(OUTPUTS):
                with output.open(encoding="utf-8", errors="replace") as lines:
                    if any(parser.parse(line.rstrip("\n")) for line in lines):
                        return True
    except (OSError, UnicodeDecodeError, ManifestError):
        return True
    return False


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """How the specs of two manifests differ, one text a setting: `preset: huge became debug`, `search.lr.max: 1 became 2`."""
    found = list(_named_changes(before, after))
    yield from found or differences(before, after)


def _named_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from _pairs(_flags(before), _flags(after))
    yield from _pairs(_searched(before), _searched(after))
    for section, label in (("algorithm", "algorithm"), ("earlyStopping", "early_stopping")):
        yield from _pairs(_settings(before, section, label), _settings(after, section, label))
    for text in differences(_rest(before), _rest(after)):
        path, _, change = text.partition(": ")
        yield f"{re.sub(r'.*[.]', '', path)}: {change}"


def _pairs(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key, 'none')} became {after.get(key, 'none')}"


def _container(spec: Mapping[str, Any]) -> dict[str, Any]:
    template = spec["trialTemplate"]
    containers = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = next(one for one in containers if one["name"] == template["primaryContainerName"])
    return found


def _flags(spec: Mapping[str, Any]) -> dict[str, str]:
    """The settings that the command of a trial fixes, by their name in a spec."""
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


def _searched(spec: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for parameter in spec.get("parameters", ()):
        label = f"search.{parameter['name']}"
        found[label] = parameter["parameterType"]
        for key, value in parameter.get("feasibleSpace", {}).items():
            found[f"{label}.{key}"] = str(value)
    return found


def _settings(spec: Mapping[str, Any], section: str, label: str) -> dict[str, str]:
    service = spec.get(section) or {}
    found = {f"{label}.name": service["algorithmName"]} if service else {}
    for setting in service.get("algorithmSettings", ()):
        key = setting["name"] if section == "earlyStopping" else f"settings.{setting['name']}"
        found[f"{label}.{key}"] = setting["value"]
    return found


def _rest(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec without what has a name of its own, as the trial is with no command."""
    named = ("parameters", "algorithm", "earlyStopping")
    rest = {key: value for key, value in spec.items() if key not in named}
    bare = {key: value for key, value in _container(spec).items() if key not in ("command", "args")}
    template = {key: value for key, value in rest["trialTemplate"].items() if key != "trialParameters"}
    job = template.pop("trialSpec")["spec"]
    pod = {key: value for key, value in job["template"]["spec"].items() if key != "containers"}
    job = {key: value for key, value in job.items() if key != "template"}
    return {**rest, "trialTemplate": {**template, "job": job, "pod": pod, "container": bare}}
