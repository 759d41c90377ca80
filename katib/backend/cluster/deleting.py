"""Deletes a search: saves its trial table, deletes the Experiment and, where that is wanted, its run directories.

Each step is a function, so that a verb can show what the first ones return and ask before it calls `delete`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from katib.backend.cluster import lifecycle, run_directories
from katib.backend.cluster.acts import act_now, note
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.model import Search
from katib.backend.cluster.run_directories import RunDirectory
from katib.backend.cluster.saving import Saving, saving
from katib.backend.cluster.searches import any_manifest
from katib.errors import ClusterError
from katib.site import Site
from katib.table import export
from katib.trial import ENDED

Say = Callable[[str], None]


def save(cluster: Cluster, search: Search, say: Say, *, context: str | None = None, unsaved: bool = False) -> Saving:
    """Reads what can be saved of `search`. Raises ClusterError where something cannot, unless `unsaved` allows that."""
    saved = saving(cluster, search.name, say, context=context)
    if not unsaved:
        saved.require_whole(f"experiment '{search.name}' is not deleted")
    return saved


def unfinished(saved: Saving) -> int:
    """Returns the number of trials that have not ended, so that more may be worth saving by now."""
    return sum(row.state not in ENDED for row in saved.table.rows)


def summary(cluster: Cluster, search: Search, saved: Saving, out: Path, *, runs: bool) -> list[str]:
    """Returns the lines that tell a user what deleting `search` does."""
    kept = "checkpoints and summaries on the runs claim stay"
    directories = "all its run directories on the runs claim are deleted too" if runs else kept
    return [
        f"delete: experiment '{search.name}' in namespace '{cluster.namespace}' on {cluster.server}",
        f"  {len(saved.table.rows)} trials are deleted with their pods and their metrics in Katib's database;"
        f" {unfinished(saved)} of them are still running",
        f"  {directories}; its trial table is written to {out / search.name / export.JSON} and .csv first",
        *(f"  NOT saved: trial {line}; {saved.why}" for line in saved.unsaved),
    ]


def delete(cluster: Cluster, search: Search, saved: Saving, out: Path, say: Say) -> None:
    """Writes the trial table to `out` and deletes the Experiment. Raises FolderError or ClusterError."""
    act = act_now(cluster, "deleted")
    table = replace(saved.table, acts=(*saved.table.acts, str(act)))
    for path in export.write(table, out / search.name):
        say(f"written: {path}")
    note(cluster, search.name, act, say)
    lifecycle.delete(cluster, search)


def remove_runs(cluster: Cluster, search: Search, saved: Saving) -> None:
    """Removes the run directories of the deleted `search`, once none of its pods is left. Raises ClusterError."""
    lifecycle.wait_until_gone(cluster, search)
    run_directories.remove(cluster, saved.manifest, search.name)


def leftovers(cluster: Cluster, site: Site, experiment: str) -> Sequence[RunDirectory]:
    """Returns the run directories of an experiment that was deleted. Raises ClusterError where there are none."""
    directories = run_directories.read(cluster, any_manifest(site), experiment)
    if not directories:
        raise ClusterError(
            f"there is neither an experiment '{experiment}' of ours in namespace '{cluster.namespace}'"
            f" nor a run directory of it on claim '{site.claims.runs}'"
        )
    return directories


def leftovers_summary(directories: Sequence[RunDirectory], site: Site, experiment: str) -> list[str]:
    """Returns the lines that tell a user what removing these run directories does."""
    size = sum(item.bytes for item in directories) / 1e9
    return [
        f"delete: {len(directories)} run directories of '{experiment}' on claim '{site.claims.runs}', {size:.2f} GB",
        *(
            f"  {item.trial}: {item.epochs} epochs, {item.state or 'no summary'}, {item.bytes / 1e6:.1f} MB"
            for item in directories
        ),
    ]


def remove_leftovers(cluster: Cluster, site: Site, experiment: str) -> None:
    """Removes the run directories of an experiment that was deleted. Raises ClusterError."""
    run_directories.remove(cluster, any_manifest(site), experiment)
