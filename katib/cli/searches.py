"""What the verbs share: the argument MODEL, and asking before something changes."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.base import PreparedRun, RunResult
from katib.site import Site, load_site

Models = Annotated[
    str, typer.Argument(metavar="MODEL", help="convtasnet, dprnn, sepformer, spmamba, demo; all: the four")
]
SearchName = Annotated[
    str, typer.Argument(metavar="MODEL", help="model, or the name of an experiment (kubectl get experiments)")
]


def site_of(path: Path | None) -> Site:
    """Returns the site that a file describes, by default k8s/site.yaml."""
    return load_site(path)


def confirm(question: str, yes: bool) -> None:
    """Asks the user unless `yes` answers for them. Ends the verb where the answer is no."""
    if not yes and not typer.confirm(question):
        typer.echo("nothing was changed", err=True)
        raise typer.Exit(1)


def go_ahead(prepared: PreparedRun, yes: bool) -> RunResult:
    """Shows what is about to run, asks, and runs it."""
    prepared.show()
    confirm(prepared.question, yes)
    return prepared.run()
