"""Writes the entry of an experiment into EXPERIMENT_LOG.md."""

from pathlib import Path
from typing import Annotated

import typer

from katib.backend.choice import choose_backend
from katib.cli.options import Context, OfCluster, Out, SiteFile
from katib.cli.tables import tell, trial_table
from katib.conclude.confirmation import find_verdict
from katib.conclude.remarks import remarks
from katib.errors import ClusterError
from katib.install.checkout import commit
from katib.report.log import write
from katib.trainer_contract import ROOT


def log(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="name of the experiment")],
    file: Annotated[Path, typer.Option(help="the log")] = Path("EXPERIMENT_LOG.md"),
    out: Out = Path("runs"),
    cluster: OfCluster = False,
    site: SiteFile = None,
    context: Context = None,
) -> None:
    """Write what EXPERIMENT was, took and found into the log; an earlier entry of it is replaced."""
    table = trial_table(choose_backend(out, site, context, cluster=cluster), experiment)
    tell(remarks(table))
    replaced = write(file, table, _commit(), find_verdict(out, table))
    print(f"{file}: entry of '{table.identity.name}' {'replaced' if replaced else 'added'}")


def _commit() -> str:
    """Returns the commit of this checkout, with which images are tagged; "unknown" outside a checkout."""
    try:
        return commit(ROOT)
    except ClusterError:
        return "unknown (not a checkout of git)"
