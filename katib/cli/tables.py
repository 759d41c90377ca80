"""The trial table that a verb works on, from this machine or from the cluster, and what is odd about it.

Called by results and the verbs that conclude.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katib.table.trial_table import TrialTable


def trial_table(experiment: str, out: Path, site: Path | None, context: str | None, *, cluster: bool) -> "TrialTable":
    """Returns the table of `experiment`, with --cluster or --context that of the cluster.

    What could not be read is told on stderr.
    """
    if cluster or context is not None:
        from katib.backend.cluster.client import Cluster
        from katib.backend.cluster.table import cluster_table
        from katib.cli.searches import search_name, site_of

        table = cluster_table(Cluster(site_of(site).namespace, context), search_name(experiment), context=context)
    else:
        from katib.backend.local.table import read_table

        table = read_table(out, experiment)
    tell(table.notes)
    return table


def tell(notes: Iterable[str]) -> None:
    """On stderr, so that what is printed for machines stays whole."""
    import sys

    from katib.terminal import print_words

    print_words(*(f"note: {note}" for note in notes), indent=2, file=sys.stderr)
