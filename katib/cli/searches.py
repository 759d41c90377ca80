"""What the verbs share: the argument MODEL, and asking before something changes."""

from typing import Annotated

import typer

from katib.backend.base import PreparedRun, RunResult

Models = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="convtasnet, dprnn, sepformer, spmamba, dpmamba, tfgridnet, demo, or a spec x.yaml; all: the first four",
    ),
]
SearchName = Annotated[
    str, typer.Argument(metavar="MODEL", help="name of the experiment, its model, or its spec x.yaml")
]


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
