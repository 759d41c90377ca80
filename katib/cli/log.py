"""Writes the entry of an experiment into EXPERIMENT_LOG.md."""

from pathlib import Path
from typing import Annotated

import typer

from katib.checkout import commit, commit_of
from katib.cli._bundles import Where, bundled
from katib.cli.options import Experiment
from katib.cli.tables import tell, trial_table
from katib.conclude.confirmation import find_verdict
from katib.conclude.remarks import remarks
from katib.errors import ClusterError
from katib.manifest.object import Manifest
from katib.program import ROOT
from katib.report.log import write
from katib.report.provenance import provenance
from katib.table.trial_table import TrialTable


@bundled
def log(
    where: Where,
    experiment: Experiment,
    file: Annotated[Path, typer.Option(help="the log")] = Path("EXPERIMENT_LOG.md"),
) -> None:
    """Writes what EXPERIMENT was, took and found into the log; an earlier entry of it is replaced."""
    table = trial_table(where.backend, experiment)
    tell(remarks(table))
    replaced = write(file, table, _commit(table), find_verdict(where.out, table), provenance(table, where.out))
    print(f"{file}: entry of '{table.place}' {'replaced' if replaced else 'added'}")


def _commit(table: TrialTable) -> str:
    """Returns the commit of this checkout, with which images are tagged, or "unknown" outside a checkout.

    Of a trainer of the user's own it is that of the current folder, where its command runs.
    """
    try:
        return commit(ROOT) if Manifest(table.identity.spec).trains_ours else commit_of(Path.cwd())
    except ClusterError:
        return "unknown (not a checkout of git)"
