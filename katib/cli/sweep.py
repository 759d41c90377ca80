"""Prints the search of a model as a W&B sweep file."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli.options import Epochs, Model, Name, Out, Preset, SiteFile, Trials
from katib.errors import SpecError
from katib.manifest.render import Overrides
from katib.manifest.render_sweep import render_sweep
from katib.site import load_site
from katib.spec import load_spec


def sweep(
    model: Model,
    data: Annotated[
        Path | None, typer.Option(help="the corpus where the agents run (default: the site's, below data/)")
    ] = None,
    out: Out = Path("runs"),
    preset: Preset = None,
    name: Name = None,
    trials: Trials = None,
    epochs: Epochs = None,
    site: SiteFile = None,
) -> None:
    """Prints the search of MODEL as a sweep file for `wandb sweep`, whose agents start the same trainer."""
    place, spec = load_site(site), load_spec(model)
    if spec.stages:
        raise SpecError(f"{model}: W&B has no stages; remove them from a copy, and fix train_limit there")
    overrides = Overrides(preset=preset, name=name, trials=trials, epochs=epochs)
    corpus = data or Path("data") / place.data_folder
    print(render_sweep(spec, place, str(corpus), str(out), overrides, model), end="")
