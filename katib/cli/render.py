"""Prints the Katib Experiment manifest of a model."""

from typing import Annotated

import typer

from katib.cli._bundles import Changes, bundled
from katib.cli.options import Model, SiteFile
from katib.cli.tables import tell
from katib.errors import SepsweepError, nearest
from katib.manifest.dumping import dumped
from katib.manifest.optimization_job import KIND, optimization_job
from katib.manifest.render import render as render_manifest
from katib.manifest.schema import experiment_document
from katib.site import load_site
from katib.spec import load_spec, stages_of

KINDS = ("Experiment", KIND)


@bundled
def render(
    changes: Changes,
    model: Model,
    site: SiteFile = None,
    kind: Annotated[str, typer.Option(help=f"kind of the manifest: {', '.join(KINDS)} (Kubeflow Trainer)")] = KINDS[0],
) -> None:
    """Prints the Katib Experiment manifest of MODEL; apply it with kubectl, or run it with the verb local.

    An OptimizationJob is an experiment of its own: the verb check says what it loses.
    """
    if kind not in KINDS:
        raise SepsweepError(f"--kind '{kind}': {nearest(kind, KINDS)}")
    stage, *later = stages_of(load_spec(model))
    tell([f"this is the first stage, '{stage.name}'; local and deploy run the others after it"] if later else [])
    text = render_manifest(stage, load_site(site), changes.overrides, model)
    print(dumped(optimization_job(experiment_document(text, model))) if kind == KIND else text, end="")
