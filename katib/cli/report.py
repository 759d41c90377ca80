"""Writes the report of an experiment as one HTML file."""

from dataclasses import replace
from pathlib import Path

from katib.cli._bundles import Where, bundled
from katib.cli.options import Experiment
from katib.cli.tables import tell, trial_table
from katib.conclude.confirmation import find_verdict
from katib.conclude.remarks import remarks
from katib.corpus_checks import corpus_line
from katib.manifest.object import Manifest
from katib.program import as_typed, out_variable
from katib.report.audio import listen
from katib.report.page import page, write
from katib.report.provenance import corpus_of, provenance
from katib.report.summary import conclude
from katib.table.trial_table import TrialTable
from katib.terminal import print_words


@bundled
def report(where: Where, experiment: Experiment) -> None:
    """Writes OUT/EXPERIMENT/report.html, which works offline; the experiment may still be running."""
    table = trial_table(where.backend, experiment)
    tell(remarks(table, metrics=True))
    write_report(table, where.out)


def write_report(table: TrialTable, out: Path) -> None:
    """Writes the report of `table` into its folder below `out`, and prints its conclusion and its path."""
    where = out_variable(out)
    folder = out / table.place
    runs = folder / table.best.trial if table.best and table.venue.run_directories else None
    checked = as_typed(corpus_line(out, corpus_of(table)))
    table = replace(table, notes=(*table.notes, *filter(None, [checked])))
    conclusion = conclude(table, find_verdict(out, table), where)
    heard = listen(table.best, runs, ours=Manifest(table.identity.spec).trains_ours)
    file = write(page(table, conclusion, heard, where, provenance(table, out)), folder)
    print_words(conclusion.sentence)
    print(f"report: {file} ({file.stat().st_size / 1e6:.1f} MB)")
