"""Compares an Experiment with the deployed one: deploying creates, changes or continues it, or does nothing.

Katib's webhook accepts changes of three numbers only (validator.go, ValidateExperiment); the budget in GPU-hours and
another number of configurations are annotations. Everything else defines the search: another one needs another name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.continuing import Continued, carried
from katib.backend.cluster.kinds import EXPERIMENT, MANAGER, OWNER_LABEL, Object, annotations_of, is_ours, name_of
from katib.backend.cluster.model import Search, read_search
from katib.errors import ClusterError
from katib.manifest.again import ANNOTATION as AGAIN
from katib.manifest.again import annotation, asked, with_more
from katib.manifest.diff import flags, leaf, pairs, searched, settings
from katib.manifest.gpu_hours import ANNOTATION
from katib.manifest.object import Manifest
from katib.stop_settings import CONFIGURATIONS
from katib.trainer_contract import Flags
from katib.tree import Tree, put, texts_at

GPU_HOURS = "gpu_hours"
"""The path of the budget in GPU-hours, which is an annotation: Katib does not look at it."""
BUDGET = ("parallelTrialCount", "maxTrialCount", "maxFailedTrialCount", GPU_HOURS, CONFIGURATIONS)
TRIAL_JOB = "trialTemplate.trialSpec"
COMMAND = ".template.spec.containers[0].command"
"""The part of a trial's Job that says what is trained; the rest says where, and comes from the site file."""
SITE_FLAGS = frozenset(
    [
        Flags.DEVICE,
        Flags.WORKERS,
        Flags.ROOM_MINUTES,
        Flags.CHECKPOINT_MINUTES,
        Flags.LINGER,
        Flags.STOP_DELAY,
        Flags.MICRO_BATCH,
    ]
)
"""Flags of our trainer that may differ from a run directory's; they change no value by more than rounding."""
WHOLE = (TRIAL_JOB, "parameters", "earlyStopping", "algorithm")
"""The parts that Katib adds no defaults to, so that a missing key is a change too."""


@dataclass(frozen=True)
class Change:
    """A value that differs; `before` or `after` is None where the key is missing."""

    path: str
    before: object
    after: object

    def __str__(self) -> str:
        return f"{leaf(self.path)}: {_text(self.before)} -> {_text(self.after)}"


@dataclass(frozen=True)
class DeployDiff:
    """What deploying does to an Experiment; `continue` deletes an ended one and recreates it with its old trials."""

    manifest: Object
    action: Literal["create", "change", "continue", "nothing"]
    changes: tuple[Change, ...] = ()
    deployed: Object | None = None
    """The Experiment on the cluster."""
    kept: tuple[Change, ...] = ()
    """Changes of the site file that Katib cannot make: the trials of this search stay as they are."""
    continued: Continued | None = None
    """The trials that continue, once their run directories have been read."""

    @property
    def replaces(self) -> bool:
        """Whether it replaces counts that the verb again has changed."""
        return self.action == "change" and AGAIN in annotations_of(self.manifest)

    @property
    def name(self) -> str:
        """The name of the Experiment."""
        return name_of(self.manifest)


def deployed(cluster: Cluster, name: str) -> Object | None:
    """Returns the Experiment `name`, or None. Raises ClusterError where it is somebody else's."""
    item = cluster.get(EXPERIMENT, name)
    if item is not None and not is_ours(item):
        raise ClusterError(
            f"experiment '{name}' in namespace '{cluster.namespace}' is not ours (no label {OWNER_LABEL}={MANAGER});"
            " choose another name with NAME="
        )
    return item


def diff(manifest: Object, current: Object | None) -> DeployDiff:
    """Returns what deploying `manifest` does where the Experiment `current` is on the cluster.

    Raises ClusterError where Katib would refuse the change or damage the search.
    """
    if current is None:
        return DeployDiff(manifest, "create")
    manifest, again = carried(manifest, current), asked(annotations_of(current))
    wanted, name, spec = manifest["spec"], name_of(manifest), with_more(current["spec"], -len(again))
    changes = (*_changes(spec, wanted), *_annotated(current, manifest))
    search, other = read_search(current), _other_search(spec, wanted)
    if search.deleting:
        raise ClusterError(f"experiment '{name}' is being deleted; wait until it is gone, or choose NAME=")
    if search.stopped and not search.finished:
        raise ClusterError(
            f"experiment '{name}' was {search.stopped} and has not ended yet: make stop EXPERIMENT={name} waits for its"
            " end, then deploy continues it; if it does not end, make doctor looks at Katib's controller"
        )
    # A stopped search that had all of its trials ends as Succeeded.
    if (search.state == "Failed" or (search.finished and search.stopped)) and not other:
        return DeployDiff(manifest, "continue", changes, current)
    if not changes:
        return DeployDiff(manifest, "nothing")
    budget = tuple(change for change in changes if change.path in BUDGET)
    fixed = [change for change in changes if change.path not in BUDGET]
    if other or (fixed and not budget):
        state = f"has ended ({search.state}) with" if search.finished else "runs with"
        raise ClusterError(
            f"experiment '{name}' {state} another search, which Katib cannot change in place"
            f" ({_first(other or fixed, spec, wanted)});"
            f" deploy it beside the other with NAME={successor(name)}, or delete that first"
        )
    wanted = {**with_more(wanted, len(again))}
    _require_possible(search, wanted, budget, len(again))
    if fixed:
        wanted["trialTemplate"] = current["spec"]["trialTemplate"]
    manifest = {**manifest, "spec": wanted}
    if again:
        manifest = dict(put(manifest, ("metadata", "annotations", AGAIN), annotation(again)))
    return DeployDiff(manifest, "change", budget, current, tuple(fixed))


def same_search(before: Tree, after: Tree) -> bool:
    """Returns whether two Experiment specs define the same search, so that trials of one fit the other.

    They may differ in their budget and in where trials run.
    """
    return not _other_search(before, after)


def _other_search(before: Tree, after: Tree) -> list[Change]:
    """Returns the changes that turn the search into another one."""
    return [
        change
        for change in _changes(_trained(before), _trained(after))
        if change.path not in BUDGET
        and (not change.path.startswith(TRIAL_JOB) or COMMAND in change.path or change.path.endswith(".containers"))
    ]


def _trained(spec: Tree) -> Tree:
    """Returns the spec without the flags in trials' commands that say where or how long something is trained."""
    manifest = Manifest(spec)
    words, kept = texts_at(manifest.container, "command"), []
    while words:
        word = words.pop(0)
        if word.partition("=")[0] not in SITE_FLAGS:
            kept.append(word)
        elif "=" not in word and words and not words[0].startswith("--"):
            words.pop(0)
    return manifest.with_container({**manifest.container, "command": kept}).spec


def successor(name: str) -> str:
    """Returns the next name in `series3-dprnn`, `series3-dprnn-2`, `series3-dprnn-3`, …, within 40 characters."""
    stem, _, number = name.rpartition("-")
    counted = stem and number.isdigit() and len(number) < 4
    return (f"{stem}-{int(number) + 1}" if counted else f"{name[:38]}-2")[:40]


def _require_possible(search: Search, wanted: Object, changes: tuple[Change, ...], again: int) -> None:
    """Raises ClusterError where Katib would not make the changes of the budget, or would delete trials with them.

    Of the trials, `again` go on with failed ones, and are none of those that a user counts.
    """
    name, trials = search.name, search.trials
    if search.finished and not (search.state == "Succeeded" and wanted["maxTrialCount"] > trials):
        raise ClusterError(f"experiment '{name}' has ended ({search.state}); start it anew with NAME={successor(name)}")
    if all(change.path == GPU_HOURS for change in changes):
        return
    if wanted["maxTrialCount"] <= trials:
        least = f"TRIALS is at least {trials + 1 - again}"
        if Manifest(wanted).pauses:
            least = f"maxTrialCount, continuations included, is at least {trials + 1}; name more TRIALS"
        raise ClusterError(f"experiment '{name}' has {trials} trials already: Katib changes nothing unless {least}")
    before, after = search.parallel, wanted["parallelTrialCount"]
    if any(change.path == "parallelTrialCount" for change in changes) and after < before:
        raise ClusterError(
            f"experiment '{name}': lowering parallel trials from {before} to {after} would make Katib delete the newest"
            " trials, even finished ones; pause it instead, or keep the number"
        )


def _annotated(before: Object, after: Object) -> Iterator[Change]:
    """Yields the changes of what is an annotation: the budget in GPU-hours, and the number of configurations."""
    counts = [manifest.configurations for manifest in map(Manifest.of, (before, after)) if manifest.pauses]
    if len(set(counts)) > 1:
        yield Change(CONFIGURATIONS, *counts)
    old, new = (annotations_of(item).get(ANNOTATION) for item in (before, after))
    if old != new:
        yield Change(GPU_HOURS, old, new)


def _changes(before: object, after: object, path: str = "") -> Iterator[Change]:
    """Yields the values of `after` that differ from `before`; defaults that Katib has added are no changes."""
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


def _first(changes: list[Change], before: Tree, after: Tree) -> str:
    """Returns the most important of `changes`, by the names of flags and spec keys, and how many more there are.

    What a trial trains comes first, then what is searched.
    """
    changes.sort(key=lambda change: (COMMAND not in change.path, not change.path.startswith("parameters")))
    named = list(dict.fromkeys(text for change in changes for text in _named(change, before, after)))
    more = f" and {len(named) - 1} more" if len(named) > 1 else ""
    return f"{named[0]}{more}"


def _named(change: Change, before: Tree, after: Tree) -> list[str]:
    section = change.path.partition(".")[0].partition("[")[0]
    values: list[tuple[dict[str, str], dict[str, str]]] = []
    if COMMAND in change.path or change.path.endswith(".containers"):
        values = [(flags(_trained(before)), flags(_trained(after)))]
    elif section == "parameters":
        values = [(searched(before), searched(after))]
    elif label := {"algorithm": "algorithm", "earlyStopping": "early_stopping"}.get(section):
        values = [(settings(before, section, label), settings(after, section, label))]
    return [text for old, new in values for text in pairs(old, new, "->")] or [str(change)]


def _text(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = " ".join(value)
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
