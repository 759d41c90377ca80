"""Plans to train the best configurations of a search further, from their checkpoints.

The extension is an Experiment of its own, `<search>-extend-<epochs>`, of fixed runs: each begins with the checkpoints
of the trial that it goes on from (--continue-from), which stay as they are. An extension can itself be extended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from katib.conclude.confirmation import nothing_to_go_by
from katib.conclude.fixed_runs import require_trainer, seed_of
from katib.conclude.follow_up import FollowUp
from katib.conclude.plan import RUN, FollowUpPlan, Group, Source, plan_of
from katib.conclude.selection import candidates
from katib.errors import ManifestError, ResultError, SepsweepError, SpecError
from katib.manifest.object import Manifest
from katib.spec import Spec
from katib.spec_command import EPOCHS, RUN_DIR, placeholders
from katib.table.patience import BEGIN, HOPELESS
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count
from katib.trainer_contract import Flags


@dataclass(frozen=True)
class Extended:
    """A run of an extension: where it began, and its epochs and value so far; `epochs` is 0 before its first report."""

    group: Group
    source: Source
    epochs: int
    value: float | None
    best_epoch: int | None
    state: str


def base_of(manifest: Manifest, name: str) -> str:
    """Returns the search that the Experiment `name` extends, or `name` where it is no extension."""
    plan = plan_of(manifest)
    return plan.search if plan is not None and plan.purpose == "extend" else name


def require_going_on(spec: Spec) -> None:
    """Raises SpecError where no run of the command of a spec can be trained further."""
    for name in (EPOCHS, RUN_DIR):
        if name not in placeholders(spec.command or ()):
            raise SpecError(f"spec of {spec.name}: its command has no {{{name}}}, so that no run can go on")
    if not spec.resume:
        raise SpecError(
            f"spec of {spec.name}: it does not say `resume: true`, that the command goes on from what it finds in"
            " {run_dir}; without that no run can go on"
        )


def plan_extension(table: TrialTable, manifest: Manifest, epochs: int, top: int) -> tuple[FollowUpPlan, list[str]]:
    """Returns the plan that trains the best `top` configurations to `epochs`, and which of them it leaves out and why.

    Raises ResultError where there is no configuration with a value, SepsweepError where none of them can be extended.
    """
    name = table.identity.name
    require_trainer(manifest, name)
    follows = plan_of(manifest)
    if follows is not None and follows.purpose != "extend":
        raise SepsweepError(f"{name}: is no search, it follows from '{follows.search}'; extend that")
    found = list(_found(table, manifest, top))
    if not found:
        raise ResultError(nothing_to_go_by(table))
    refused = [problem for row, _ in found if (problem := _hindrance(row, epochs))]
    if len(refused) == len(found):
        others = "" if top >= len(table.rows) else "; a larger TOP= (--top) tries the next ones"
        raise SepsweepError(f"{name}: nothing to extend: {'; '.join(refused)}{others}")
    groups = tuple(group for row, group in found if not _hindrance(row, epochs))
    plan = FollowUpPlan(
        purpose="extend",
        search=base_of(manifest, name),
        seeds=tuple(dict.fromkeys(group.source.seed for group in groups if group.source)),
        groups=groups,
        epochs=epochs,
    )
    return plan, refused


def extended(follow_up: FollowUp) -> list[Extended]:
    """Returns the runs of an extension as far as they are."""
    rows = {row.assignments.get(RUN): row for row in (follow_up.table.rows if follow_up.table else ())}
    found = []
    for group in follow_up.plan.groups:
        if (source := group.source) is None:
            continue
        row = rows.get(group.word(source.seed))
        if row is None:
            found.append(Extended(group, source, 0, None, None, "Created"))
        else:
            found.append(Extended(group, source, row.epochs, row.value, row.best_epoch, row.shown_state))
    return found


def _found(table: TrialTable, manifest: Manifest, top: int) -> Iterator[tuple[TrialRow, Group]]:
    """Yields the best trial of each of the best configurations, with the run that goes on from it."""
    plan, rows = plan_of(manifest), {row.trial: row for row in table.rows}
    if plan is not None and plan.purpose == "extend":
        groups = {group.word(seed): group for group in plan.groups for seed in plan.seeds_of(group)}
        valued = [row for row in table.rows if row.value is not None and row.assignments.get(RUN) in groups]
        for row in valued[:top]:
            group = groups[row.assignments[RUN]]
            seed = group.source.seed if group.source else plan.seeds[0]
            yield row, Group(configuration=group.configuration, source=_source(row, manifest, seed))
        return
    for one in candidates(table, top):
        row = _best([rows[trial] for trial in one.trials], table)
        group = Group(configuration=dict(one.configuration), mean=one.mean, sd=one.sd)
        yield row, group.model_copy(update={"source": _source(row, manifest, seed_of(row, manifest))})


def _best(rows: Sequence[TrialRow], table: TrialTable) -> TrialRow:
    """Returns the trial with the best value, of one configuration that has one."""
    sign = table.identity.direction.sign
    ended = [row for row in rows if row.value is not None and row not in table.under_way]
    return max(ended, key=lambda row: sign * (row.value or 0.0))


def _source(row: TrialRow, manifest: Manifest, seed: int) -> Source:
    return Source(
        trial=row.trial, run_dir=_run_dir(row, manifest), seed=seed, epochs=row.epochs, value=row.value or 0.0
    )


def _run_dir(row: TrialRow, manifest: Manifest) -> str:
    """Returns the run directory of a trial as its pod saw it. Raises ManifestError where the command lacks it."""
    words = [manifest.declared.run_dir] if manifest.declared else manifest.flags.get(Flags.RUN_DIR, [])
    path = words[0] if len(words) == 1 else ""
    for name, reference in manifest.references.items():
        value = row.trial if reference == "${trialSpec.Name}" else row.assignments.get(reference)
        if value is not None:
            path = path.replace(f"${{trialParameters.{name}}}", value)
    if not path or "${" in path:
        raise ManifestError(f"{row.trial}: its command does not say where its checkpoints are ({Flags.RUN_DIR})")
    return path


def _hindrance(row: TrialRow, epochs: int) -> str:
    """Returns why a trial cannot be trained to `epochs`; empty where it can."""
    if row.epochs >= epochs:
        return f"{row.trial} has {count(row.epochs, 'epoch')}; EPOCHS= (--epochs) must be more than that"
    if row.reason.startswith((BEGIN, HOPELESS)):
        return f"{row.trial} would end again at once ({row.reason})"
    return ""
