"""The manifest of a search of a command, as the spec that the user names declares it."""

from katib.cli._bundles import Where
from katib.cli.local import here
from katib.cli.tables import trial_table
from katib.conclude.follow_up import declared_manifest, search_manifest
from katib.manifest.object import Manifest
from katib.site import load_site
from katib.spec import ENDINGS, Spec, load_spec


def command_spec(word: str) -> Spec | None:
    """Returns the spec in the file that `word` names if it has a command; None otherwise."""
    spec = load_spec(word) if word.endswith(ENDINGS) else None
    return spec if spec is not None and spec.command else None


def declared(where: Where, spec: Spec, file: str, field: str = "") -> Manifest:
    """Returns the manifest of the search of a spec with a command, which declares what a run of it takes.

    `field` is what an architecture sweep varies.
    """
    if not where.backend.has(spec.name):
        trial_table(where.backend, spec.name)  # it says that there is no such search, and which there are
    site = load_site(where.site)
    stored = search_manifest(where.backend, spec.name)
    return declared_manifest(stored, spec, site if where.cluster else here(site), file, field)
