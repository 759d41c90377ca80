"""Runs the stages of a spec one after the other: searches on more and more mixtures of the corpus.

Each stage is an Experiment of its own, NAME-1, NAME-2, …. It learns from the trials of the one before (warm_start) and
tries the best of those first. Which stage is due is read from the backend, so that the same command always goes on.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from pydantic import ValidationError

from katib.backend.base import Backend
from katib.conclude.follow_up import search_manifest
from katib.errors import SpecError
from katib.manifest.gpu_hours import spent
from katib.manifest.object import OWN_SPEC
from katib.manifest.render import Overrides
from katib.ranges import Value
from katib.spec import ENDINGS, Spec, load_spec, search_name, specs, stage_name, stage_of
from katib.table.trial_table import TrialTable
from katib.text import count, number_or_text

CARRIED = 3
"""The trials of a stage whose settings the next one tries first."""


@dataclass(frozen=True)
class Due:
    """The search that a spec wants to run now."""

    spec: Spec
    overrides: Overrides
    note: str = ""
    """Which stage it is; empty for a spec without stages."""
    then: str = ""
    """What follows once it has ended; empty where nothing does."""


def due(backend: Backend, spec: Spec, overrides: Overrides) -> Due:
    """Returns the first stage of `spec` that has not ended, or the last; the spec itself where it has no stages.

    Raises SpecError where a stage that has ended leaves nothing to carry over.
    """
    if not spec.stages:
        return Due(spec, overrides)
    if overrides.name is not None:
        spec = Overrides(name=overrides.name).apply(spec)
        overrides = replace(overrides, name=None)
    number = _last_begun(backend, spec)
    if number < len(spec.stages) and _has_ended(backend, stage_name(spec.name, number)):
        number += 1
    number = max(1, number)
    stage = stage_of(spec, number, _carried(backend, spec, number))
    size = f"{stage.fixed['train_limit']} mixtures" if "train_limit" in stage.fixed else "all mixtures"
    carried = count(len(stage.first_suggestions), "point")
    first = f", and begins with {carried} of stage {number - 1}" if number > 1 else ""
    of = f"of {len(spec.stages)}"
    then = f"then: the same command again, for stage {number + 1} {of}" if number < len(spec.stages) else ""
    return Due(stage, overrides, f"stage {number} {of}: '{stage.name}' on {size}{first}", then)


def search_of(backend: Backend, word: str) -> str:
    """Returns the search that `word` stands for: one of this name, or else that of the model or spec of this name.

    Of a spec with stages it is the last one that has begun.
    """
    if word in specs() and backend.begun(word):
        return word
    return begun_stage(backend, word) or search_name(word)


def begun_stage(backend: Backend, word: str) -> str:
    """Returns the last stage that has begun of the spec in the file `word`, or its first; empty for another word."""
    if not word.endswith(ENDINGS) or not (spec := load_spec(word)).stages:
        return ""
    return stage_name(spec.name, max(1, _last_begun(backend, spec)))


def require_mixtures(spec: Spec, found: int, word: str) -> None:
    """Raises SpecError where a stage of the spec in the file `word` has more mixtures than were `found` to train."""
    largest = max((stage.train_limit for stage in spec.stages if stage.train_limit != "all"), default=0)
    if largest > found:
        raise SpecError(f"{word}: stages: {largest} mixtures, but the corpus has {found} to train; write all, or fewer")


def _last_begun(backend: Backend, spec: Spec) -> int:
    """Returns the number of the last stage that has begun, from 1; 0 where none has. Earlier ones may be deleted."""
    numbers = range(len(spec.stages), 0, -1)
    return next((number for number in numbers if _has_begun(backend, stage_name(spec.name, number))), 0)


def _has_begun(backend: Backend, experiment: str) -> bool:
    return backend.has(experiment) and backend.begun(experiment)


def _has_ended(backend: Backend, experiment: str) -> bool:
    if not _has_begun(backend, experiment):
        return False
    table = backend.table(experiment)
    if table.under_way or table.budget is None:
        return False
    return len(table.rows) >= table.budget.trials or bool(_over(table))


def _over(table: TrialTable) -> str:
    return spent(table.hours_used, table.identity.gpu_hours, table.device)


def _carried(backend: Backend, spec: Spec, number: int) -> list[dict[str, Value]]:
    """Returns the points that stage `number` tries first: those that it began with, or else the best before it."""
    name = stage_name(spec.name, number)
    if number == 1:
        return []
    if _has_begun(backend, name):
        kept = search_manifest(backend, name).annotations.get(OWN_SPEC, "")
        with suppress(ValidationError):
            return Spec.model_validate_json(kept).first_suggestions
    before = backend.table(stage_name(spec.name, number - 1))
    best = before.finished[:CARRIED]
    if not best:
        raise SpecError(
            f"{before.identity.name}: no trial ran to its end, so that stage {number} has nothing to begin with;"
            f" make results EXPERIMENT={before.identity.name} says why"
        )
    return [{key: number_or_text(text) for key, text in row.assignments.items()} for row in best]
