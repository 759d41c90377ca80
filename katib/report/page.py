"""Assembles the report of a search as one HTML file, and decides the order of its parts."""

from collections.abc import Sequence
from pathlib import Path

from katib.files import write_whole
from katib.report.audio import Listening
from katib.report.cost import cost_figure
from katib.report.curves import curves
from katib.report.document import document
from katib.report.figure import Figure
from katib.report.importance import importance_figure
from katib.report.provenance import Row
from katib.report.search import history, parallel
from katib.report.slices import slices
from katib.report.summary import Conclusion, configuration, facts, next_steps, subtitle, summary_notes
from katib.report.tables import all_trials, failures, promising, stop_decisions
from katib.table.trial_table import TrialTable

MOST_BYTES = 8_000_000
FILE = "report.html"
SECTIONS = (
    ("summary", "Summary"),
    ("parallel", "Parallel coordinates"),
    ("history", "History"),
    ("curves", "Learning curves"),
    ("importance", "Importance"),
    ("slices", "Slices"),
    ("cost", "Plan and cost"),
    ("failures", "Failures"),
    ("listen", "Listen"),
    ("all", "All trials"),
    ("provenance", "Provenance"),
    ("next", "Next"),
)


def page(
    table: TrialTable, conclusion: Conclusion, listening: Listening, where: str = "", origins: Sequence[Row] = ()
) -> str:
    """Returns the HTML text of the report, at most 8 MB: sounds that do not fit are left out, with a remark.

    `where` holds the words that every command needs beside the experiment's name, such as ` OUT=elsewhere`; `origins`
    are the rows of its provenance.
    """
    main = [parallel(table), history(table), curves(table), importance_figure(table)]
    parts, cost = slices(table), cost_figure(table)
    bare = _render(table, conclusion, Listening(listening.says), where, main, parts, cost, origins)
    # 4 kB for the players themselves and the titles.
    room = MOST_BYTES - len(bare.encode()) - 4000
    return _render(table, conclusion, listening.within(room), where, main, parts, cost, origins)


def write(text: str, folder: Path) -> Path:
    """Writes the report into `folder` as a whole and returns its path. Raises FolderError."""
    file = folder / FILE
    write_whole(file, [text])
    return file


def _render(
    table: TrialTable,
    conclusion: Conclusion,
    listening: Listening,
    where: str,
    main: Sequence[Figure],
    parts: Sequence[Figure],
    cost: Figure,
    origins: Sequence[Row],
) -> str:
    return document(
        "report.html.j2",
        [*main, *parts, cost],
        title=table.identity.name,
        subtitle=subtitle(table),
        sections=SECTIONS,
        facts=facts(table, conclusion),
        verdict=conclusion,
        configuration=configuration(table, conclusion),
        candidates=promising(table),
        notes=summary_notes(table),
        main=main,
        decisions=stop_decisions(table),
        slices=parts,
        cost=cost,
        failures=failures(table),
        listen=listening,
        trials=all_trials(table),
        origins=origins,
        next="\n".join(f"{command:<48}  # {what}" for what, command in next_steps(table, where)),
    )
