"""Ends a search for good and keeps its results."""

from katib.backend.cluster import lifecycle
from katib.backend.cluster.client import Cluster
from katib.cli.options import Context, SiteFile, Yes
from katib.cli.searches import SearchName, confirm, site_of
from katib.spec import search_name
from katib.terminal import say


def stop(model: SearchName, site: SiteFile = None, context: Context = None, yes: Yes = False) -> None:
    """End the search of MODEL: running trials save and end, no new ones begin, and all results stay."""
    cluster = Cluster(site_of(site).namespace, context)
    search = lifecycle.find_search(cluster, search_name(model))
    active = len(lifecycle.activity(cluster, search).active)
    print(f"stop: experiment '{search.name}' on {cluster.server}: {active} running trials save and end as Failed")
    print(
        f"  {search.trials - active} ended trials and all checkpoints stay; make deploy continues it from its run directories"
    )
    confirm("Stop?", yes)
    lifecycle.stop(cluster, search, say)
    print(f"stopped; its trials: python -m katib results {search.name} --cluster")
