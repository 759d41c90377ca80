"""What confirm and arch share: the Experiment that follows from a search, planned once, run here or deployed, found
again.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from katib.backend.cluster import lifecycle
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import deployed, diff
from katib.backend.cluster.kinds import EXPERIMENT
from katib.backend.cluster.old_trials import with_old_trials
from katib.backend.cluster.table import cluster_table
from katib.backend.local.another import untrained
from katib.backend.local.corpus import EARLIER, is_earlier
from katib.backend.local.launch import launcher
from katib.backend.local.pace import pace
from katib.backend.local.record import DATABASE, MANIFEST
from katib.backend.local.table import read_table
from katib.check import require_sound
from katib.cli.deploy import apply
from katib.cli.searches import confirm, say, site_of
from katib.cli.tables import tell
from katib.conclude.confirmation import local_plan, outstanding, require_manifest
from katib.conclude.fixed_runs import PLAN, Plan, Purpose, derived, experiment_name, plan_of
from katib.conclude.own_program import require_own_program
from katib.errors import ClusterError, FolderError, SepsweepError
from katib.manifest.experiment import load_experiment
from katib.table.run_folder import read_json
from katib.table.trial_table import Row, TrialTable
from katib.trainer_contract import SUMMARY, Flags
from katib.trainer_flags import trainer
from katib.trial import WITHOUT_RESULT
from katib.untrusted import read_text
from katib.yaml_reader import read_yaml

Make = Callable[[TrialTable, Mapping[str, Any]], Plan]
"""Of a search's table and manifest the plan of what follows."""

Data = Annotated[Path | None, typer.Option(help="folder of the corpus (default: where the search's runs found it)")]
OnCluster = Annotated[bool, typer.Option("--cluster", help="on the cluster, not on this machine")]
Seeds = Annotated[str | None, typer.Option(help="seeds of each configuration, with commas (default: 42,123,456)")]


@dataclass(frozen=True)
class How:
    """What the options say: where it runs, and whether to ask."""

    out: Path
    data: Path | None
    cluster: bool
    site: Path | None
    context: str | None
    yes: bool
    look: bool
    """Whether only to say how far it is."""

    @property
    def on_cluster(self) -> bool:
        """A context alone says so too."""
        return self.cluster or self.context is not None


@dataclass(frozen=True)
class Followed:
    """What follows from a search, and how far it is: `manifest` is that of its Experiment, `table` None before its
    first trial, `code` what a search that was broken off exits with.
    """

    plan: Plan
    manifest: Mapping[str, Any]
    table: TrialTable | None = None
    before: tuple[Row, ...] = ()
    """The trials of the search, where they are at hand."""
    code: int = 0

    @property
    def name(self) -> str:
        """Of its Experiment."""
        return experiment_name(self.plan.search, self.plan.purpose)

    @property
    def outstanding(self) -> int:
        """Runs that have not ended."""
        return len(self.plan.words) if self.table is None else outstanding(self.plan, self.table)

    @property
    def values(self) -> list[dict[int, float]]:
        """Of each configuration, by seed, as far as its runs have ended."""
        if self.table is not None:
            return self.plan.values(self.table)
        return [dict(group.known) for group in self.plan.groups]

    @property
    def failures(self) -> list[str]:
        """One line a run that ended without a value."""
        rows = self.table.rows if self.table is not None else ()
        bad = [row for row in rows if row.state in (*WITHOUT_RESULT, "EarlyStopped")]
        return [f"{row.assignments.get('run', row.trial)}: {row.state} {row.reason}".rstrip() for row in bad]


def numbers(text: str) -> tuple[int, ...]:
    """Returns the seeds of `--seeds`."""
    words = text.replace(",", " ").split()
    if not text.isascii():
        words = []
    for word in words:
        if word.isdecimal() and (found := trainer().problem(Flags.SEED, [word], None)):
            raise SepsweepError(f"--seeds '{text}': {found}")
    if not words or not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise SepsweepError(f"--seeds '{text}': whole numbers, each once, such as 42,123,456")
    return tuple(map(int, words))


def follow(experiment: str, purpose: Purpose, make: "Make", show: Callable[[Followed], None], how: How) -> Followed:
    """Plan what follows from a search, or find it as it was planned; show it, ask, and have run what is missing."""
    where = _on_cluster if how.on_cluster else _here
    return where(experiment, purpose, make, show, how)


def _here(experiment: str, purpose: Purpose, make: "Make", show: Callable[[Followed], None], how: How) -> Followed:
    """On this machine, until it has ended."""

    from katib.backend.local.run import is_begun, run  # loads Optuna

    out = how.out
    search = read_table(out, experiment)
    tell(search.notes)
    name = experiment_name(experiment, purpose)
    plan = local_plan(out, experiment, purpose)
    if plan is None or (not how.look and untrained(out / name)):
        # What no run has finished an epoch of may still be planned otherwise.
        manifest = require_manifest(out, experiment)
        plan = make(search, manifest)
        text = derived(manifest, plan)
        require_sound(text, f"the Experiment {name}")
    else:
        text = read_text(out / name / MANIFEST)
    followed = Followed(plan, read_yaml(text), table_here(out, name), search.rows)
    if how.look or not followed.outstanding:
        return followed
    show(followed)
    require_own_program(read_yaml(text)["spec"], str(out / name / MANIFEST))
    start = _launcher(text, name, out, how.data or _recorded(out, search), search)
    if not is_begun(start) and (cost := pace(start)) is not None:
        say(str(cost))
    confirm("Run them?", how.yes)
    halt = run(start, text)
    if halt is not None:
        print(halt, file=sys.stderr)
    return replace(followed, table=table_here(out, name), code=halt.code if halt else 0)


def _on_cluster(
    experiment: str, purpose: Purpose, make: "Make", show: Callable[[Followed], None], how: How
) -> Followed:
    """Deployed as a search is, and left to run; called again it says how far it is."""
    context, place = how.context, site_of(how.site)
    cluster = Cluster(place.namespace, context)
    name = experiment_name(experiment, purpose)
    there = deployed(cluster, name)
    if there is not None:
        plan = plan_of(there)
        if plan is None or plan.search != experiment:
            raise ClusterError(f"experiment '{name}' is there, and follows from no search '{experiment}'")
        followed = Followed(plan, there, cluster_table(cluster, name, context=context))
        ended = diff(as_deployed(there), there)
        if ended.action == "continue" and (followed.outstanding or followed.failures) and not how.look:
            due = with_old_trials(cluster, ended, how.out, say)
            again = due.continued.trials if due.continued else ()
            if followed.outstanding or any(trial.state == "Failed" for trial in again):
                show(followed)
                apply(cluster, place, [due], yes=how.yes, out=how.out, context=context)
        return followed
    lifecycle.find(cluster, experiment)
    manifest = cluster.get(EXPERIMENT, experiment) or {}
    search = cluster_table(cluster, experiment, context=context)
    tell(search.notes)
    plan = make(search, manifest)
    text = derived(manifest, plan)
    require_sound(text, f"the Experiment {name}")
    followed = Followed(plan, read_yaml(text), before=search.rows)
    if how.look:
        return followed
    show(followed)
    apply(cluster, place, [diff(dict(followed.manifest), None)], yes=how.yes)
    return followed


def as_deployed(found: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an Experiment of the cluster as a manifest that makes it anew: without what Katib, Kubernetes and `stop`
    noted on it.
    """
    metadata = {key: found["metadata"][key] for key in ("name", "namespace", "labels")}
    metadata["annotations"] = {PLAN: found["metadata"]["annotations"][PLAN]}
    return {
        "apiVersion": found["apiVersion"],
        "kind": found["kind"],
        "metadata": metadata,
        "spec": found["spec"],
    }


def table_here(out: Path, name: str) -> TrialTable | None:
    """Returns the table of an experiment on this machine; None where there is none."""
    return read_table(out, name) if (out / name / DATABASE).exists() else None


def _launcher(text: str, name: str, out: Path, data: Path | None, search: TrialTable) -> Any:
    """Raises FolderError where the corpus is another one than the search's: values could not be compared."""
    start = launcher(load_experiment(text, name), data, out)
    known, why = search.identity.corpus, ""
    if not known:
        return start
    try:
        found = start.corpus()
    except FolderError as error:
        found, why = "", f" ({error})"
    if found == known:
        return start
    if is_earlier(known, found):
        raise FolderError(f"the search '{search.identity.name}': {EARLIER}; search anew under another --name")
    raise FolderError(
        f"--data {data}: the search '{search.identity.name}' was trained on another corpus{why}; give the one that it had"
    )


def _recorded(out: Path, search: TrialTable) -> Path | None:
    """Returns where the search's runs found their corpus (trainer/training/fit.py writes it down)."""
    for row in search.rows:
        found = read_json(out / search.identity.name / row.trial / SUMMARY).get("data_dir")
        if isinstance(found, str):
            return Path(found)
    return None
