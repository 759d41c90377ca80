"""Ends a search and keeps its results; deploy can continue it."""

from katib.backend.cluster import lifecycle
from katib.cli._bundles import Reached, bundled
from katib.cli.options import Yes
from katib.cli.searches import SearchName, confirm
from katib.spec import search_name
from katib.terminal import say


@bundled
def stop(reached: Reached, model: SearchName, yes: Yes = False) -> None:
    """Ends the search of MODEL: running trials save and end, no new ones begin, and all results stay."""
    cluster = reached.cluster
    search = lifecycle.find_search(cluster, search_name(model))
    active = len(lifecycle.activity(cluster, search, ending=True).active)
    print(f"stop: experiment '{search.name}' on {cluster.server}: {active} running trials save and end as Failed")
    say(
        f"  {search.trials - active} ended trials and all checkpoints stay; make deploy continues it from its run "
        "directories"
    )
    confirm("Stop?", yes)
    lifecycle.stop(cluster, search, say)
    say(f"stopped; its trials: make results EXPERIMENT={search.name} CLUSTER=1")
