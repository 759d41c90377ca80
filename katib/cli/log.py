"""Writes the entry of an experiment into EXPERIMENT_LOG.md."""

from pathlib import Path
from typing import Annotated

import typer

from katib.checkout import commit
from katib.cli._bundles import Where, bundled
from katib.cli.options import Experiment
from katib.cli.tables import tell, trial_table
from katib.conclude.confirmation import find_verdict
from katib.conclude.remarks import remarks
from katib.errors import ClusterError
from katib.program import ROOT
from katib.report.log import write
from katib.report.provenance import provenance


@bundled
def log(
    where: Where,
    experiment: Experiment,
    file: Annotated[Path, typer.Option(help="the log")] = Path("EXPERIMENT_LOG.md"),
) -> None:
    """Writes what EXPERIMENT was, took and found into the log; an earlier entry of it is replaced."""
    table = trial_table(where.backend, experiment)
    tell(remarks(table))
    replaced = write(file, table, _commit(), find_verdict(where.out, table), provenance(table, where.out))
    print(f"{file}: entry of '{table.place}' {'replaced' if replaced else 'added'}")


def _commit() -> str:
    """Returns the commit of this checkout, with which images are tagged; "unknown" outside a checkout."""
    try:
        return commit(ROOT)
    except ClusterError:
        return "unknown (not a checkout of git)"
