"""Starts the search of a model on the cluster."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.choice import choose_backend
from katib.backend.cluster.deployment import Deployment, compare, corpus_place
from katib.backend.cluster.searches import manifests
from katib.cli._bundles import Changes, Reached, bundled
from katib.cli.options import MOST, Out, Yes
from katib.cli.searches import Models, go_ahead
from katib.conclude.stages import due, require_mixtures
from katib.corpus_checks import find_copied
from katib.manifest.render import Overrides
from katib.spec import Spec, load_spec
from katib.terminal import say


@bundled
def deploy(
    changes: Changes,
    reached: Reached,
    model: Models,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="stop after the server's dry run")] = False,
    wait: Annotated[int, typer.Option(help="seconds to wait for the first trial to train", min=0, max=MOST)] = 600,
    out: Out = Path("runs"),
    anew: Annotated[bool, typer.Option("--anew", help="continue nothing of a search that was deleted")] = False,
) -> None:
    """Checks the search of MODEL and the cluster, shows what changes, asks, applies, and waits for a trial.

    A search that has failed or was stopped continues from its run directories, and so does one that was deleted where
    OUT has its table. Of a spec with stages it is the one that is due.
    """
    backend = choose_backend(out, reached.site, reached.context, cluster=True)

    def chosen(word: str) -> tuple[Spec, Overrides]:
        spec = load_spec(word)
        wanted = due(backend, spec, changes.overrides)
        if wanted.note:
            check = find_copied(out, corpus_place(reached.cluster, reached.described))
            if check and (found := check.mixtures.get("train")) is not None:
                require_mixtures(spec, found, word)
            say(wanted.note)
        return wanted.spec, wanted.overrides

    wanted = manifests(model, reached.described, changes.overrides, chosen)
    diffs = compare(reached.cluster, wanted, out, anew=anew)
    deployment = Deployment(reached.cluster, reached.described, diffs, out, reached.context, wait)
    if dry_run or not deployment.due:
        deployment.show()
    else:
        go_ahead(deployment, yes)
