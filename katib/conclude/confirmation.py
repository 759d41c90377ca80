"""Confirms a search: plans the runs that it takes, concludes from them, and finds the verdict again.

The confirmation is an Experiment of its own, `<search>-confirm`, of fixed runs (katib/conclude/fixed_runs.py): the
three candidates with seeds 42, 123 and 456. A candidate's run in the search itself is not repeated where it was
complete. The plan is part of the Experiment, so that candidates and baseline are settled before the first run.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from katib.backend.local.backend import LocalBackend
from katib.conclude.fixed_runs import derived, require_trainer, seed_of
from katib.conclude.follow_up import find, search_manifest
from katib.conclude.plan import FollowUpPlan, Group
from katib.conclude.remarks import differences, progress, remarks
from katib.conclude.selection import SEED, Candidate, candidates
from katib.conclude.verdict import Rival, Verdict, judge
from katib.errors import ResultError, SepsweepError
from katib.files import write_whole
from katib.manifest.object import Manifest
from katib.program import out_variable
from katib.spec_command import placeholders
from katib.table.trial_table import TrialTable
from katib.trainer_contract import Flags, is_own
from katib.untrusted import checked, clean, read_json

SEEDS = (42, 123, 456)
"""The seeds of the published baselines (Series 3)."""
TOP = 3
OWN_FILE = "x.yaml"
"""What stands in a command for the file of a user's own spec, of which a search does not know where it lies."""
TrainLimit = int | Literal["all"]
VERDICT = "verdict.json"
"""The file in the search's folder with the verdict of a confirmation that ran on a cluster."""


def find_verdict(runs: Path, search: TrialTable) -> Verdict | None:
    """Returns the verdict on `search`, whose confirmation ran below `runs` or was saved there; None before that.

    Several searches may have the same name, on this machine, on a cluster, or one after the other. A verdict belongs to
    the search on the same backend that tried its configuration.
    """
    found = (_here if search.venue.run_directories else _kept)(runs, search.identity.name)
    own = [{name: text for name, text in row.assignments.items() if name != SEED} for row in search.rows]
    return found if found is not None and dict(found.configuration) in own else None


def _here(runs: Path, experiment: str) -> Verdict | None:
    """Returns the verdict of the confirmation that ran on this machine."""
    follow_up = find(LocalBackend(runs), experiment, "confirm")
    return conclude(follow_up.plan, follow_up.table) if follow_up else None


def _kept(runs: Path, experiment: str) -> Verdict | None:
    """Returns the verdict of the confirmation that ran on a cluster, as it was saved then."""
    try:
        return _read(read_json(runs / experiment / VERDICT))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def plan_confirmation(
    table: TrialTable,
    manifest: Manifest,
    *,
    seeds: Sequence[int] = SEEDS,
    top: int = TOP,
    baseline: Mapping[int, float] | None = None,
    train_limit: TrainLimit | None = None,
) -> FollowUpPlan:
    """Returns the plan that confirms the search of `table` and `manifest`.

    The default `baseline` is the one in the search's spec, if it was trained for as many epochs. With a `train_limit`,
    on other mixtures than the search's, it is a control group of the trainer's defaults, and no run of the search
    counts. Raises ResultError where there is no candidate, or where the search has seen all `seeds`.
    """
    found = candidates(table, top)
    if not found:
        raise ResultError(nothing_to_go_by(table))
    require_trainer(manifest, table.identity.name)
    if train_limit is not None and manifest.declared is not None:
        raise ResultError(f"{table.identity.name}: a command of your own has no --train-limit; leave TRAIN_LIMIT= out")
    seen = seen_seeds(table, manifest)
    if not set(seeds) - set(seen):
        raise ResultError(
            f"{table.identity.name}: the search ran with seed {', '.join(map(str, seen))};"
            " a confirmation needs seeds that it has not seen"
        )
    # What wins on few mixtures and loses on more shows only beside runs on as many. A model has no default.
    alone = train_limit is None or baseline is not None or "model" in table.settings
    return FollowUpPlan(
        purpose="confirm",
        search=table.identity.name,
        seeds=tuple(seeds),
        seen=seen,
        groups=(
            *(_group(one, table, manifest, () if train_limit else seeds) for one in found),
            *(() if alone else [Group(configuration={})]),
        ),
        baseline=dict((_baseline(table) if train_limit is None else {}) if baseline is None else baseline),
        train_limit=train_limit,
    )


def other_size(manifest: Manifest, wanted: TrainLimit | None) -> TrainLimit | None:
    """Returns the mixtures of a confirmation; None where they are those of the search of `manifest`."""
    return None if wanted == (manifest.number(Flags.TRAIN_LIMIT) or "all") else wanted


def hindrance(table: TrialTable) -> str:
    """Returns why the verb confirm would refuse the search of `table`; empty where it would run."""
    manifest = Manifest(table.identity.spec)
    try:
        if table.folder is not None:
            search_manifest(LocalBackend(table.folder.parent), table.folder.name)
        derived(manifest, plan_confirmation(table, manifest))
    except SepsweepError as error:
        return str(error)
    return ""


def next_step(table: TrialTable, out: Path) -> list[str]:
    """Returns the verdict on the search, or what stands in its way: trials under way, a hindrance, or the command."""
    if verdict := find_verdict(out, table):
        return [verdict.sentence, differences(table, verdict.baseline)]
    if table.under_way:
        return [progress(table)]
    if command := confirm_command(table, out_variable(out)):
        return [f"next: {command}{_named(command, table)}"]
    return [f"no confirmation: {hindrance(table)}"]


def confirm_command(table: TrialTable, where: str = "") -> str:
    """Returns the command that confirms the search; empty where it would not run.

    What it runs of a spec's command, or of a model of one's own, is taken from a file that the user names: x.yaml
    stands for it.
    """
    if table.spec is not None and SEED in placeholders(table.spec.command or ()):
        return f"make confirm EXPERIMENT={OWN_FILE}{where}{table.venue.variables}"
    named = OWN_FILE if is_own(table.model or "") else table.identity.name
    return "" if hindrance(table) else f"make confirm EXPERIMENT={named}{where}{table.venue.variables}"


def arch_command(table: TrialTable, where: str = "") -> str:
    """Returns the command that trains the architectures of the next phase; empty where it would not run, or not yet."""
    spec = table.spec
    if spec is None or spec.next_phase is None or table.under_way or not confirm_command(table):
        return ""
    named = "" if table.identity.name == spec.name else f" EXPERIMENT={table.identity.name}"
    model = OWN_FILE if table.identity.own_spec else spec.model
    return f"make arch MODEL={model}{named}{where}{table.venue.variables}"


def _named(command: str, table: TrialTable) -> str:
    return f", where {OWN_FILE} is the spec of '{table.identity.name}'" if OWN_FILE in command else ""


def seen_seeds(table: TrialTable, manifest: Manifest) -> tuple[int, ...]:
    """Returns the seeds that the search ran with."""
    return tuple(sorted({seed_of(row, manifest) for row in table.rows}))


def nothing_to_go_by(table: TrialTable) -> str:
    """Returns why a table without a candidate allows no conclusion, and what to do."""
    name = table.identity.name
    why = next(remarks(table), f"{name}: no trial has ended with a value")
    return f"nothing to conclude from: {why}; see make results EXPERIMENT={name}{table.venue.variables}"


def conclude(plan: FollowUpPlan, table: TrialTable | None) -> Verdict | None:
    """Returns the verdict, once every planned run has ended in the confirmation's `table`.

    It is on the search's first choice, or on the next one where no run of that with an unseen seed has succeeded. None
    before the last run has ended, and where no run has succeeded.
    """
    if table is None or plan.outstanding(table):
        return None
    values = plan.values(table)
    control = next((values[index] for index, group in enumerate(plan.groups) if group.control), {})
    tried = [index for index, group in enumerate(plan.groups) if not group.control]
    for index in tried:
        group = plan.groups[index]
        if set(values[index]) - set(plan.seen):
            rest = [place for place in tried if place != index]
            found = judge(
                group.configuration,
                values[index],
                others=[values[place] for place in rest],
                baseline=plan.baseline or control,
                seen=plan.seen,
                direction=table.identity.direction,
                metric=table.identity.measure,
            )
            rivals = (Rival(plan.groups[place].configuration, values[place]) for place in rest)
            return replace(found, others=tuple(rivals))
    return None


def keep(runs: Path, experiment: str, verdict: Verdict) -> Path:
    """Writes the verdict into the search's folder. Raises FolderError where it cannot be written."""
    path = runs / experiment / VERDICT
    others = [
        {"configuration": dict(one.configuration), "seeds": {str(seed): value for seed, value in one.seeds.items()}}
        for one in verdict.others
    ]
    write_whole(path, [json.dumps(verdict_record(verdict) | {"others": others}, indent=2), "\n"])
    return path


def verdict_record(verdict: Verdict) -> dict[str, object]:
    """Returns the verdict for JSON, which has no NaN: unknown numbers are null."""
    seeds = {key: {str(seed): value for seed, value in getattr(verdict, key).items()} for key in _BY_SEED}
    numbers = {key: None if math.isnan(value := getattr(verdict, key)) else value for key in _NUMBERS}
    return {
        "configuration": dict(verdict.configuration),
        **seeds,
        **numbers,
        "sentence": verdict.sentence,
        "unseen": list(verdict.unseen),
        "outcome": verdict.outcome,
    }


def _read(record: dict[str, Any]) -> Verdict:
    seeds = {key: {int(seed): value for seed, value in record[key].items()} for key in _BY_SEED}
    numbers = {key: math.nan if record[key] is None else record[key] for key in _NUMBERS}
    others = tuple(
        {"configuration": _texts(one["configuration"]), "seeds": {int(key): one["seeds"][key] for key in one["seeds"]}}
        for one in record.get("others", [])
    )
    own = {"configuration": _texts(record["configuration"]), "others": others}
    found = checked(Verdict, record | seeds | numbers | own)
    if not found.seeds:
        raise ValueError("a verdict on no run")
    return replace(found, sentence=clean(found.sentence))


def _texts(record: Mapping[str, str]) -> dict[str, str]:
    return {clean(name): clean(value) for name, value in record.items()}


_BY_SEED = ("seeds", "baseline")
_NUMBERS = ("difference", "low", "high", "p_value")


def known_runs(candidate: Candidate, table: TrialTable, manifest: Manifest) -> dict[int, float]:
    """Returns the values of the candidate's complete runs in the search itself, by seed.

    A run that was stopped early does not count: its value is that of an early epoch.
    """
    own = [row for row in table.finished if row.trial in candidate.trials]
    return {seed_of(row, manifest): row.value for row in own if row.value is not None}


def _group(candidate: Candidate, table: TrialTable, manifest: Manifest, seeds: Sequence[int]) -> Group:
    known = known_runs(candidate, table, manifest)
    return Group(
        configuration=dict(candidate.configuration),
        known={seed: known[seed] for seed in seeds if seed in known},
        mean=candidate.mean,
        sd=candidate.sd,
    )


def _baseline(table: TrialTable) -> Mapping[int, float]:
    return {} if table.baseline is None else table.baseline.seeds
