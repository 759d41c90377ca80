"""Chooses the trials of an ended search that continue, and writes the Experiment that makes Katib continue them.

A Katib trial that has ended never starts again, so the old Experiment is deleted and a new one is created. Its setting
`first_suggestions` holds the old trials' assignments and names: Katib creates trials with those names
(suggestionclient.go, SyncAssignments), whose run directories are the old ones, and the trainer resumes there.

Finished trials come first: they only replay their curves, which the stop rule and the sampler need. Then come trials
that were stopped early, whose replayed curves meet the same rule, and then the others, those with the most epochs
first. Pure: no I/O.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from katib.backend.cluster.kinds import Object, annotations_of
from katib.backend.cluster.run_directories import RunDirectory
from katib.manifest.configurations import with_rule_of
from katib.manifest.gpu_hours import ANNOTATION, HOURS_BEFORE
from katib.search.first_suggestions import FirstSuggestion, first_suggestions
from katib.text import count, number
from katib.trainer_contract import DIVERGED, FINISHED
from katib.tree import items_at, named_at, put, text_at

SETTING = "first_suggestions"
_SETTINGS = ("spec", "algorithm", "algorithmSettings")


@dataclass(frozen=True)
class OldTrial:
    """A trial of the ended search; `state` is Katib's, `hours` are the GPU-hours that it has used."""

    name: str
    assignments: Mapping[str, str]
    state: str
    hours: float = 0.0


@dataclass(frozen=True)
class Continued:
    """The trials that continue, in the order in which they are proposed, with their finished epochs."""

    trials: tuple[OldTrial, ...]
    epochs: tuple[int, ...]
    diverged: int
    """The number left out because they would diverge again at the same step."""
    beyond: int
    """The number left out because the search has fewer trials now."""

    def __str__(self) -> str:
        left = [f"{self.diverged} diverged"] if self.diverged else []
        left += [f"{self.beyond} beyond its number of trials"] if self.beyond else []
        kept = f"{count(len(self.trials), 'trial')} from their run directories ({sum(self.epochs)} epochs kept)"
        return f"{kept}, without {' and '.join(left)}" if left else kept


def continued(trials: Iterable[OldTrial], directories: Iterable[RunDirectory], max_trials: int) -> Continued:
    """Returns those of the trials that continue: they have a run directory and have not diverged."""
    by_trial = {directory.trial: directory for directory in directories}
    pairs = [(trial, by_trial[trial.name]) for trial in trials if trial.name in by_trial]
    resumable = [pair for pair in pairs if pair[1].state != DIVERGED]
    resumable.sort(key=lambda pair: (_rank(*pair), -pair[1].epochs, pair[0].name))
    kept = resumable[:max_trials]
    return Continued(
        trials=tuple(trial for trial, _ in kept),
        epochs=tuple(directory.epochs for _, directory in kept),
        diverged=len(pairs) - len(resumable),
        beyond=len(resumable) - len(kept),
    )


def _rank(trial: OldTrial, directory: RunDirectory) -> int:
    if directory.state == FINISHED:
        return 0
    return 1 if trial.state == "EarlyStopped" else 2


def with_trials(manifest: Object, trials: Sequence[OldTrial]) -> Object:
    """Returns the Experiment that proposes these trials first, by name, and then its own first suggestions."""
    first = [FirstSuggestion(dict(trial.assignments), trial.name) for trial in trials]
    return _with_first(manifest, first)


def carried(manifest: Object, deployed: Object) -> Object:
    """Returns the Experiment with what `deployed` has from an earlier continuation.

    That is the first suggestions with names, the hours spent before, and the stop rule. A budget in GPU-hours stays
    where the manifest names none.
    """
    manifest = dict(with_rule_of(manifest, deployed))
    named = [first for first in _first(deployed) if first.trial]
    before, own = annotations_of(deployed), annotations_of(manifest)
    kept = {name: before[name] for name in (HOURS_BEFORE, ANNOTATION) if name in before and name not in own}
    annotated = _annotated(manifest, kept) if kept else manifest
    return _with_first(annotated, named) if named else annotated


def with_hours(manifest: Object, trials: Iterable[OldTrial]) -> Object:
    """Returns the Experiment annotated with the hours of all old trials, including those that do not continue."""
    spent = {trial.name: round(trial.hours, 4) for trial in trials if trial.hours}
    return _annotated(manifest, {HOURS_BEFORE: json.dumps(spent)}) if spent else manifest


def _annotated(manifest: Object, more: Mapping[str, str]) -> Object:
    annotations = {**annotations_of(manifest), **more}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def _with_first(manifest: Object, first: Sequence[FirstSuggestion]) -> Object:
    own = [point for point in _first(manifest) if not any(_same(point, other) for other in first)]
    points = [
        {"assignments": dict(point.assignments), **({"trial": point.trial} if point.trial else {})}
        for point in (*first, *own)
    ]
    settings = [item for item in items_at(manifest, *_SETTINGS) if text_at(item, "name") != SETTING]
    settings.append({"name": SETTING, "value": json.dumps(points)})
    return dict(put(manifest, _SETTINGS, sorted(settings, key=lambda item: text_at(item, "name"))))


def _first(manifest: Object) -> tuple[FirstSuggestion, ...]:
    try:
        return first_suggestions(named_at(manifest, *_SETTINGS).get(SETTING, "[]"))
    except ValueError:
        return ()  # somebody else wrote it; the suggestion service refuses it


def _same(point: FirstSuggestion, other: FirstSuggestion) -> bool:
    """Returns whether two points are the same, whatever the spelling of their numbers."""
    if point.assignments.keys() != other.assignments.keys():
        return False
    return all(_value(text) == _value(other.assignments[name]) for name, text in point.assignments.items())


def _value(text: str) -> float | str:
    value = number(text)
    return text if value is None else value
