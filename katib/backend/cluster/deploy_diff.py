"""What deploying would change: nothing, a new Experiment, its budget in place; the rest needs a new name.

Katib's webhook takes changes of three numbers only (validator.go, ValidateExperiment); the rest defines the search.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.continuing import Continued, carried
from katib.backend.cluster.kinds import EXPERIMENT, MANAGER, OWNER_LABEL, Object, is_ours
from katib.backend.cluster.model import read_search
from katib.errors import ClusterError
from katib.manifest.diff import flags, leaf, pairs, searched, settings

BUDGET = ("parallelTrialCount", "maxTrialCount", "maxFailedTrialCount")
PLACE = "trialTemplate.trialSpec"
WORDS = ".template.spec.containers[0].command"
"""Of a trial's Job its command alone says what is trained; all else is where that happens, and comes from the site
file."""
OF_PLACE = frozenset(
    (
        "--device",
        "--workers",
        "--room-minutes",
        "--checkpoint-minutes",
        "--linger",
        "--stop-delay",
        "--micro-batch",
    )
)
"""Flags of our trainer that a run directory does not have to agree with, and that change no value by more than
rounding."""
WHOLE = (PLACE, "parameters", "earlyStopping", "algorithm")
"""What Katib fills no defaults into, so that a key that is gone is a change too."""


@dataclass(frozen=True)
class Change:
    """One value that differs; `before` or `after` is None where the key is missing."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{leaf(self.path)}: {_text(self.before)} -> {_text(self.after)}"


@dataclass(frozen=True)
class DeployDiff:
    """What to do about one Experiment; `continue` deletes one that has ended and makes it anew with its old trials."""

    manifest: Object
    action: Literal["create", "change", "continue", "nothing"]
    changes: tuple[Change, ...] = ()
    deployed: Object | None = None
    """The Experiment as it is on the cluster."""
    kept: tuple[Change, ...] = ()
    """What the site file has otherwise, and Katib cannot change: trials of this search stay as they are."""
    continued: Continued | None = None
    """The trials that continue, once their run directories have been looked at."""

    @property
    def name(self) -> str:
        """Of the Experiment."""
        name: str = self.manifest["metadata"]["name"]
        return name


def deployed(cluster: Cluster, name: str) -> Object | None:
    """Returns the Experiment `name`, or None. Raises ClusterError where it is somebody else's."""
    found = cluster.get(EXPERIMENT, name)
    if found is not None and not is_ours(found):
        raise ClusterError(
            f"experiment '{name}' in namespace '{cluster.namespace}' is not ours (no label {OWNER_LABEL}={MANAGER});"
            " choose another name with NAME="
        )
    return found


def diff(manifest: Object, found: Object | None) -> DeployDiff:
    """Returns the plan for `manifest` where `found` runs.

    Raises ClusterError where Katib would refuse the change, or worse.
    """
    if found is None:
        return DeployDiff(manifest, "create")
    manifest = carried(manifest, found)
    changes = tuple(_changes(found["spec"], manifest["spec"]))
    name = manifest["metadata"]["name"]
    if "deletionTimestamp" in found["metadata"]:
        raise ClusterError(f"experiment '{name}' is being deleted; wait until it is gone, or choose NAME=")
    search, other = read_search(found), _other_search(found["spec"], manifest["spec"])
    if (search.state == "Failed" or (search.finished and search.stopped)) and not other:
        # One that had all of its trials when it was stopped ends as Succeeded.
        return DeployDiff(manifest, "continue", changes, found)
    if not changes:
        return DeployDiff(manifest, "nothing")
    budget = tuple(change for change in changes if change.path in BUDGET)
    fixed = [change for change in changes if change.path not in BUDGET]
    if other or (fixed and not budget):
        is_there = f"has ended ({search.state}) with" if search.finished else "runs with"
        raise ClusterError(
            f"experiment '{name}' {is_there} another search, which Katib cannot change in place"
            f" ({_first(other or fixed, found['spec'], manifest['spec'])});"
            f" deploy it beside the other with NAME={successor(name)}, or delete that first"
        )
    _require_possible(manifest, found, budget)
    template = found["spec"]["trialTemplate"]
    made = {**manifest, "spec": {**manifest["spec"], "trialTemplate": template}} if fixed else manifest
    return DeployDiff(made, "change", budget, found, tuple(fixed))


def same_search(before: Object, after: Object) -> bool:
    """Returns whether two Experiment specs differ in their budget and in where trials run alone, so that trials of one
    fit the other.
    """
    return not _other_search(before, after)


def _other_search(before: Object, after: Object) -> list[Change]:
    """Returns the changes that make another search of it."""
    return [
        change
        for change in _changes(_trained(before), _trained(after))
        if change.path not in BUDGET
        and (not change.path.startswith(PLACE) or WORDS in change.path or change.path.endswith(".containers"))
    ]


def _trained(spec: Object) -> Object:
    """Returns the spec whose trials' commands have no flag that says where and how long rather than what is trained."""
    made: Object = copy.deepcopy(dict(spec))
    for container in made["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]:
        words, kept = list(container.get("command") or []), []
        while words:
            word = words.pop(0)
            if word.partition("=")[0] not in OF_PLACE:
                kept.append(word)
            elif "=" not in word and words and not words[0].startswith("--"):
                words.pop(0)
        container["command"] = kept
    return made


def successor(name: str) -> str:
    """Returns `series3-dprnn` -> `series3-dprnn-2` -> `series3-dprnn-3`, within 40 characters."""
    stem, _, number = name.rpartition("-")
    follows = f"{stem}-{int(number) + 1}" if stem and number.isdigit() and len(number) < 4 else f"{name[:38]}-2"
    return follows[:40]


def _require_possible(manifest: Object, found: Object, changes: tuple[Change, ...]) -> None:
    search = read_search(found)
    trials, wanted = search.trials, manifest["spec"]
    name = search.name
    if search.finished and not (search.state == "Succeeded" and wanted["maxTrialCount"] > trials):
        raise ClusterError(f"experiment '{name}' has ended ({search.state}); start it anew with NAME={successor(name)}")
    if wanted["maxTrialCount"] <= trials:
        raise ClusterError(
            f"experiment '{name}' has {trials} trials already: Katib changes nothing of it unless TRIALS is at least {trials + 1}"
        )
    for change in changes:
        if change.path == "parallelTrialCount" and change.after < (change.before or 3):
            raise ClusterError(
                f"experiment '{name}': lowering parallel trials from {change.before} to {change.after} makes Katib delete"
                " its newest trials, finished ones among them; pause it instead, or keep the number"
            )


def _changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Yields what of `after` is not in `before`; defaults that Katib filled in are no change."""
    if isinstance(before, dict) and isinstance(after, dict):
        gone = set(before) - set(after) if path.startswith(WHOLE) else set()
        gone |= {
            key for key in ("earlyStopping", "maxFailedTrialCount") if not path and key in before and key not in after
        }
        for key in [*after, *sorted(gone)]:
            yield from _changes(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _changes(old, new, f"{path}[{index}]")
    elif before != after:
        yield Change(path, before, after)


def _first(changes: list[Change], before: Object, after: Object) -> str:
    """Returns the first of `changes` and how many there are beside it, by the names of flags and spec keys: what a
    trial trains comes first, then what is searched.
    """
    changes.sort(key=lambda change: (WORDS not in change.path, not change.path.startswith("parameters")))
    named = list(dict.fromkeys(text for change in changes for text in _named(change, before, after)))
    more = f" and {len(named) - 1} more" if len(named) > 1 else ""
    return f"{named[0]}{more}"


def _named(change: Change, before: Object, after: Object) -> list[str]:
    section = change.path.partition(".")[0].partition("[")[0]
    values: list[tuple[dict[str, str], dict[str, str]]] = []
    if WORDS in change.path or change.path.endswith(".containers"):
        values = [(flags(_trained(before)), flags(_trained(after)))]
    elif section == "parameters":
        values = [(searched(before), searched(after))]
    elif label := {"algorithm": "algorithm", "earlyStopping": "early_stopping"}.get(section):
        values = [(settings(before, section, label), settings(after, section, label))]
    return [text for old, new in values for text in pairs(old, new, "->")] or [str(change)]


def _text(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = " ".join(value)
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
