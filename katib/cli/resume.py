"""Continues a paused search."""

from katib.backend.cluster import lifecycle
from katib.cli._bundles import Reached, bundled
from katib.cli.options import Yes
from katib.cli.searches import SearchName, confirm
from katib.spec import search_name
from katib.terminal import say


@bundled
def resume(reached: Reached, model: SearchName, yes: Yes = False) -> None:
    """Resumes the suspended trials of MODEL from their checkpoints."""
    cluster = reached.cluster
    search = lifecycle.find_search(cluster, search_name(model))
    paused = sum(job.suspended for job in lifecycle.activity(cluster, search).jobs)
    if not paused:
        print(f"experiment '{search.name}' is not paused; nothing to change")
        return
    print(f"resume: experiment '{search.name}' on {cluster.server}: {paused} trials")
    confirm("Resume?", yes)
    lifecycle.resume(cluster, search, say)
