"""What follows from a search, in explicit steps: find what was planned or propose a plan, prepare the run, run it.

It is an Experiment of fixed runs (fixed_runs.py) whose plan stands in one of its annotations, so that it is found
again on either backend. What was planned before the first finished epoch stays: a plan that follows the results proves
nothing.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from katib.backend.base import Backend, PreparedRun, RunResult
from katib.conclude.fixed_runs import derived
from katib.conclude.plan import FollowUpPlan, Purpose, experiment_name, plan_of, purpose_name
from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.manifest.render import Overrides, declaration, render
from katib.manifest.schema import experiment_document
from katib.site import Site
from katib.spec import Spec
from katib.table.origin import epochs_of
from katib.table.trial_table import TrialTable
from katib.text import count
from katib.trial import WITHOUT_RESULT


@dataclass(frozen=True)
class FollowUp:
    """A plan, the text of its Experiment, and how far that is: `table` is None before its first trial."""

    plan: FollowUpPlan
    text: str
    table: TrialTable | None = None
    code: int = 0
    """The exit code of a run that was broken off."""

    @property
    def name(self) -> str:
        """The name of its Experiment."""
        return self.plan.name

    @cached_property
    def manifest(self) -> Manifest:
        """Its Experiment."""
        return _manifest(self.text, self.name)

    @property
    def outstanding(self) -> int:
        """How many runs have not ended."""
        return self.plan.outstanding(self.table)

    @property
    def left(self) -> str:
        """`2 runs of 9 left; run the same command to resume`; empty where none is left."""
        if not self.outstanding:
            return ""
        return f"{count(self.outstanding, 'run')} of {len(self.plan.words)} left; run the same command to resume"

    @property
    def values(self) -> list[dict[int, float]]:
        """The values of each configuration by seed, as far as its runs have ended."""
        return self.plan.values(self.table)

    @property
    def failures(self) -> list[str]:
        """One line for each run that ended without a value."""
        rows = self.table.rows if self.table is not None else ()
        bad = [row for row in rows if row.state in WITHOUT_RESULT or row.state == "EarlyStopped"]
        return [f"{row.assignments.get('run', row.trial)}: {row.state} {row.reason}".rstrip() for row in bad]

    def after(self, result: RunResult) -> "FollowUp":
        """Returns how far it is after a run."""
        return replace(self, table=result.table or self.table, code=result.code)


def find(backend: Backend, search: str, purpose: Purpose, size: int | str | None = None) -> FollowUp | None:
    """Returns what follows from `search` as it was planned; None where nothing does yet.

    `size` is to how many epochs, or on how many mixtures, its runs are trained, where those are not the search's.

    Raises the backend's error where an experiment of that name follows from something else.
    """
    name = experiment_name(search, purpose_name(purpose, size))
    text = backend.manifest(name)
    if text is None:
        return None
    plan = plan_of(_manifest(text, name))
    if plan is None or plan.search != search:
        other = f"follows from '{plan.search}'" if plan else "follows from no search"
        raise backend.error(f"experiment '{name}' {other}, not from '{search}'; remove it, or rename its search")
    return FollowUp(plan, text, backend.table(name) if backend.begun(name) else None)


def search_manifest(backend: Backend, search: str) -> Manifest:
    """Returns the manifest of `search`. Raises the backend's error where there is none."""
    text = backend.manifest(search)
    if text is None:
        raise backend.error(f"experiment '{search}' has no manifest, and without it no run can be repeated")
    return _manifest(text, search)


def propose(plan: FollowUpPlan, search: Manifest, earlier: FollowUp | None = None) -> FollowUp:
    """Returns the follow-up of a new `plan`, made from the manifest of its `search`, in place of an `earlier` one.

    Raises ManifestError where its Experiment could not be run.
    """
    from katib.check.manifest import require_sound  # loads every rule

    text = derived(search, plan)
    follow_up = FollowUp(plan, text, earlier.table if earlier else None)
    require_sound(text, f"the Experiment {follow_up.name}")
    return follow_up


def declared_manifest(stored: Manifest, spec: Spec, site: Site, file: str, field: str = "") -> Manifest:
    """Returns the manifest that the spec in `file` renders to, with what it declares of its command.

    `field` is what an architecture sweep varies. Raises ManifestError where the trials of the search ran another
    command, by its `stored` manifest.
    """
    epochs = epochs_of(stored, spec)
    if epochs is not None and epochs != spec.epochs:
        # It was run for fewer or more of them: a number, which is no program.
        spec = Overrides(epochs=epochs).apply(spec)
    made = replace(_manifest(render(spec, site, word=file), spec.name), declared=declaration(spec, site, field))
    if made.command != stored.command:
        raise ManifestError(
            f"{file}: its command is '{' '.join(made.command)}', but the trials of '{spec.name}' ran"
            f" '{' '.join(stored.command)}'; name the spec with which they ran"
        )
    return made


def prepare(
    backend: Backend, follow_up: FollowUp, data: Path | None, declared: Manifest | None = None
) -> PreparedRun | None:
    """Returns the run of what is missing; None where nothing is, or where it is already running.

    Where the search's manifest is `declared` by a spec that the user has named, what runs comes from that alone.
    """
    if not follow_up.outstanding and not follow_up.failures:
        return None
    text = follow_up.text if declared is None else derived(declared, follow_up.plan)
    prepared = backend.prepare(follow_up.name, text, follow_up.plan.search, data, named=declared is not None)
    return prepared if prepared is not None and (follow_up.outstanding or prepared.retries) else None


def _manifest(text: str, experiment: str) -> Manifest:
    manifest = Manifest.of(experiment_document(text, f"the manifest of '{experiment}'"))
    if not manifest.spec:
        raise ManifestError(f"the manifest of '{experiment}' has no spec")
    return manifest
