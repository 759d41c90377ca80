"""Starts the search of a model on the cluster."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from katib.cli.options import MOST, Context, Epochs, Name, Out, Parallel, Preset, SiteFile, Trials, Yes
from katib.cli.searches import Models

if TYPE_CHECKING:
    from katib.backend.cluster.client import Cluster
    from katib.backend.cluster.deploy_diff import DeployDiff
    from katib.backend.cluster.kinds import Object
    from katib.site import Site


def deploy(
    model: Models,
    preset: Preset = None,
    name: Name = None,
    trials: Trials = None,
    epochs: Epochs = None,
    parallel: Parallel = None,
    site: SiteFile = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="stop after the server's dry run")] = False,
    wait: Annotated[int, typer.Option(help="seconds to wait for the first trial to train", min=0, max=MOST)] = 600,
    out: Out = Path("runs"),
    anew: Annotated[bool, typer.Option("--anew", help="continue nothing of a search that was deleted")] = False,
) -> None:
    """Check the search of MODEL and the cluster, show what changes, ask, apply, and wait for the first trial.

    A search that has failed or was stopped continues from its run directories, and so does one that was deleted where
    OUT has its table.
    """
    from katib.backend.cluster.client import Cluster
    from katib.backend.cluster.deploy_diff import deployed, diff
    from katib.cli._continue import with_old_trials
    from katib.cli.searches import manifests, say, site_of
    from katib.manifest.render import Overrides

    place = site_of(site)
    overrides = Overrides(preset=preset, name=name, trials=trials, epochs=epochs, parallel=parallel)
    wanted = manifests(model, place, overrides)
    cluster = Cluster(place.namespace, context)
    plans = [diff(manifest, deployed(cluster, manifest["metadata"]["name"])) for manifest in wanted]
    plans = [with_old_trials(cluster, item, out, say, anew=anew) for item in plans]
    apply(cluster, place, plans, yes=yes, dry_run=dry_run, wait=wait, out=out, context=context)


def apply(
    cluster: "Cluster",
    place: "Site",
    plans: "list[DeployDiff]",
    *,
    yes: bool,
    dry_run: bool = False,
    wait: int = 0,
    out: Path = Path("runs"),
    context: str | None = None,
) -> None:
    """Examine the cluster, show what changes, ask, apply, and wait as many seconds for the first trial.

    What confirm and arch do as well.
    """
    from katib.backend.cluster.kinds import EXPERIMENT
    from katib.backend.cluster.waiting import wait as wait_for_trial
    from katib.cli._continue import delete_ended
    from katib.cli.searches import confirm, say
    from katib.errors import ClusterError

    due = [item for item in plans if item.action != "nothing"]
    for item in plans:
        if item.action == "nothing":
            _say_how_it_is(item, cluster)
    if not due:
        return
    _examine(cluster, place, due)
    for item in due:
        cluster.apply(EXPERIMENT, _tried(item), dry_run=True)
        _show(item, cluster, out)
    if dry_run:
        return
    confirm("Apply?", yes)
    done: list[str] = []
    for item in due:
        if item.action == "continue":
            delete_ended(cluster, item, out, say, context)
        try:
            cluster.apply(EXPERIMENT, item.manifest)
        except ClusterError as error:
            already = f"; applied before it: {', '.join(done)}" if done else ""
            raise ClusterError(f"{error}{already}") from None
        done.append(item.name)
        say(f"applied: experiment '{item.name}'")
    for item in due:
        if wait and item.action in ("create", "continue") and not wait_for_trial(cluster, item.name, wait, say):
            break
    print("watch it with: make status, or python -m katib status -w")


def _say_how_it_is(item: "DeployDiff", cluster: "Cluster") -> None:
    """The Experiment is as it should be; whether it gets its trials is another matter."""
    from katib.backend.cluster.status import Curves, look
    from katib.terminal import print_words

    (found,) = look(cluster, Curves(), item.name)
    if found.search.finished:
        print_words(f"experiment '{item.name}' has {found.search.state.lower()}; nothing to change")
        return
    print_words(f"experiment '{item.name}' runs as it should; nothing to change")
    if found.lacking is not None:
        print_words(f"  it has fewer trials than it may have: {found.lacking}", indent=4)


def _examine(cluster: "Cluster", site: "Site", due: "list[DeployDiff]") -> None:
    """Doctor's short form: what is not well; an error ends the verb before anything is applied."""
    from katib.backend.cluster.doctor import DoctorContext, examine
    from katib.cli.searches import print_results
    from katib.errors import ClusterError

    results = examine(DoctorContext(cluster, site, [item.manifest for item in due]))
    print_results(results, all_of_them=False)
    if errors := [result for result in results if result.status == "error"]:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ClusterError(f"nothing was applied: {errors[0].check}: {errors[0].finding}{more}; {errors[0].fix}")


def _tried(item: "DeployDiff") -> "Object":
    """Returns what the API server is asked whether it would take it: a new Experiment under a free name where the old
    one goes first.
    """
    from katib.backend.cluster.deploy_diff import successor

    if item.action != "continue":
        return item.manifest
    made = copy.deepcopy(item.manifest)
    made["metadata"]["name"] = successor(item.name)
    return made


def _show(item: "DeployDiff", cluster: "Cluster", out: Path) -> None:
    from katib.table.export import JSON
    from katib.terminal import print_words

    budget = item.manifest["spec"]
    image = budget["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["image"]
    print_words(f"{item.action}: experiment '{item.name}' in namespace '{cluster.namespace}' on {cluster.server}")
    if item.continued is not None:
        ended = "ended" if item.action == "continue" else "deleted"
        print_words(f"  of the {ended} search it continues {item.continued}", indent=4)
    if item.action == "continue":
        print_words(
            f"  the ended experiment is deleted first, once its trial table is in {out / item.name / JSON}",
            indent=4,
        )
        print_words("  run directories stay, and hours stay spent", indent=4)
    if item.action in ("create", "continue"):
        print_words(
            f"  {budget['maxTrialCount']} trials, {budget['parallelTrialCount']} at a time, image {image}",
            indent=4,
        )
    for change in item.changes:
        print_words(f"  {change}", indent=4)
    for change in item.kept:
        print_words(f"  stays as it is, since Katib cannot change it: {change}", indent=4)
