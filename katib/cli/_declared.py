"""The manifest of a search of a command, as the spec that the user names declares it."""

from katib.cli._bundles import Where
from katib.cli.local import here
from katib.cli.tables import trial_table
from katib.conclude.follow_up import declared_manifest, search_manifest
from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.site import load_site
from katib.spec import ENDINGS, Spec, load_spec
from katib.trainer_contract import is_own


def command_spec(word: str) -> Spec | None:
    """Returns the spec in the file that `word` names if it has a command; None otherwise."""
    spec = load_spec(word) if word.endswith(ENDINGS) else None
    return spec if spec is not None and spec.command else None


def require_named_model(manifest: Manifest, word: str) -> None:
    """Raises ManifestError where runs would import a model of one's own that no spec in the file `word` names.

    A manifest that comes from a folder of runs may be anybody's, and what a spec names is the user's own.
    """
    model = manifest.model
    if is_own(model) and not (word.endswith(ENDINGS) and load_spec(word).model == model):
        raise ManifestError(
            f"{word}: its trials train {model}, a module that would be run here; name the file of the spec with that"
            f" model instead, such as {'search' if word.endswith(ENDINGS) else word}.yaml"
        )


def declared(where: Where, spec: Spec, file: str, field: str = "") -> Manifest:
    """Returns the manifest of the search of a spec with a command, which declares what a run of it takes.

    `field` is what an architecture sweep varies.
    """
    if not where.backend.has(spec.name):
        trial_table(where.backend, spec.name)  # it says that there is no such search, and which there are
    site = load_site(where.site)
    stored = search_manifest(where.backend, spec.name)
    return declared_manifest(stored, spec, site if where.cluster else here(site), file, field)
