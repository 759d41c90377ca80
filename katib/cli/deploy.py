"""Starts the search of a model on the cluster."""

from typing import Annotated

import typer

from katib.cli.options import Context, Epochs, Model, Name, Parallel, Preset, SiteFile, Trials, Yes


def deploy(
    model: Model,
    preset: Preset = None,
    name: Name = None,
    trials: Trials = None,
    epochs: Epochs = None,
    parallel: Parallel = None,
    site: SiteFile = None,
    context: Context = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="stop after the server's dry run")] = False,
) -> None:
    """Render the Experiment of MODEL, try it on the API server, show what changes, ask, and apply it."""
    import yaml

    from katib.check import require_sound
    from katib.cluster.client import Experiments
    from katib.render import Overrides
    from katib.render import render as render_manifest
    from katib.site import load_site
    from katib.spec import load_spec

    overrides = Overrides(preset=preset, name=name, trials=trials, epochs=epochs, parallel=parallel)
    place = load_site(site)
    text = render_manifest(load_spec(model), place, overrides)
    require_sound(text, f"manifest of {model}", f"python -m katib render {model} | python -m katib check -")
    manifest = yaml.safe_load(text)
    experiment = manifest["metadata"]["name"]
    cluster = Experiments(place.namespace, context)
    before = cluster.get(experiment)
    after = cluster.apply(manifest, dry_run=True)
    if before and before["spec"] == after["spec"]:
        print(f"experiment '{experiment}' runs as it should; nothing to change")
        return
    budget = manifest["spec"]
    print(
        f"{'change' if before else 'create'}: experiment '{experiment}' in namespace '{place.namespace}' on {cluster.server}"
    )
    print(
        f"  {budget['maxTrialCount']} trials, {budget['parallelTrialCount']} at a time, image {place.image}"
    )
    if dry_run:
        return
    if not yes and not typer.confirm("Apply?"):
        raise typer.Exit(1)
    cluster.apply(manifest)
    print(f"applied; watch it with: kubectl -n {place.namespace} get experiments,trials")
