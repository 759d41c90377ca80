"""Assembles the report of a search as one HTML file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from katib.files import write_whole
from katib.report.audio import Listening
from katib.report.document import document
from katib.report.provenance import Row
from katib.report.sections import View, sections
from katib.report.summary import Conclusion, subtitle
from katib.table.trial_table import TrialTable

MOST_BYTES = 8_000_000
FILE = "report.html"


def page(
    table: TrialTable,
    conclusion: Conclusion,
    listening: Listening,
    where: str = "",
    origins: Sequence[Row] = (),
) -> str:
    """Returns the HTML text of the report, at most 8 MB: sounds that do not fit are left out, with a remark.

    `where` holds the words that every command needs beside the experiment's name, such as ` OUT=elsewhere`; `origins`
    are the rows of its provenance.
    """
    view = View(table, conclusion, Listening(listening.says), where, origins)
    bare = _render(view)
    if not listening.examples:
        return bare
    # 4 kB for the players themselves and the titles.
    room = MOST_BYTES - len(bare.encode()) - 4000
    return _render(replace(view, listening=listening.within(room), given=view.belief))


def write(text: str, folder: Path) -> Path:
    """Writes the report into `folder` as a whole and returns its path. Raises FolderError."""
    file = folder / FILE
    write_whole(file, [text])
    return file


def _render(view: View) -> str:
    return document(
        "report.html.j2",
        title=view.table.identity.name,
        subtitle=subtitle(view.table),
        sections=[section for section in sections(view) if section.html],
    )
