"""Deploys Experiments: compares them with the cluster, tries them on the server, applies them, waits for a trial."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from katib.backend.base import RunResult
from katib.backend.cluster import deleting, lifecycle, waiting
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import DeployDiff, deployed, diff, successor
from katib.backend.cluster.doctor import DoctorContext, Result, examine
from katib.backend.cluster.doctor.view import print_results
from katib.backend.cluster.kinds import EXPERIMENT, Object, name_of
from katib.backend.cluster.model import read_search
from katib.backend.cluster.old_trials import with_old_trials
from katib.backend.cluster.status import Curves, read_progress
from katib.corpus_checks import copied_line
from katib.errors import ClusterError
from katib.manifest.object import Manifest
from katib.site import Site
from katib.table import export
from katib.terminal import print_words, say
from katib.tree import text_at


def compare(cluster: Cluster, manifests: Iterable[Object], out: Path, *, anew: bool = False) -> list[DeployDiff]:
    """Returns what deploying each manifest would change, with the old trials that would continue."""
    diffs = [diff(manifest, deployed(cluster, name_of(manifest))) for manifest in manifests]
    return [with_old_trials(cluster, item, out, say, anew=anew) for item in diffs]


@dataclass(frozen=True)
class Deployment:
    """The Experiments that are about to be deployed to the cluster of `site`."""

    cluster: Cluster
    site: Site
    diffs: Sequence[DeployDiff]
    out: Path
    """The runs folder of this machine, for the tables of ended searches."""
    context: str | None = None
    wait: int = 0
    """Seconds to wait for the first trial of each to train."""
    question: str = "Apply?"

    @property
    def due(self) -> list[DeployDiff]:
        """The Experiments that change."""
        return [item for item in self.diffs if item.action != "nothing"]

    @property
    def retries(self) -> bool:
        """Whether a trial that has failed continues."""
        return any(trial.state == "Failed" for item in self.diffs if item.continued for trial in item.continued.trials)

    def show(self) -> None:
        """Prints what doctor finds and what changes, which the API server has accepted in a dry run.

        Raises ClusterError where the search would fail, or where the server refuses it.
        """
        for item in self.diffs:
            if item.action == "nothing":
                print_words(*_unchanged(self.cluster, item), indent=4)
        if not self.due:
            return
        results = examine(DoctorContext(self.cluster, self.site, [item.manifest for item in self.due]))
        print_results(results, all_of_them=False)
        _require_fit(results)
        for item in self.due:
            _try_out(self.cluster, item)
            print_words(*_summary(self.cluster, item, self.out), indent=4)
        if any(Manifest.of(item.manifest).trains_ours for item in self.due):
            print_words(copied_line(self.out, corpus_place(self.cluster, self.site)))

    def run(self) -> RunResult:
        """Applies the Experiments, then waits at most `wait` seconds for the first trial of each to train.

        Raises ClusterError, which names what was applied before.
        """
        applied: list[str] = []
        for item in self.due:
            if item.action == "continue":
                self._delete_ended(item)
            try:
                self.cluster.apply(EXPERIMENT, item.manifest, force=item.replaces)
            except ClusterError as error:
                already = f"; applied before it: {', '.join(applied)}" if applied else ""
                raise ClusterError(f"{error}{already}") from None
            applied.append(item.name)
            say(f"applied: experiment '{item.name}'")
        for item in self.due:
            starts = item.action in ("create", "continue")
            if self.wait and starts and not waiting.wait(self.cluster, item.name, self.wait, say):
                break
        say("watch it with: make status WATCH=1")
        return RunResult()

    def _delete_ended(self, item: DeployDiff) -> None:
        """Deletes the ended Experiment once its table is in `out`.

        Returns when trials with the old names can be created again.
        """
        assert item.deployed is not None  # noqa: S101  (a diff that continues an Experiment has it)
        search = read_search(item.deployed)
        saved = deleting.save(self.cluster, search, say, context=self.context)
        deleting.delete(self.cluster, search, saved, self.out, say)
        lifecycle.wait_until_gone(self.cluster, search)
        say(f"deleted: the ended experiment '{search.name}'; its run directories stay")


def corpus_place(cluster: Cluster, site: Site) -> str:
    """Returns the words for the place of the site's corpus, which no other cluster, namespace or claim has."""
    return f"{cluster.server} {site.namespace}/{site.claims.data}/{site.data_folder}"


def _require_fit(results: Sequence[Result]) -> None:
    """Raises ClusterError where one of doctor's `results` is an error."""
    if errors := [result for result in results if result.status == "error"]:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ClusterError(f"nothing was applied: {errors[0].check}: {errors[0].problem}{more}; {errors[0].fix}")


def _try_out(cluster: Cluster, item: DeployDiff) -> None:
    """Has the API server check the Experiment in a dry run. Raises ClusterError where it refuses.

    Where an ended Experiment is to be deleted first, the new one is tried under a free name.
    """
    manifest = item.manifest
    if item.action == "continue":
        manifest = {**manifest, "metadata": {**manifest["metadata"], "name": successor(item.name)}}
    cluster.apply(EXPERIMENT, manifest, dry_run=True, force=item.replaces)


def _unchanged(cluster: Cluster, item: DeployDiff) -> list[str]:
    """Returns how an Experiment that need not change is doing, and why it lacks trials where it does."""
    (progress,) = read_progress(cluster, Curves(), item.name)
    if progress.search.finished:
        return [f"experiment '{item.name}' has {progress.search.state.lower()}; nothing to change"]
    lines = [f"experiment '{item.name}' runs as it should; nothing to change"]
    if progress.shortage is not None:
        lines.append(f"  it has fewer trials than it may have: {progress.shortage}")
    return lines


def _summary(cluster: Cluster, item: DeployDiff, out: Path) -> list[str]:
    """Returns the lines that tell a user what applying `item` does."""
    manifest = Manifest.of(item.manifest)
    lines = [f"{item.action}: experiment '{item.name}' in namespace '{cluster.namespace}' on {cluster.server}"]
    if item.continued is not None:
        ended = "ended" if item.action == "continue" else "deleted"
        lines.append(f"  it continues the {ended} search: {item.continued}")
    if item.action == "continue":
        table = out / item.name / export.JSON
        lines.append(f"  the ended experiment is deleted first, once its trial table is saved in {table}")
        lines.append("  run directories stay, and the hours spent so far still count")
    if item.action in ("create", "continue"):
        trials, parallel = manifest.spec["maxTrialCount"], manifest.spec["parallelTrialCount"]
        image = text_at(manifest.container, "image")
        most = f"{manifest.configurations} configurations in {trials}" if manifest.pauses else f"{trials}"
        lines.append(f"  {most} trials, {parallel} at a time, image {image}")
    lines += [f"  {change}" for change in item.changes]
    return lines + [f"  stays as it is, since Katib cannot change it: {change}" for change in item.kept]
