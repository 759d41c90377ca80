"""How two searches differ, named by flags and keys of a spec rather than by paths of the manifest. Pure: no I/O."""

import json
from collections.abc import Iterator, Mapping
from itertools import takewhile

from katib.manifest.command import flags_in
from katib.manifest.object import Manifest
from katib.trainer_flags import setting_of
from katib.tree import Tree, at, items_at, text_at, texts_at, without


def changes(before: Tree, after: Tree) -> Iterator[str]:
    """Yields how the specs of two manifests differ, one text per setting.

    For example: `preset: huge became debug`, `search.lr.max: 1 became 2`.
    """
    named = list(_named_changes(before, after))
    yield from named or map(_leaf, differences(before, after))


def _named_changes(before: Tree, after: Tree) -> Iterator[str]:
    yield from pairs(flags(before), flags(after))
    yield from pairs(searched(before), searched(after))
    for section, label in (("algorithm", "algorithm"), ("earlyStopping", "early_stopping")):
        yield from pairs(settings(before, section, label), settings(after, section, label))
    yield from map(_leaf, differences(_rest(before), _rest(after)))


def leaf(path: str) -> str:
    """Returns the last key of a path, by the name that a flag has for it."""
    key = path.rpartition(".")[2]
    return _FLAGS.get(key, key)


_FLAGS = {
    "maxTrialCount": "trials",
    "parallelTrialCount": "parallel",
    "maxFailedTrialCount": "max_failed_trials",
}


def _leaf(difference: str) -> str:
    path, _, change = difference.partition(": ")
    return f"{leaf(path)}: {change}"


def pairs(before: Mapping[str, str], after: Mapping[str, str], between: str = "became") -> Iterator[str]:
    """Yields how two sets of named values differ, one text per name."""
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key, 'none')} {between} {after.get(key, 'none')}"


def flags(spec: Tree) -> dict[str, str]:
    """Returns the settings that the command of a trial fixes, by their name in a spec."""
    container = Manifest(spec).container
    words = [*texts_at(container, "command"), *texts_at(container, "args")]
    program = " ".join(takewhile(lambda word: not word.startswith("--"), words))
    named = {setting_of(flag): " ".join(values) for flag, values in flags_in(words).items()}
    return {name: value for name, value in {"command": program, **named}.items() if "${" not in value}


def searched(spec: Tree) -> dict[str, str]:
    """Returns the search space, by the keys of a spec."""
    named = {}
    for parameter in items_at(spec, "parameters"):
        label = f"search.{text_at(parameter, 'name')}"
        named[label] = text_at(parameter, "parameterType")
        named |= {f"{label}.{key}": str(value) for key, value in at(parameter, "feasibleSpace").items()}
    return named


def settings(spec: Tree, section: str, label: str) -> dict[str, str]:
    """Returns the name and settings of a service, by the keys of a spec's section `label`."""
    service = at(spec, section)
    named = {f"{label}.name": text_at(service, "algorithmName")} if service else {}
    for setting in items_at(service, "algorithmSettings"):
        key = text_at(setting, "name") if section == "earlyStopping" else f"settings.{text_at(setting, 'name')}"
        named[f"{label}.{key}"] = text_at(setting, "value")
    return named


def _rest(spec: Tree) -> Tree:
    """Returns the part of a spec that `_named_changes` has no other name for, the trial without its command."""
    manifest = Manifest(spec)
    return {
        **without(spec, "parameters", "algorithm", "earlyStopping"),
        "trialTemplate": {
            **without(at(spec, "trialTemplate"), "trialParameters", "trialSpec"),
            "job": without(at(manifest.job, "spec"), "template"),
            "pod": without(manifest.pod, "containers"),
            "container": without(manifest.container, "command", "args"),
        },
    }


def differences(before: object, after: object, path: str = "spec") -> Iterator[str]:
    """Yields where two specs differ: `spec.parameters[0].feasibleSpace.max: "0.01" became "0.1"`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            yield from differences(before.get(key), after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {_short(before)} became {_short(after)}"


def _short(value: object) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
