"""Prints the Katib Experiment manifest of a model."""

from katib.cli.options import Epochs, Model, Name, Parallel, Preset, SiteFile, Trials
from katib.manifest.render import Overrides
from katib.manifest.render import render as render_manifest
from katib.site import load_site
from katib.spec import load_spec


def render(
    model: Model,
    preset: Preset = None,
    name: Name = None,
    trials: Trials = None,
    epochs: Epochs = None,
    parallel: Parallel = None,
    site: SiteFile = None,
) -> None:
    """Print the Katib Experiment manifest of MODEL; apply it with kubectl, or run it with the verb local."""
    overrides = Overrides(preset=preset, name=name, trials=trials, epochs=epochs, parallel=parallel)
    print(render_manifest(load_spec(model), load_site(site), overrides), end="")
