"""Continues a paused search."""

from katib.backend.cluster import lifecycle
from katib.backend.cluster.client import Cluster
from katib.cli.options import Context, SiteFile, Yes
from katib.cli.searches import SearchName, confirm, site_of
from katib.spec import search_name
from katib.terminal import say


def resume(model: SearchName, site: SiteFile = None, context: Context = None, yes: Yes = False) -> None:
    """Resume the suspended trials of MODEL from their checkpoints."""
    cluster = Cluster(site_of(site).namespace, context)
    search = lifecycle.find_search(cluster, search_name(model))
    paused = sum(job.suspended for job in lifecycle.activity(cluster, search).jobs)
    if not paused:
        print(f"experiment '{search.name}' is not paused; nothing to change")
        return
    print(f"resume: experiment '{search.name}' on {cluster.server}: {paused} trials")
    confirm("Resume?", yes)
    lifecycle.resume(cluster, search, say)
