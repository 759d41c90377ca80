"""What the verbs of the cluster share: the argument MODEL, what doctor found, printing and asking."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.cluster.doctor import Result
from katib.site import Site, load_site
from katib.terminal import output
from katib.untrusted import clean

Models = Annotated[
    str, typer.Argument(metavar="MODEL", help="convtasnet, dprnn, sepformer, spmamba, demo; all: the four")
]
SearchName = Annotated[
    str, typer.Argument(metavar="MODEL", help="model, or the name of an experiment (kubectl get experiments)")
]
COLOURS = {"ok": "green", "unknown": "blue", "warning": "yellow", "error": "red"}


def site_of(path: Path | None) -> Site:
    """Returns the site file."""
    return load_site(path)


def confirm(question: str, yes: bool) -> None:
    """Asks, unless told not to. Ends the verb where the answer is no."""
    if not yes and not typer.confirm(question):
        typer.echo("nothing was changed", err=True)
        raise typer.Exit(1)


def say(text: str) -> None:
    """A line that is seen at once, in a pipe too, without what a terminal would obey: much of it comes from a cluster."""
    print(clean(text), flush=True)


def print_results(results: list[Result], *, all_of_them: bool) -> None:
    """One line a check, and below what is not well its meaning and mend."""
    out = output()
    for result in results:
        if result.status in ("ok", "unknown") and not all_of_them:
            continue
        bold = "bold " if result.status == "error" else ""
        lead = (f"{result.status:8}", bold + COLOURS[result.status])
        out.words(f"{result.check}: {result.problem}", lead=lead, indent=10)
        if result.status in ("warning", "error"):
            out.words(f"        effect: {result.effect}", indent=16)
            out.words(f"        fix:    {result.fix}", indent=16)
