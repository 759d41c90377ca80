"""Frees the GPUs of a search for a while; every checkpoint is kept."""

from katib.backend.cluster import lifecycle
from katib.cli._bundles import Reached, bundled
from katib.cli.options import Yes
from katib.cli.searches import SearchName, confirm
from katib.spec import search_name
from katib.terminal import say


@bundled
def pause(reached: Reached, model: SearchName, yes: Yes = False) -> None:
    """Suspends the running trials of MODEL: each saves and its pod goes; `resume` continues from the checkpoints."""
    cluster = reached.cluster
    search = lifecycle.find_search(cluster, search_name(model))
    now = lifecycle.activity(cluster, search)
    running = sum(not job.suspended for job in now.jobs)
    print(f"pause: experiment '{search.name}' on {cluster.server}: {running} trials save and free their GPUs")
    confirm("Pause?", yes)
    lifecycle.pause(cluster, search, say)
    say(f"paused; resume it with: make resume MODEL={model}")
