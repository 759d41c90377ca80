"""What deploy does about a search that has ended, or was deleted, and whose run directories are still there."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katib.backend.cluster.client import Cluster
    from katib.backend.cluster.continuing import OldTrial
    from katib.backend.cluster.deploy_diff import DeployDiff
    from katib.backend.cluster.kinds import Object


def with_old_trials(
    cluster: "Cluster", item: "DeployDiff", out: Path, say: Callable[[str], None], *, anew: bool = False
) -> "DeployDiff":
    """Returns the plan with the trials that continue, of the Experiment that has ended or of one that `delete` has
    written down.

    With `anew` nothing of the latter does. Raises ClusterError where an Experiment has ended and nothing of it can
    continue.
    """
    from katib.errors import ClusterError, SepsweepError

    if item.action == "continue":
        if anew:
            raise ClusterError(f"experiment '{item.name}' has ended, and is still there; {_way_out(item)}")
        return _of_ended(cluster, item, say)
    if item.action != "create" or anew:
        return item
    try:
        return _of_deleted(cluster, item, out, say)
    except SepsweepError as error:
        raise ClusterError(f"{error}; ANEW=1 (--anew) starts without the deleted search") from None


def _way_out(item: "DeployDiff") -> str:
    from katib.backend.cluster.deploy_diff import successor

    return f"start it anew with NAME={successor(item.name)}, or delete it first (make delete)"


def _of_ended(cluster: "Cluster", item: "DeployDiff", say: Callable[[str], None]) -> "DeployDiff":
    from katib.backend.cluster.continuing import OldTrial
    from katib.backend.cluster.kinds import EXPERIMENT_LABEL, PROPOSED_LABEL, PROPOSER, TRIAL
    from katib.backend.cluster.model import read_trial
    from katib.backend.cluster.status import Curves, look
    from katib.errors import ClusterError

    found = cluster.list(TRIAL, f"{EXPERIMENT_LABEL}={item.name}")
    foreign = [
        trial["metadata"]["name"]
        for trial in found
        if (trial["metadata"].get("labels") or {}).get(PROPOSED_LABEL) != PROPOSER
    ]
    if foreign:
        raise ClusterError(
            f"experiment '{item.name}' has ended, and cannot continue: trial '{foreign[0]}' was proposed by Katib's own"
            f" service, which takes no first_suggestions; {_way_out(item)}"
        )
    (progress,) = look(cluster, Curves(), item.name)
    spent = {**progress.search.hours_before, **{row.trial.name: row.hours for row in progress.rows}}
    trials = [
        OldTrial(trial.name, trial.assignments, trial.state, spent.get(trial.name, 0.0))
        for trial in map(read_trial, found)
    ]
    made = _with(cluster, item, trials, say)
    if made.continued is None:
        raise ClusterError(
            f"experiment '{item.name}' has ended, and none of its trials has a run directory to continue from; {_way_out(item)}"
        )
    return made


def _of_deleted(cluster: "Cluster", item: "DeployDiff", out: Path, say: Callable[[str], None]) -> "DeployDiff":
    from katib.backend.cluster.continuing import OldTrial, carried
    from katib.backend.cluster.deploy_diff import same_search
    from katib.table import export

    if not (out / item.name / export.JSON).is_file():
        return item
    table = export.read(out / item.name)
    old: Object = {"spec": dict(table.identity.spec)}
    manifest = carried(item.manifest, old)
    if not same_search(old["spec"], manifest["spec"]):
        say(f"{out / item.name / export.JSON} is of another search; nothing of it continues")
        return item
    trials = [OldTrial(row.trial, row.assignments, row.state, row.gpu_hours) for row in table.rows]
    made = _with(cluster, replace(item, manifest=manifest), trials, say)
    return made if made.continued else item


def _with(
    cluster: "Cluster", item: "DeployDiff", trials: "Iterable[OldTrial]", say: Callable[[str], None]
) -> "DeployDiff":
    from katib.backend.cluster.continuing import continued, with_hours, with_trials
    from katib.backend.cluster.run_directories import read

    trials = list(trials)
    say(f"looks at the run directories of '{item.name}', by a job on their claim")
    directories = read(cluster, item.manifest, item.name)
    made = continued(trials, directories, item.manifest["spec"]["maxTrialCount"])
    if not made.trials:
        return item
    manifest = with_hours(with_trials(item.manifest, made.trials), trials)
    return replace(item, manifest=manifest, continued=made)


def delete_ended(
    cluster: "Cluster", item: "DeployDiff", out: Path, say: Callable[[str], None], context: str | None
) -> None:
    """Deletes the ended Experiment after its table is in `out`.

    Returns when a trial of an old name can be made again.
    """
    from katib.backend.cluster import lifecycle
    from katib.backend.cluster.model import read_search
    from katib.backend.cluster.saving import saving
    from katib.table import export

    assert item.deployed is not None  # noqa: S101  (a plan that continues an Experiment has it)
    search = read_search(item.deployed)
    found = saving(cluster, search.name, say, context=context)
    found.require_whole(f"experiment '{search.name}' is not deleted")
    for path in export.write(found.table, out / search.name):
        say(f"written: {path}")
    lifecycle.delete(cluster, search)
    lifecycle.wait_until_gone(cluster, search)
    say(f"deleted: the ended experiment '{search.name}'; its run directories stay")
