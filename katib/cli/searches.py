"""What the verbs of the cluster share: which models, rendered and checked; printing; asking.

Called by those verbs alone.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from katib.backend.cluster.doctor import Result
    from katib.manifest.render import Overrides
    from katib.site import Site

ALL = "all"
SERIES = ("convtasnet", "dprnn", "sepformer", "spmamba")
Models = Annotated[
    str, typer.Argument(metavar="MODEL", help="convtasnet, dprnn, sepformer, spmamba, demo; all: the four")
]
SearchName = Annotated[
    str, typer.Argument(metavar="MODEL", help="model, or the name of an experiment (kubectl get experiments)")
]
COLOURS = {"ok": "green", "unknown": "blue", "warning": "yellow", "error": "red"}


def models(model: str) -> tuple[str, ...]:
    """Returns the models that MODEL means."""
    return SERIES if model == ALL else (model,)


def manifests(model: str, site: "Site", overrides: "Overrides") -> list[dict[str, Any]]:
    """Returns the checked Experiments of MODEL. Raises SpecError, or ManifestError where one has a defect."""
    from katib.check import require_sound
    from katib.errors import SpecError
    from katib.manifest.render import render
    from katib.spec import load_spec
    from katib.yaml_reader import read_yaml

    if model == ALL and overrides.name is not None:
        raise SpecError("NAME= names one experiment; leave it out, or name one MODEL")
    found = []
    for one in models(model):
        text = render(load_spec(one), site, overrides)
        require_sound(text, f"manifest of {one}", f"python -m katib render {one} | python -m katib check -")
        found.append(read_yaml(text))
    return found


def any_manifest(site: "Site") -> dict[str, Any]:
    """Returns an Experiment of `site`, whose trials show how a pod gets at the site's claims."""
    from katib.manifest.render import Overrides, render
    from katib.spec import load_spec
    from katib.yaml_reader import read_yaml

    found: dict[str, Any] = read_yaml(render(load_spec("demo"), site, Overrides()))
    return found


def search_name(model: str) -> str:
    """Returns the experiment that MODEL means: that of the spec, or else the word itself."""
    from katib.spec import load_spec, specs

    return load_spec(model).name if model in specs() else model


def site_of(path: Path | None) -> "Site":
    """Returns the site file."""
    from katib.site import load_site

    return load_site(path)


def confirm(question: str, yes: bool) -> None:
    """Asks, unless told not to. Ends the verb where the answer is no."""
    if not yes and not typer.confirm(question):
        typer.echo("nothing was changed", err=True)
        raise typer.Exit(1)


def say(text: str) -> None:
    """A line that is seen at once, in a pipe too, without what a terminal would obey: much of it comes from a cluster."""
    from katib.untrusted import clean

    print(clean(text), flush=True)


def print_results(results: "list[Result]", *, all_of_them: bool) -> None:
    """One line a check, and below what is not well its meaning and mend."""
    from katib.terminal import output

    out = output()
    for result in results:
        if result.status in ("ok", "unknown") and not all_of_them:
            continue
        bold = "bold " if result.status == "error" else ""
        lead = (f"{result.status:8}", bold + COLOURS[result.status])
        out.words(f"{result.check}: {result.finding}", lead=lead, indent=10)
        if result.status in ("warning", "error"):
            out.words(f"        effect: {result.effect}", indent=16)
            out.words(f"        fix:    {result.fix}", indent=16)
