"""Installs Katib v0.19.0 with our services, and waits until it answers."""

from pathlib import Path
from typing import Annotated

import typer

from katib.cli._progress import StillAtWork
from katib.cli.options import Context, Yes
from katib.cli.searches import confirm
from katib.install.katib import install, prepare
from katib.program import k8s
from katib.terminal import say


def install_katib(
    overlay: Annotated[Path | None, typer.Option(help="kustomize folder (default: k8s/katib)")] = None,
    context: Context = None,
    yes: Yes = False,
) -> None:
    """Applies k8s/katib (Katib's standalone install, configured by us) and waits for its webhook and DB manager."""
    folder = overlay or k8s() / "katib"
    installation = prepare(folder, context)
    where = f"{installation.server}, in namespace {installation.namespace}"
    print(f"install: {installation.objects} objects of {folder} on {where}")
    confirm("Apply?", yes)
    with StillAtWork("installs") as work:
        install(installation, work.note)
    say("installed; next: kubectl apply -k k8s/base, then make doctor")
