"""Finds the old trials that continue when a search is deployed that has ended or was deleted.

Their run directories are still on the runs claim, where a Job looks at them; continuing.py decides what continues.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from katib.backend.cluster import run_directories
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.continuing import OldTrial, carried, continued, with_hours, with_trials
from katib.backend.cluster.deploy_diff import DeployDiff, same_search, successor
from katib.backend.cluster.kinds import EXPERIMENT_LABEL, PROPOSED_LABEL, PROPOSER, TRIAL, Object, labels_of, name_of
from katib.backend.cluster.model import read_trial
from katib.backend.cluster.status import Curves, read_progress
from katib.errors import ClusterError, SepsweepError
from katib.table import export

Say = Callable[[str], None]


def with_old_trials(cluster: Cluster, item: DeployDiff, out: Path, say: Say, *, anew: bool = False) -> DeployDiff:
    """Returns the diff with the trials that continue from an Experiment that has ended, or was deleted.

    A deleted one continues where `delete` has written its table to `out`, unless `anew`. Raises ClusterError where an
    Experiment has ended and none of its trials can continue.
    """
    if item.action == "continue":
        if anew:
            raise ClusterError(f"experiment '{item.name}' has ended and still exists; {_start_anew(item)}")
        return _of_ended(cluster, item, say)
    if item.action != "create" or anew:
        return item
    try:
        return _of_deleted(cluster, item, out, say)
    except SepsweepError as error:
        raise ClusterError(f"{error}; ANEW=1 (--anew) starts without the deleted search") from None


def _start_anew(item: DeployDiff) -> str:
    return f"start it anew with NAME={successor(item.name)}, or delete it first (make delete)"


def _of_ended(cluster: Cluster, item: DeployDiff, say: Say) -> DeployDiff:
    objects = cluster.list(TRIAL, f"{EXPERIMENT_LABEL}={item.name}")
    foreign = [name_of(trial) for trial in objects if labels_of(trial).get(PROPOSED_LABEL) != PROPOSER]
    if foreign:
        raise ClusterError(
            f"experiment '{item.name}' has ended, and cannot continue: trial '{foreign[0]}' was proposed by Katib's own"
            f" service, which takes no first_suggestions; {_start_anew(item)}"
        )
    (progress,) = read_progress(cluster, Curves(), item.name)
    spent = Counter({**progress.search.hours_before, **{row.trial.name: row.hours for row in progress.rows}})
    for row in progress.rows:
        if row.trial.continues:
            spent[row.trial.continues] += spent.pop(row.trial.name)
    trials = [
        OldTrial(trial.name, trial.assignments, trial.state, spent[trial.name])
        for trial in map(read_trial, objects)
        if not trial.continues  # it has trained in the first one's run directory
    ]
    resumed = _with(cluster, item, trials, say)
    if resumed.continued is None:
        raise ClusterError(
            f"experiment '{item.name}' has ended, and none of its trials has a run directory to continue from;"
            f" {_start_anew(item)}"
        )
    return resumed


def _of_deleted(cluster: Cluster, item: DeployDiff, out: Path, say: Say) -> DeployDiff:
    if not (out / item.name / export.JSON).is_file():
        return item
    table = export.read(out / item.name)
    old: Object = {"spec": dict(table.identity.spec)}
    manifest = carried(item.manifest, old)
    if not same_search(old["spec"], manifest["spec"]):
        say(f"{out / item.name / export.JSON} belongs to another search; none of its trials continue")
        return item
    trials = [OldTrial(row.trial, row.assignments, row.state, row.gpu_hours) for row in table.rows]
    resumed = _with(cluster, replace(item, manifest=manifest), trials, say)
    return resumed if resumed.continued else item


def _with(cluster: Cluster, item: DeployDiff, trials: Sequence[OldTrial], say: Say) -> DeployDiff:
    """Returns the diff whose manifest proposes those of `trials` first that have a run directory."""
    say(f"reads the run directories of '{item.name}', with a job that mounts their claim")
    directories = run_directories.read(cluster, item.manifest, item.name)
    chosen = continued(trials, directories, item.manifest["spec"]["maxTrialCount"])
    if not chosen.trials:
        return item
    manifest = with_hours(with_trials(item.manifest, chosen.trials), trials)
    return replace(item, manifest=manifest, continued=chosen)
