"""Prints the Katib Experiment manifest of a model."""

from katib.cli._bundles import Changes, bundled
from katib.cli.options import Model, SiteFile
from katib.manifest.render import render as render_manifest
from katib.site import load_site
from katib.spec import load_spec


@bundled
def render(
    changes: Changes,
    model: Model,
    site: SiteFile = None,
) -> None:
    """Prints the Katib Experiment manifest of MODEL; apply it with kubectl, or run it with the verb local."""
    print(render_manifest(load_spec(model), load_site(site), changes.overrides, model), end="")
