"""Reads the setting `warm_start`: the earlier searches whose trials a model learns from. Pure: no I/O."""

from katib.errors import ManifestError
from katib.manifest.search import Search

MOST_EARLIER = 20
"""The experiments that may be named: the trials of each are read before a proposal."""


def earlier_names(search: Search) -> list[str]:
    """Returns the names of the earlier searches, each once. Raises ManifestError for more than MOST_EARLIER."""
    names = list(dict.fromkeys(filter(None, search.algorithm.settings.get("warm_start", "").split(","))))
    if len(names) > MOST_EARLIER:
        raise ManifestError(f"warm_start: {len(names)} experiments; {MOST_EARLIER} can be named")
    return names
